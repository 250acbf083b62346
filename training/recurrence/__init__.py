"""Recurrent cells, one step at a time and over time, and their gradients, with equations."""
