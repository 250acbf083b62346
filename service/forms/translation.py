"""Texts to translate, and the answers."""

from pydantic import Field

from service.forms.form import MAX_TEXTS, BundleTag, Form, Question, TextOrTexts


class TranslateRequest(Question):
    """English texts to translate."""

    text: TextOrTexts = Field(
        examples=["Two young men are outside near many bushes."],
        description=f"One sentence, or a list of up to {MAX_TEXTS}: of several sentences in one text some are lost",
    )
    to: str = Field(examples=["de"], description="Language to translate into, as ISO 639-1 has it")
    beams: int = Field(
        5,
        ge=1,
        le=64,
        description="Translations that are compared at every step; 1 is quickest. Bundles have limits of their own: "
        "those that ship take 8",
    )
    attention: bool = Field(False, description="Also answer where each piece of the translation looked")


class AttentionMap(Form):
    """Where each piece of a translation looked: `weights[t][s]` is how much of `target[t]` came from `source[s]`.

    Pieces of words joined give the text; "\u2581" is a blank. The end of the translation is a piece of its own.
    """

    source: list[str] = Field(description="Pieces of the text")
    target: list[str] = Field(description="Pieces of the translation")
    weights: list[list[float]] = Field(description="A row for each piece of the translation; a row adds up to 1")


class TranslatedText(Form):
    """A translation; `score` is its log-probability, in nats, divided by its length in pieces as the bundle says."""

    text: str = Field(description="The translation")
    score: float = Field(description="At most 0, and nearer to 0 for a translation that is more probable")
    attention: AttentionMap | None = Field(
        None, exclude_if=lambda value: value is None, description="Where it was asked for"
    )


class TranslateAnswer(Form):
    """One translation for each text, in order."""

    translations: list[TranslatedText] = Field(description="As many as texts")
    bundle: BundleTag
