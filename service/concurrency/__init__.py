"""Building blocks of asyncio: deadlines, streams, background tasks, work that would block the loop. And file locks."""
