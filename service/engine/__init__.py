"""Runs rows of many sequences through the graphs of a bundle."""
