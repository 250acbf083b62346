"""Text as networks read it: words, pieces, characters, tags."""
