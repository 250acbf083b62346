"""The HTTP surfaces: they turn requests into calls of the core, and its results into responses."""
