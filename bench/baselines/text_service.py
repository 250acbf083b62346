"""Sentiment of whole texts as a plain BentoML batchable API: tokenize, pad, run the fused GRU once.

What a competent user of BentoML would write: batching texts is what its batchable APIs are for.
"""

import bentoml
import numpy as np
from tokenizers import Tokenizer

from bench.baselines import MODELS
from bench.baselines.fused import FusedModel

MAX_BATCH_ROWS = 64
LABELS = ("negative", "positive")


@bentoml.service(name="text-baseline", workers=1)
class TextService:
    """The shipped sentiment model."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer.from_file(str(MODELS / "sentiment" / "tokenizer.json"))
        self._model = FusedModel(MODELS / "sentiment")

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS)
    def classify(self, texts: list[str]) -> list[dict[str, float]]:
        """Return the probability of each label for each text."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        logits = self._model.logits([np.array(encoding.ids or [0]) for encoding in encodings])
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return [dict(zip(LABELS, row, strict=True)) for row in probabilities.tolist()]
