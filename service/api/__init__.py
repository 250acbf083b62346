"""The surfaces: HTTP in, the core's verbs, HTTP out."""
