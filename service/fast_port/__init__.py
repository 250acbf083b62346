"""The second port: the plain application without BentoML's layers."""
