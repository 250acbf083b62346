"""Texts to continue, and what is answered."""

from typing import Annotated, Literal

from pydantic import Field

from service.forms.chance import MAX_TOKENS, Chance
from service.forms.form import MAX_TEXT_CHARACTERS, Form, OneOrMany, Question, Text

StopString = Annotated[str, Field(min_length=1, max_length=64)]


class Sampling(Chance):
    """How a text is continued."""

    max_tokens: int = Field(200, ge=1, le=MAX_TOKENS, description="Characters to generate at most")
    stop: OneOrMany[StopString, Annotated[list[StopString], Field(max_length=4)]] = Field(
        default_factory=list, description="End before any of these strings"
    )

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class GenerateRequest(Sampling, Question):
    """A text to continue."""

    prompt: str = Field("", max_length=MAX_TEXT_CHARACTERS, examples=["ROMEO:"])
    stream: bool = Field(False, description="Answer with server-sent events as the text grows")


class Usage(Form):
    """Characters read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Continuation(Form):
    """A generated text, without its prompt; `seed` gives the same text again."""

    text: str
    finish_reason: Literal["length", "stop"]
    usage: Usage
    seed: int


class GenerateAnswer(Continuation):
    """A generated text and the bundle that wrote it."""

    bundle: str


class NextCharacters(Form):
    """What a text that was fed leads to expect; `log_prob` is that of the fed text, in nats."""

    next: list[tuple[str, float]]
    log_prob: float


class CharacterStep(Form):
    """A piece of a text to read, or how to continue the text."""

    text: Text | None = None
    generate: Sampling | None = None
