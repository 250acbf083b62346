"""From a network's outputs to answers: beam search, sampling, stop strings, probabilities. Pure."""
