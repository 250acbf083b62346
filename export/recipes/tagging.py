"""Tagging: stages over the characters of words, then over words."""

from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import nn

from export.recipes.draws import draw_items, draw_lengths, num_words
from export.recipes.recipe import MIN_ITEMS, Recipe, Stages
from export.running.directions import each_alone, logits
from export.running.rungs import Rungs
from export.running.tagger import spell
from export.stages import Arrays, Draw, Sizes, StagePlan, spec, state_of
from export.tracing.graphs import StageGraph, WordStageGraph
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import TaggingTask
from training.data import ewt, wnut17
from training.models.tagging import CHARACTERS, ENCODE, HEAD, LONGEST_WORD, OVER_CHARACTERS, TaggingModel, Words

CHARACTER_SIZES: Sizes = (1, 2, 4, 8)
WORD_SIZES: Sizes = (1, 2, 4, 8, 16)


class TaggingRecipe(Recipe):
    """A tagger of words.

    Args:
        tags: The tags, in the order of the logits.
        scheme: Whether they are tags of words or BIO tags; see the manifest.
    """

    pattern = "many to many, in step"
    endpoint = "/tag"
    headline = ("accuracy", "entity_f1")

    def __init__(self, tags: tuple[str, ...], scheme: Literal["words", "bio"]) -> None:
        self._tags = tags
        self._scheme = scheme

    def purpose(self, manifest: Manifest) -> str:
        return "Tags each word of an English text: with its part of speech, or as part of an entity."

    def cell(self, model: nn.Module) -> str:
        return "lstm"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        tagger = cast(TaggingModel, model)
        return tuple(self._stage(tagger, name, sizes) for name in tagger.stages)

    def _stage(self, model: TaggingModel, name: str, sizes: dict[str, Sizes]) -> StagePlan:
        settings = model.settings
        directions = 2 if settings.bidirectional else 1
        H, Hc = settings.hidden_size, settings.character_hidden_size
        over_characters, is_head = name in model.over_characters, name in (HEAD, ENCODE)
        this = (model.over_characters | model.over_words).get(name)
        carried = state_of(model, name)
        reads_words = name == ENCODE or (not over_characters and this is not None and this.layer == 1)
        reads_ids = over_characters or reads_words
        inputs = [spec("x", "int64", "N", "T") if reads_ids else spec("x", "float32", "N", "T", directions * H)]
        graph = StageGraph
        if reads_words:
            inputs.append(spec("characters", "float32", "N", "T", directions * Hc))
            graph = WordStageGraph
        num_features = len(self._tags) if is_head else Hc if over_characters else H
        output = spec("logits" if is_head else "features", "float32", "N", "T", num_features)
        num_ids = len(CHARACTERS) + 1 if over_characters else model.embedding.num_embeddings
        return StagePlan(
            name=name,
            sizes=sizes.get(name, CHARACTER_SIZES if over_characters else WORD_SIZES),
            inputs=tuple(inputs),
            outputs=(output,),
            reads=carried,
            writes=carried,
            build=lambda _: graph(model, name, carried, output.name),
            draw=partial(draw_items, inputs, num_ids),
            direction=this.direction if this else "forward",
        )

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Compare the logits of padded sentences of padded words."""
        over_characters, *_, last = rungs.stages.values()
        K, T = (max(sum(stage.sizes), MIN_ITEMS) for stage in (over_characters, last))
        characters, spelling_lengths = over_characters.draw(rng, N * N, K)["x"], draw_lengths(rng, N * N, K)
        spellings, lengths = rng.integers(N * N, size=(N, T)), draw_lengths(rng, N, T)
        ids = rng.integers(cast(TaggingModel, model).embedding.num_embeddings, size=(N, T))
        spelt = np.concatenate([spell(rungs, characters[[i], :k]) for i, k in enumerate(spelling_lengths)])
        found = each_alone(partial(logits, rungs), {"x": ids, "characters": spelt[spellings]}, lengths)
        words = Words(*map(torch.from_numpy, (ids, lengths, spellings, characters, spelling_lengths)))
        is_there = np.arange(T)[:, None] < lengths[:, None, None]
        return {"logits": found}, {"logits": np.where(is_there, model(words)[0].numpy(), np.float32(0))}

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> TaggingTask:
        return TaggingTask(tags=self._tags, scheme=self._scheme, characters=CHARACTERS, longest_word=LONGEST_WORD)

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        characters = cast(TaggingTask, bundle.manifest.task).characters
        num_ids = len(characters) + 1 if stage.name in OVER_CHARACTERS else num_words(bundle)
        return partial(draw_items, stage.inputs, num_ids)


RECIPE = TaggingRecipe(ewt.UPOS, "words")
ENTITIES = TaggingRecipe(wnut17.TAGS, "bio")
