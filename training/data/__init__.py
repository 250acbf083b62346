"""Real data sets and people's own files, each checked as it is read."""
