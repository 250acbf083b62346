"""Conversions between what people write, draw and play, and what models read."""
