"""Published data sets and users' own files, checked as they are read."""
