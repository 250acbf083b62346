"""Requests and answers: the forms of every surface, with their limits.

Models' answers contain no times, and nothing else that differs between two runs on the same input.
"""
