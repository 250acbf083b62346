"""API keys: their file, and which of them are valid now."""
