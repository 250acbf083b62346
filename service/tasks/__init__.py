"""One module per kind of model: text or numbers in, rows through the engine, answers out."""
