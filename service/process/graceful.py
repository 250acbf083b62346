"""How long a graceful end takes. Imports nothing, so that it can be used before anything large is loaded."""

# How long a stopping worker waits, on either port, for clients that are slow to send or to read.
GRACEFUL_SECONDS = 10
