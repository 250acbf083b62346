"""uvicorn's protocols for the connections of both ports, hardened against odd and hostile clients."""
