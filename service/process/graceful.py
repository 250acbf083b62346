"""How a worker's end is made gentle. Imports nothing, so that it can be asked before anything large is loaded."""

# How long a stopping worker waits, on either port, for clients that are slow to send or to read.
GRACEFUL_SECONDS = 10
