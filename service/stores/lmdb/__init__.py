"""Sessions in an LMDB environment on the machine's disk."""
