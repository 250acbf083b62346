"""The second port, which omits BentoML's layers."""
