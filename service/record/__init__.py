"""What is kept of a session, as bytes and as rules. Pure."""
