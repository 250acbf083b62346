"""Sentiment: one stage that reads words, or one per direction of each layer and a head."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from export.recipes.draws import TEXT_SIZES, draw_items, draw_lengths, num_words
from export.recipes.recipe import MIN_ITEMS, Recipe, Stages, own_files
from export.running.directions import each_alone, logits
from export.running.rungs import Rungs
from export.stages import Arrays, Draw, Sizes, StagePlan, spec, state_names, state_of
from export.tracing.graphs import StageGraph, UnrolledGraph
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import SentimentTask
from training.models.bidirectional_sentiment import BidirectionalSentimentModel
from training.models.sentiment import CLASSES


class SentimentRecipe(Recipe):
    """A classifier of texts."""

    pattern = "many to one"
    endpoint = "/sentiment"
    headline = ("accuracy",)

    def purpose(self, manifest: Manifest) -> str:
        if files := own_files(manifest):
            labels = cast(SentimentTask, manifest.task).labels
            return f"Says which label a text has, of those in {files}: {', '.join(labels)}."
        return "Says whether an English sentence about a film is negative or positive."

    def cell(self, model: nn.Module) -> str:
        return "gru"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        state = state_names(model)
        V = cast(nn.Embedding, model.embedding).num_embeddings
        classes = cast(nn.Linear, model.head).out_features
        inputs = (spec("x", "int64", "N", "T"),)
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", TEXT_SIZES),
            inputs=inputs,
            outputs=(spec("logits", "float32", "N", "T", classes),),
            reads=state,
            writes=state,
            build=lambda _: UnrolledGraph(model, state, ("logits",)),
            draw=partial(draw_items, inputs, V),
        )
        return (encode,)

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> SentimentTask:
        return SentimentTask(labels=getattr(model, "classes", CLASSES))

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        return partial(draw_items, stage.inputs, num_words(bundle))


class BidirectionalSentimentRecipe(SentimentRecipe):
    """A classifier of whole texts."""

    def cell(self, model: nn.Module) -> str:
        return "lstm"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        classifier = cast(BidirectionalSentimentModel, model)
        return tuple(self._stage(classifier, name, sizes.get(name, TEXT_SIZES)) for name in classifier.stages)

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Compare the logits of padded texts."""
        first = next(iter(rungs.stages.values()))
        T = max(sum(first.sizes), MIN_ITEMS)
        inputs, lengths = first.draw(rng, N, T), draw_lengths(rng, N, T)
        found = each_alone(partial(logits, rungs), inputs, lengths)[range(N), lengths - 1]
        return {"logits": found}, {"logits": model(*map(torch.from_numpy, (inputs["x"], lengths))).numpy()}

    def _stage(self, model: BidirectionalSentimentModel, name: str, sizes: Sizes) -> StagePlan:
        V, H = model.embedding.num_embeddings, model.settings.hidden_size
        this = model.passes.get(name)  # None for the head
        reads_words = this is not None and this.layer == 1
        x = spec("x", "int64", "N", "T") if reads_words else spec("x", "float32", "N", "T", 2 * H)
        output = spec("features", "float32", "N", "T", H) if this else spec("logits", "float32", "N", "T", len(CLASSES))
        carried = state_of(model, name if this else "pool")
        return StagePlan(
            name=name,
            sizes=sizes,
            inputs=(x,),
            outputs=(output,),
            reads=carried,
            writes=carried,
            build=lambda _: StageGraph(model, name, carried, output.name),
            draw=partial(draw_items, (x,), V),
            direction=this.direction if this else "forward",
        )


RECIPE = SentimentRecipe()
BIDIRECTIONAL = BidirectionalSentimentRecipe()
