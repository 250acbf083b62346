"""Graphs on a GPU, where the states of sessions stay between their steps."""
