"""What all forms have in common, and the limits of texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    Tag,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema
from pydantic_core.core_schema import custom_error_schema

MAX_TEXT_CHARACTERS = 65_536
MAX_TEXTS = 256
MAX_CHARACTERS_TOGETHER = 2**19
MAX_READING = 1e12
SHAPES = ("one", "list", "none", "number", "name", "chord", "chords", "words", "text", "texts")

One = TypeVar("One")
Many = TypeVar("Many")


def union_tag(name: str) -> Any:  # noqa: ANN401  pydantic takes numbers for tags, and is typed to take strings
    """Return the tag of one of the shapes that a value may have: a negative number, which `InvalidInput` leaves out.

    pydantic puts it into the location of an error, where a name would look like something that the client sent.
    """
    return -1 - SHAPES.index(name)


def _one_or_list(value: object) -> Any:  # noqa: ANN401  see `union_tag`
    if value is None:
        return union_tag("none")
    return union_tag("list") if isinstance(value, list) else union_tag("one") if isinstance(value, str) else None


# A discriminator looks at what was sent, so that an error is about that shape only.
_ONE_OR_LIST = Discriminator(
    _one_or_list, custom_error_type="no_shape", custom_error_message="Input should be a text, or a list of texts"
)
Null = Annotated[None, Tag(union_tag("none"))]
TextOrList = Annotated[
    Annotated[One, Tag(union_tag("one"))] | Annotated[Many, Tag(union_tag("list"))],
    _ONE_OR_LIST,
]
# One flat union: BentoML builds a model's schema twice, which a union around a tagged one does not survive.
TextOrListOrNull = Annotated[
    Annotated[One, Tag(union_tag("one"))] | Annotated[Many, Tag(union_tag("list"))] | Null,
    _ONE_OR_LIST,
]
TextOrNumber = Annotated[
    Annotated[One, Tag(union_tag("text"))] | Annotated[Many, Tag(union_tag("number"))],
    Discriminator(
        lambda value: (
            union_tag("text") if isinstance(value, str) else union_tag("number") if isinstance(value, int) else None
        ),
        custom_error_type="no_shape",
        custom_error_message="Input should be a text or a whole number",
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]


@dataclass(frozen=True)
class WithMessage:
    """Annotates a value that is refused with this message, whatever is wrong with it."""

    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return custom_error_schema(handler(source), custom_error_type="with_message", custom_error_message=self.message)


Reading = Annotated[
    FiniteFloat,
    Field(ge=-MAX_READING, le=MAX_READING),
    WithMessage(
        f"a reading is a number from {-MAX_READING:g} to {MAX_READING:g}; fill in one that is missing, for instance "
        "with yesterday's at the same hour or with the session's own forecast"
    ),
]

# Clients that are generated from the document would otherwise use 32 bits.
INT64: JsonDict = {"format": "int64"}
Seed = Annotated[int, Field(ge=0, lt=2**63, json_schema_extra=INT64)]
BundleTag = Annotated[str, Field(description="Bundle that answered, as name:version")]


class Form(BaseModel):
    """The base of all forms. Immutable. Unknown keys and values of another type are errors, so that no typo is ignored.

    Lists that may be long fail fast: reporting each of a million wrong elements takes minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def requires_field(field: str) -> JsonDict:
    """Return the schema of an object that has this field, not null."""
    return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}


def always_sent(*fields: str) -> Callable[[JsonDict], None]:
    """Return a hook that makes a schema require fields with a default, for an answer that always includes them."""

    def require(schema: JsonDict) -> None:
        schema["required"] = [*cast("list[str]", schema.get("required", [])), *fields]

    return require


class Question(Form):
    """A request that needs no session."""

    model: str | None = Field(None, description="Name of the bundle to ask; null: the service chooses")


def checked_total_length(text: str | list[str] | None) -> str | list[str] | None:
    """Return the texts of a request, if there are any, unless they are too long.

    Raises:
        ValueError: Together they have too many characters.
    """
    if isinstance(text, list) and sum(map(len, text)) > MAX_CHARACTERS_TOGETHER:
        raise ValueError(f"the texts together have more than {MAX_CHARACTERS_TOGETHER} characters")
    return text


Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]
TextOrTexts = Annotated[TextOrList[Text, Texts], AfterValidator(checked_total_length)]
