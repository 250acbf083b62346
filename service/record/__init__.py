"""What is stored of a session: its bytes, and the rules about them. Pure."""
