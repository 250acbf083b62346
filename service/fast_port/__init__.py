"""The second port, which omits BentoML's layers, and a guard for the connections of both ports."""
