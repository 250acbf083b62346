"""Texts to translate, and the answers."""

from pydantic import Field

from service.forms.form import MAX_TEXTS, BundleTag, Form, Question, TextOrTexts


class TranslateRequest(Question):
    """English texts to translate."""

    text: TextOrTexts = Field(
        examples=["Two young men are outside near many bushes."],
        description=f"Sentence to translate, or a list of up to {MAX_TEXTS}; if a text has several, some may be lost",
    )
    to: str = Field(examples=["de"], description="Language to translate into, as an ISO 639-1 code")
    beams: int = Field(
        5,
        ge=1,
        le=64,
        description="Number of candidate translations to compare at every step; 1 is fastest. Bundles have limits of "
        "their own: those that ship take 8",
    )
    attention: bool = Field(False, description="Also return where each piece of the translation looked")


class AttentionMap(Form):
    """Where each piece of a translation looked: `weights[t][s]` is how much of `target[t]` came from `source[s]`.

    Pieces of words joined give the text, but with a blank, "\u2581", before it and without the capital that it begins
    with. The end of the translation is a piece of its own.
    """

    source: list[str] = Field(description="Pieces of the source text")
    target: list[str] = Field(description="Pieces of the translation")
    weights: list[list[float]] = Field(
        description="Attention weights, one row for each piece of the translation; each row adds up to 1"
    )


class TranslatedText(Form):
    """A translation; `score` is its log-probability, in nats, divided by its length in pieces as the bundle says."""

    text: str = Field(description="Translated text")
    score: float = Field(
        description="Log-probability in nats, divided by a power of the length: at most 0; higher is better"
    )
    unknown_characters: int = Field(
        0,
        exclude_if=lambda value: not value,
        description="Number of code points of the text that the model does not know; left out if it knows all",
    )
    attention: AttentionMap | None = Field(
        None, exclude_if=lambda value: value is None, description="Attention map; left out unless requested"
    )


class TranslateAnswer(Form):
    """One translation for each text, in order."""

    translations: list[TranslatedText] = Field(description="One translation for each text, in order")
    bundle: BundleTag
