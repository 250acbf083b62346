"""Steps of sessions: exactly once, in order, many at a time."""
