"""Text continuations in the form of OpenAI's API."""
