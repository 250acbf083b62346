"""The training loop of all tasks: a run, its optimizer steps, learning rate, metrics and speed."""
