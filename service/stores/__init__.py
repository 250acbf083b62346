"""Where sessions are kept: one contract, and a package or a module for each backend."""
