"""The tasks that models are trained on, one a module: data, batches, loss and figures."""
