"""The loop that all trainings have in common: a run, its steps, its schedule, its speed."""
