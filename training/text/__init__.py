"""Tokenizers of characters, words and pieces of words, and BIO tags."""
