"""Plots of training results, one kind per module."""
