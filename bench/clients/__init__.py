"""Clients that cost next to nothing, for they share the machine with what they measure: prebuilt bytes on sockets."""
