"""The inputs that users send, drawn from a `random.Random`: the same seed gives the same inputs."""
