"""Words to tag, and the answers."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from service.forms.form import (
    MAX_CHARACTERS_TOGETHER,
    MAX_TEXTS,
    BundleTag,
    Form,
    Null,
    Question,
    Text,
    TextOrListOrNull,
    Texts,
    WithMessage,
    checked_total_length,
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
    WithMessage(f"a token is a word of 1 to {MAX_TOKEN_CHARACTERS} characters, without white space"),
]
Tokens = Annotated[list[Token], Field(fail_fast=True, min_length=1, max_length=MAX_TAGGED_TOKENS)]
OneOrManyTexts = Annotated[
    Annotated[Tokens, Tag(union_tag("words"))]
    | Annotated[list[Tokens], Field(fail_fast=True, min_length=1, max_length=MAX_TEXTS), Tag(union_tag("texts"))]
    | Null,
    Discriminator(
        lambda value: union_tag(
            "none" if value is None else "texts" if isinstance(value, list) and list in map(type, value) else "words"
        )
    ),
]


class TagRequest(Question):
    """Texts whose words are to be tagged, or words that are split already."""

    text: Annotated[TextOrListOrNull[Text, Texts], AfterValidator(checked_total_length)] = Field(
        None,
        examples=["Ada Lovelace wrote the first program."],
        description=f"Text to tag, or a list of up to {MAX_TEXTS}, with at most {MAX_TEXT_WORDS} words each and "
        f"{MAX_WORDS_TOGETHER} together. Give either this or `tokens`",
    )
    tokens: OneOrManyTexts = Field(
        None,
        description=f"Words of one text, or of up to {MAX_TEXTS} texts, at most {MAX_WORDS_TOGETHER} together; "
        "replaces `text`",
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.text is None) == (self.tokens is None):
            raise ValueError("give either text or tokens")
        tokens = self.tokens or []
        _check_num_characters(tokens)
        check_num_words(sum(len(each) for each in tokens if isinstance(each, list)))
        return self


def check_num_words(num_words: int) -> None:
    """Raise ValueError if the texts of a request have too many words."""
    if num_words > MAX_WORDS_TOGETHER:
        raise ValueError(f"the texts together have more than {MAX_WORDS_TOGETHER} words")


def _check_num_characters(tokens: list[str] | list[list[str]]) -> None:
    if sum(map(_num_characters, tokens)) > MAX_CHARACTERS_TOGETHER:
        raise ValueError(f"the texts together have more than {MAX_CHARACTERS_TOGETHER} characters")


def _num_characters(text: str | list[str]) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


Place = Annotated[
    int | None,
    Field(
        exclude_if=lambda value: value is None,
        description="Position in the text, in Unicode code points (not in UTF-16 units, as in JavaScript and Java); "
        "`end` is one past the last. Left out if the request gave words, and in sessions",
    ),
]


class TaggedToken(Form):
    """A word with its tag; `start` and `end` are its place in the text, in code points."""

    token: str = Field(description="Word that was tagged")
    tag: str = Field(description="Most probable tag of the word")
    probability: float = Field(description="Probability of `tag`")
    start: Place = None
    end: Place = None


class TaggedEntity(Form):
    """An entity of one or more words: `tokens` are its first and the one after its last."""

    kind: str = Field(description="Kind of entity, such as person or location")
    text: str = Field(description="Words of the entity, separated by spaces")
    tokens: tuple[int, int] = Field(description="Indices of the first word and of the one after the last, from 0")
    start: Place = None
    end: Place = None


class Tagged(Form):
    """The words of one text, and its entities if the tags mark some."""

    tokens: list[TaggedToken] = Field(description="Words of the text with their tags, in order")
    entities: list[TaggedEntity] | None = Field(
        None, exclude_if=lambda value: value is None, description="Entities of the text; only for bundles with BIO tags"
    )


class TagAnswer(Form):
    """One result for each text, in order."""

    results: list[Tagged] = Field(description="One result for each text, in order")
    bundle: BundleTag


_NULL: JsonDict = {"type": "null"}
_END_ALONE: JsonDict = {"required": ["end"], "properties": {"end": {"const": True}, "text": _NULL, "tokens": _NULL}}


class TagStep(Form):
    """A piece of a text, cut anywhere, or whole words; `end` says that the last word is whole."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [requires_field("text"), requires_field("tokens"), _END_ALONE]}
    )

    text: Text | None = Field(
        None, description=f"Next piece of the text, cut anywhere, of at most {MAX_TEXT_WORDS} words"
    )
    tokens: Tokens | None = Field(None, description="Next words of the text, each whole, instead of `text`")
    end: bool = Field(False, description="Whether the text ends here, so that its last word is whole")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.text is not None and self.tokens is not None:
            raise ValueError("give either text or tokens")
        if self.text is None and self.tokens is None and not self.end:
            raise ValueError("give text or tokens, or end the text")
        _check_num_characters(self.tokens or [])
        return self


class TagStepAnswer(Form):
    """The words that this step has completed, and those of the unfinished end of the text as they stand."""

    tokens: list[TaggedToken] = Field(description="Words that are now complete, with their tags")
    pending: list[TaggedToken] = Field(
        description="Words at the end of the text that may still change, with their current tags"
    )
