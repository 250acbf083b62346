"""Texts to continue, and the answers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from service.forms.form import (
    MAX_TEXT_CHARACTERS,
    BundleTag,
    Form,
    Question,
    Seed,
    Text,
    TextOrListOrNull,
    requires_field,
)
from service.forms.sampling_options import MAX_TOKENS, SamplingOptions

StopString = Annotated[str, Field(min_length=1, max_length=64)]


class Sampling(SamplingOptions):
    """How a text is continued."""

    max_tokens: int = Field(200, ge=1, le=MAX_TOKENS, description="Maximum number of characters to generate")
    # A null counts as left out: the digests of steps, by which repetitions are known, hold it as an empty list.
    stop: Annotated[
        TextOrListOrNull[StopString, Annotated[list[StopString], Field(max_length=4)]],
        AfterValidator(lambda given: [] if given is None else given),
    ] = Field([], description="Stop strings: the text ends before the first one that appears")

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class GenerateRequest(Sampling, Question):
    """A text to continue."""

    prompt: str = Field("", max_length=MAX_TEXT_CHARACTERS, examples=["ROMEO:"], description="Text to continue")
    stream: bool = Field(
        False,
        description="Stream the text as server-sent events while it is generated. The first has the `seed`, too",
    )


class Usage(Form):
    """Characters read and written."""

    prompt_tokens: int = Field(description="Characters of the prompt that were read")
    completion_tokens: int = Field(description="Characters that were generated")
    total_tokens: int = Field(description="Sum of prompt_tokens and completion_tokens")


class Continuation(Form):
    """A generated text, without its prompt; `seed` gives the same text again."""

    text: str = Field(description="Generated text, without the prompt and the stop string")
    finish_reason: Literal["length", "stop"] = Field(
        description="`stop`: a stop string was found; `length`: `max_tokens` were written"
    )
    usage: Usage
    seed: Seed = Field(description="Seed that was used: the one in the request, or one that was drawn")


class GenerateAnswer(Continuation):
    """A generated text and the bundle that wrote it."""

    bundle: BundleTag


class NextCharacters(Form):
    """The most probable next characters after a text that was read."""

    next: list[tuple[str, float]] = Field(description="The five most probable characters, each with its probability")
    log_prob: float = Field(description="Log-probability, in nats, of the text that this step read")


class CharacterStep(Form):
    """A piece of a text to read, or how to continue the text."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [requires_field("text"), requires_field("generate")]})

    text: Text | None = Field(None, description="Next piece of the text to read, cut anywhere")
    generate: Sampling | None = Field(
        None, description="How to continue the text, instead of reading `text`; {}: with the defaults"
    )
