"""The training loop of all tasks: a run, its optimizer steps, its learning rate, its metrics, its speed."""
