"""Texts to judge, and the answers."""

from pydantic import Field

from service.forms.form import MAX_TEXTS, BundleTag, Form, Question, Text, TextOrTexts


class SentimentRequest(Question):
    """Texts to judge."""

    text: TextOrTexts = Field(
        examples=["A wonderful film."], description=f"Text to judge, or a list of up to {MAX_TEXTS}"
    )
    trajectory: bool = Field(False, description="Also return the label's probability after each word")


class Sentiment(Form):
    """The judgement of one text; `score` is the probability of `label`."""

    label: str | None = Field(description="Most probable label; null if a session has read no word yet")
    score: float | None = Field(description="Probability of `label`; null if there is no label yet")
    probabilities: dict[str, float] = Field(description="Probability of each label; they add up to 1")
    trajectory: list[tuple[str, float]] | None = Field(
        None, description="Each word with the probability of `label` after it", exclude_if=lambda value: value is None
    )


class SentimentAnswer(Form):
    """One result for each text, in order."""

    results: list[Sentiment] = Field(description="One result for each text, in order")
    bundle: BundleTag


class TextStep(Form):
    """A piece of a text, cut anywhere."""

    text: Text = Field(description="Next piece of the text, cut anywhere")
