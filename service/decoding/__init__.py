"""From the numbers of a network to what is answered: search, chance, stops, probabilities. Pure."""
