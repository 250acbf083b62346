"""Programs for other servers, each for a virtual environment of its own that `make bench-servers` makes.

The project is not installed there: they import numpy, their server and `bench.baselines.step_model` only.
"""
