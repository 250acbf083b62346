"""What runs side by side on the event loop: deadlines, streams, and work that would hold it."""
