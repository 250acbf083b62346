"""Tokenizers for characters, words and subwords, truecasing, and BIO tags."""
