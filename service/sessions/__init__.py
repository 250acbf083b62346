"""Everything that happens to sessions except steps that read input."""
