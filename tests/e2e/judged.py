"""What the playground must say of a text."""

import httpx

from tests.e2e.asking import ask


def judged(client: httpx.Client, text: str) -> str:
    """What the page must say of a text."""
    (result,) = ask(client, "/sentiment", {"text": text, "model": "sentiment"})["results"]
    return f"{result['label']}, {result['score'] * 100:.0f} %"
