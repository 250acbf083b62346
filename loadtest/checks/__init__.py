"""Checks of answers. Each takes an answer and returns the kind of its failure, or None. Pure.

A kind is a short text without details of the single failure, so that locust can count failures by kind.
"""
