"""The networks, one a module, built from the cells of `training.recurrence`."""
