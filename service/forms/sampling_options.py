"""How to sample from a model's predictions."""

from pydantic import Field

from service.forms.form import Form, Seed

MAX_TOKENS = 4096


class SamplingOptions(Form):
    """How tokens are drawn: characters, notes or words."""

    temperature: float = Field(
        0.8, ge=0, le=10, description="Sampling temperature; 0 always takes the most probable token"
    )
    top_k: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Sample among this many of the most probable tokens; null: all"
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Sample among the most probable tokens whose probabilities add up to this"
    )
    seed: Seed | None = Field(None, description="Random seed: the same seed gives the same answer; null: one is drawn")
