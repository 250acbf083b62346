"""asyncio building blocks: deadlines, streams, background tasks, and work that would block the event loop."""
