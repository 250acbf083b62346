"""Pictures of what was trained, one a module."""
