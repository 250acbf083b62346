"""The proof that a bundle's graphs are the model, or, without a model, whatever can be checked of them."""
