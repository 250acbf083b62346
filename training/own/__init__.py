"""Training on a user's own file instead of a published data set: options, and settings that suit the file."""
