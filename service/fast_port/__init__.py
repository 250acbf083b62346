"""The second port: the plain application without BentoML's layers; and what guards the connections of both."""
