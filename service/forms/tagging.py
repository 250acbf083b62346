"""Words to tag, and the answers."""

from typing import Annotated, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from service.forms.form import (
    MAX_CHARACTERS_TOGETHER,
    MAX_TEXTS,
    BundleTag,
    Form,
    InWords,
    OneOrMany,
    Question,
    Text,
    requires_field,
    union_tag,
)

MAX_TAGGED_TOKENS = 8192
MAX_TEXT_WORDS = 2**14
MAX_WORDS_TOGETHER = 2**16
MAX_TOKEN_CHARACTERS = 1000
Token = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TOKEN_CHARACTERS, pattern=r"^\S+$"),
    InWords(f"a token is a word of 1 to {MAX_TOKEN_CHARACTERS} characters, without white space"),
]
Tokens = Annotated[list[Token], Field(fail_fast=True, min_length=1, max_length=MAX_TAGGED_TOKENS)]
OneOrManyTexts = Annotated[
    Annotated[Tokens, Tag(union_tag("words"))]
    | Annotated[list[Tokens], Field(fail_fast=True, min_length=1, max_length=MAX_TEXTS), Tag(union_tag("texts"))],
    Discriminator(
        lambda value: union_tag("texts" if isinstance(value, list) and list in map(type, value) else "words")
    ),
]


class TagRequest(Question):
    """Texts whose words are to be tagged, or words that are split already."""

    text: OneOrMany[Text, Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]] = Field(
        default_factory=list,
        examples=["Ada Lovelace wrote the first program."],
        description=f"One text or up to {MAX_TEXTS}; they are split into words, at most {MAX_TEXT_WORDS} of a text and "
        f"{MAX_WORDS_TOGETHER} together. Give either this or `tokens`",
    )
    tokens: OneOrManyTexts = Field(
        default_factory=list,
        description=f"Instead of `text`: the words of one text, or of up to {MAX_TEXTS}, {MAX_WORDS_TOGETHER} together",
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if bool(self.text) == bool(self.tokens):
            raise ValueError("give either text or tokens")
        together = self.text or self.tokens
        if isinstance(together, list) and sum(map(_num_characters, together)) > MAX_CHARACTERS_TOGETHER:
            raise ValueError(f"the texts together have more than {MAX_CHARACTERS_TOGETHER} characters")
        check_together(sum(len(each) for each in self.tokens if isinstance(each, list)))
        return self


def check_together(num_words: int) -> None:
    """Raise ValueError if the texts of a request have too many words."""
    if num_words > MAX_WORDS_TOGETHER:
        raise ValueError(f"the texts together have more than {MAX_WORDS_TOGETHER} words")


def _num_characters(text: str | list[str]) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


Place = Annotated[
    int | None,
    Field(
        exclude_if=lambda value: value is None,
        description="Place in the text, in Unicode code points, where JavaScript and Java count UTF-16 units; left out "
        "where words were given, and in sessions. `end` is the place behind the last",
    ),
]


class TaggedToken(Form):
    """A word with its tag; `start` and `end` are its place in the text, in code points."""

    token: str = Field(description="The word")
    tag: str = Field(description="The most probable tag")
    probability: float = Field(description="Of that tag")
    start: Place = None
    end: Place = None


class TaggedEntity(Form):
    """An entity of one or more words: `tokens` are its first and the one after its last."""

    kind: str = Field(description="Such as person or location")
    text: str = Field(description="Its words")
    tokens: tuple[int, int] = Field(description="Its first word and the one after its last, counted from 0")
    start: Place = None
    end: Place = None


class Tagged(Form):
    """The words of one text, and its entities if the tags mark some."""

    tokens: list[TaggedToken] = Field(description="Every word, in order")
    entities: list[TaggedEntity] | None = Field(
        None, exclude_if=lambda value: value is None, description="Only of bundles whose tags are BIO"
    )


class TagAnswer(Form):
    """One result for each text, in order."""

    results: list[Tagged] = Field(description="As many as texts")
    bundle: BundleTag


_NULL: JsonDict = {"type": "null"}
_END_ALONE: JsonDict = {"required": ["end"], "properties": {"end": {"const": True}, "text": _NULL, "tokens": _NULL}}


class TagStep(Form):
    """A piece of a text, cut anywhere, or whole words; `end` says that the last word is whole."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [requires_field("text"), requires_field("tokens"), _END_ALONE]}
    )

    text: Text | None = Field(
        None, description=f"The next piece of the text, cut anywhere, of at most {MAX_TEXT_WORDS} words"
    )
    tokens: Tokens | None = Field(None, description="Whole words instead")
    end: bool = Field(False, description="The last word is whole")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.text is not None and self.tokens is not None:
            raise ValueError("give either text or tokens")
        if self.text is None and self.tokens is None and not self.end:
            raise ValueError("give text or tokens, or end the text")
        return self


class TagStepAnswer(Form):
    """The words that this step has completed, and those of the unfinished end of the text as they stand."""

    tokens: list[TaggedToken] = Field(description="Words that are whole now")
    pending: list[TaggedToken] = Field(description="Words that may still grow")
