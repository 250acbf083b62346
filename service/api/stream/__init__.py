"""`WS /stream`: many sessions on one WebSocket."""
