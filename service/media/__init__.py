"""What people write, draw and play, as models read it, and back."""
