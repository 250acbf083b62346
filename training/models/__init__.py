"""The networks, one per module, built from the cells of `training.recurrence`."""
