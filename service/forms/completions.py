"""Texts to continue in the form of OpenAI's completions, and the answers."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from service.forms.form import (
    INT64,
    MAX_TEXT_CHARACTERS,
    Form,
    Question,
    Seed,
    TextOrList,
    always_sent,
    checked_total_length,
)
from service.forms.generation import Sampling, Usage
from service.forms.sampling_options import MAX_TOKENS

MAX_CHOICES = 64
Prompt = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Prompts = Annotated[
    TextOrList[Prompt, Annotated[list[Prompt], Field(min_length=1, max_length=MAX_CHOICES)]],
    AfterValidator(checked_total_length),
]


def only(neutral: object, reason: str) -> AfterValidator:
    """Return a validator that accepts only a field's neutral value: any other would have to be ignored."""

    def check(value: object) -> object:
        if value != neutral:
            raise ValueError(reason)
        return value

    return AfterValidator(check)


_NULL: JsonSchemaValue = {"type": "null"}
_OF_FIELD = ("default", "description", "examples", "title")
_NO_LOGPROBS = "log-probabilities are not supported; a session's step answers `log_prob`"
_NO_PENALTY = only(0, "penalties are not supported, only 0")


def _or_null(field: JsonSchemaValue) -> JsonSchemaValue:
    """Return the schema of a field that may also be null."""
    kinds = field.get("anyOf")
    if _NULL in (kinds or field.get("oneOf", [])):
        return field
    annotations = {key: value for key, value in field.items() if key in _OF_FIELD}
    kind = {key: value for key, value in field.items() if key not in (*_OF_FIELD, "anyOf")}
    return {"anyOf": [*(kinds or []), *([kind] if kind else []), _NULL], **annotations}


class StreamOptions(Form):
    """What a stream contains besides the text."""

    include_usage: bool = Field(False, description="Send a last chunk that has the usage, in characters")
    include_obfuscation: Annotated[bool, only(False, "chunks are not padded, only false is supported")] = Field(
        False, description="Must be false: chunks are not padded"
    )


class CompletionRequest(Sampling, Question):
    """Texts to continue. A field that is null is left out; one that is not supported must have its neutral value."""

    model: str = Field(description="Name of a bundle for generation", examples=["generation"])
    prompt: Prompts = Field("", description="Text to continue, or a list of several", examples=["ROMEO:\n"])
    temperature: float = Field(
        1.0, ge=0, le=10, description="Sampling temperature; 0 always takes the most probable character"
    )
    max_tokens: int = Field(16, ge=1, le=MAX_TOKENS, description="Maximum number of characters to generate")
    n: int = Field(
        1, ge=1, le=MAX_CHOICES, description="Number of continuations of each prompt, drawn with seed, seed + 1, ..."
    )
    echo: bool = Field(False, description="Start each text with its prompt")
    stream: bool = Field(False, description="Stream the texts as server-sent events while they are generated")
    stream_options: StreamOptions | None = Field(None, description="Options of a stream; only with `stream`: true")
    best_of: int | None = Field(None, description="Must equal `n`: every continuation is returned")
    frequency_penalty: Annotated[float, _NO_PENALTY] = Field(0.0, description="Must be 0: penalties are not supported")
    presence_penalty: Annotated[float, _NO_PENALTY] = Field(0.0, description="Must be 0: penalties are not supported")
    logit_bias: Annotated[dict[str, Any], only({}, "biases are not supported")] = Field(
        default_factory=dict, description="Must be {} or null: biases are not supported"
    )
    logprobs: Annotated[int | None, only(None, _NO_LOGPROBS)] = Field(None, description=f"Must be null: {_NO_LOGPROBS}")
    suffix: Annotated[str, only("", "texts are continued, nothing is inserted before a suffix")] = Field(
        "", description="Must be empty: inserting text before a suffix is not supported"
    )
    user: str = Field("", description="Accepted, but has no effect")

    @property
    def prompts(self) -> list[str]:
        """The prompts."""
        return self.prompt if isinstance(self.prompt, list) else [self.prompt]

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a count of its characters."""
        return self.stream_options is not None and self.stream_options.include_usage

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Overrides pydantic: every field that may be left out may also be null."""
        described = handler(schema)
        whole = handler.resolve_ref_schema(described)
        whole["properties"] = {
            name: own if name in whole["required"] else _or_null(own) for name, own in whole["properties"].items()
        }
        return described

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None}

    @field_validator("n")
    @classmethod
    def _few(cls, n: int, others: ValidationInfo) -> int:
        prompt = others.data.get("prompt", "")
        if isinstance(prompt, list) and n * len(prompt) > MAX_CHOICES:
            raise ValueError(f"prompts times n may be at most {MAX_CHOICES}")
        return n

    @field_validator("stream_options")
    @classmethod
    def _streamed(cls, options: StreamOptions, others: ValidationInfo) -> StreamOptions:
        if not others.data.get("stream", True):
            raise ValueError("only with stream: true")
        return options

    @field_validator("best_of")
    @classmethod
    def _all(cls, best_of: int, others: ValidationInfo) -> int:
        if best_of != others.data.get("n", best_of):
            raise ValueError("must equal n: every completion is returned, none is chosen")
        return best_of


class Choice(Form):
    """A text, or in a stream a piece of it; `seed` gives it again."""

    model_config = ConfigDict(json_schema_extra=always_sent("logprobs"))

    index: int = Field(description="Position of this choice among all, which are sorted by prompt")
    text: str = Field(description="Generated text, or a piece of it; with `echo`, preceded by the prompt")
    finish_reason: Literal["length", "stop"] | None = Field(
        description="`stop`: a stop string was found; `length`: `max_tokens` were written; null: more follows"
    )
    logprobs: None = Field(None, description="Always null")
    seed: Seed = Field(description="Seed that this choice was drawn with")


class Completion(Form):
    """Texts, or in a stream a piece of one, and the bundle that wrote them."""

    model_config = ConfigDict(json_schema_extra=always_sent("object", "choices"))

    id: str = Field(description="Id of this answer; the same in all chunks of a stream")
    object: Literal["text_completion"] = Field("text_completion", description="Always text_completion")
    created: int = Field(description="Time of this answer, in seconds since 1970 (UTC)", json_schema_extra=INT64)
    model: str = Field(description="Name of the bundle")
    system_fingerprint: str = Field(description="Bundle that answered, as name:version")
    choices: list[Choice] = Field(
        default_factory=list, description="Generated texts; empty in the chunk that has the usage"
    )
    # A factory keeps the default out of the schema, where it would rule out null, which chunks before the last have.
    usage: Usage | None = Field(
        default_factory=lambda: None, description="Characters read and written; null in earlier chunks of a stream"
    )


class CompletionModel(Form):
    """A bundle for generation."""

    model_config = ConfigDict(json_schema_extra=always_sent("object", "created", "owned_by"))

    id: str = Field(description="Name of the bundle")
    object: Literal["model"] = Field("model", description="Always model")
    created: int = Field(0, description="Always 0: bundles have no date")
    owned_by: Literal["unrolled"] = Field("unrolled", description="Always unrolled")


class CompletionModels(Form):
    """All bundles for generation."""

    model_config = ConfigDict(json_schema_extra=always_sent("object"))

    object: Literal["list"] = Field("list", description="Always list")
    data: list[CompletionModel] = Field(description="Bundles for generation, one entry for each")
