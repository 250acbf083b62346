"""The networks, one a module, of the cells of `training.recurrence`."""
