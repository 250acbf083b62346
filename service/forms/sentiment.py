"""Texts to judge, and the answers."""

from pydantic import Field

from service.forms.form import MAX_TEXTS, BundleTag, Form, Question, Text, TextOrTexts


class SentimentRequest(Question):
    """Texts to judge."""

    text: TextOrTexts = Field(examples=["A wonderful film."], description=f"One text or up to {MAX_TEXTS}")
    trajectory: bool = Field(False, description="Also answer the label's probability after each word")


class Sentiment(Form):
    """The judgement of one text; `score` is the probability of `label`."""

    label: str | None = Field(description="The most probable; null where a session has read no word yet")
    score: float | None = Field(description="Its probability")
    probabilities: dict[str, float] = Field(description="Of each label; they add up to 1")
    trajectory: list[tuple[str, float]] | None = Field(
        None, description="Each word with the probability of `label` after it", exclude_if=lambda value: value is None
    )


class SentimentAnswer(Form):
    """One result for each text, in order."""

    results: list[Sentiment] = Field(description="As many as texts")
    bundle: BundleTag


class TextStep(Form):
    """A piece of a text, cut anywhere."""

    text: Text = Field(description="The next piece of the text, cut anywhere")
