"""What users send, drawn from a `random.Random`: the same seed, the same inputs."""
