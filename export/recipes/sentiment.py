"""Sentiment: one stage that reads words."""

from pathlib import Path
from typing import cast

import numpy as np
from torch import nn

from export.graphs import UnrolledGraph
from export.recipes.recipe import Recipe, Stages
from export.recipes.texts import TEXT_SIZES, draw_ids
from export.stages import Arrays, Sizes, StagePlan, spec, state_names
from service.bundle.manifest import Bundle, SentimentTask, Stage
from training.models.sentiment import CLASSES


class SentimentRecipe(Recipe):
    """A classifier of texts."""

    purpose = "Says after every word whether an English sentence about a film is negative or positive."
    pattern = "many to one, after every word"
    endpoint = "`/sentiment`, sessions"
    headline = ("accuracy",)

    def cell(self, model: nn.Module) -> str:
        return "gru"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        state = state_names(model)
        vocabulary_size = cast(nn.Embedding, model.embedding).num_embeddings
        classes = cast(nn.Linear, model.head).out_features
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", TEXT_SIZES),
            inputs=(spec("x", "int64", "N", "T"),),
            outputs=(spec("logits", "float32", "N", "T", classes),),
            reads=state,
            writes=state,
            build=lambda _: UnrolledGraph(model, state, ("logits",)),
            draw=lambda rng, N, T: {"x": rng.integers(vocabulary_size, size=(N, T))},
        )
        return (encode,)

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> SentimentTask:
        return SentimentTask(labels=CLASSES)

    def draw(self, bundle: Bundle, stage: Stage, rng: np.random.Generator, N: int, T: int) -> Arrays:
        return draw_ids(bundle, rng, N, T)


RECIPE = SentimentRecipe()
