"""What must be true of an answer. Each check takes an answer and returns the kind of its failure, or None. Pure.

A kind is a short text that does not differ from one failure of the kind to the next, so that locust can count them.
"""
