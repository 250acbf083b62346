"""The verbs of `python -m export`, each with its parser, whose options name what to run."""
