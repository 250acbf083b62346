"""The tasks that models are trained on, one per module: data, batches, loss and figures."""
