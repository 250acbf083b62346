"""A file of the user's own in place of a published data set."""
