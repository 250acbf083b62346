"""What each kind of model makes of its inputs: text or numbers in, rows through the engine, answers out."""
