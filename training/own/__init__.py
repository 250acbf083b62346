"""Training on a user's own file instead of a published data set: its options, and settings that suit the file."""
