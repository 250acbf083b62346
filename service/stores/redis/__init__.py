"""Sessions on a Redis server or cluster."""
