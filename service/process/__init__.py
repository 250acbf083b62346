"""A worker as a process among others on a machine."""
