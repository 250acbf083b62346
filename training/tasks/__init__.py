"""What each model is trained for: its data, its batches, its loss, its figures."""
