"""Clients that cost very little, since they share the machine with what they measure: prebuilt bytes on sockets."""
