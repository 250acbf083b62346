"""Generation: a stage that reads tokens, and one that samples them."""

from pathlib import Path
from typing import cast

import numpy as np
from tokenizers import Tokenizer
from torch import nn

from export.graphs import DecodeGraph, UnrolledGraph
from export.recipes.recipe import Recipe, Stages
from export.recipes.texts import TEXT_SIZES, draw_ids, num_tokens
from export.stages import Arrays, Sizes, StagePlan, spec, state_names
from service.bundle.manifest import Bundle, GenerationTask, Stage
from training.models.mingru import MinGRUModel
from training.vocabulary import UNKNOWN

DECODE_SIZES: Sizes = (8, 16)  # 32 steps touch so many nodes that a single row is slower than with 16
# Every passage of the training text but the first follows a line break.
START = "\n"


class GenerationRecipe(Recipe):
    """A language model of characters."""

    purpose = "Continues a text in the manner of Shakespeare's plays, character by character."
    pattern = "one to many"
    endpoint = "`/generate`, sessions"
    headline = ("nats_per_char", "nats_per_char_reset_256")

    def cell(self, model: nn.Module) -> str:
        return "mingru" if isinstance(model, MinGRUModel) else "lstm"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        state = state_names(model)
        V = cast(nn.Linear, model.head).out_features
        # What a text is followed by does not depend on what was expected before it.
        reads = tuple(name for name in state if name != "pending_logits")
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", TEXT_SIZES),
            inputs=(spec("x", "int64", "N", "T"),),
            outputs=(spec("logits", "float32", "N", "T", V),),
            reads=reads,
            writes=state,
            build=lambda _: UnrolledGraph(model, reads, ("logits",)),
            draw=lambda rng, N, T: {"x": rng.integers(V, size=(N, T))},
        )
        decode = StagePlan(
            name="decode",
            sizes=sizes.get("decode", DECODE_SIZES),
            inputs=(
                spec("uniforms", "float32", "N", "T"),
                spec("temperature", "float32", "N"),
                spec("top_k", "int64", "N"),
                spec("top_p", "float32", "N"),
                spec("remaining", "int64", "N"),
            ),
            outputs=(spec("tokens", "int64", "N", "T"),),
            reads=state,
            writes=state,
            build=lambda K: DecodeGraph(model, K),
            draw=lambda rng, N, K: draw_sampling(rng, N, K, V),
            fit="covering",
        )
        return encode, decode

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> GenerationTask:
        return GenerationTask(characters=_characters(cast(Path, tokenizer)), start=START)

    def draw(self, bundle: Bundle, stage: Stage, rng: np.random.Generator, N: int, T: int) -> Arrays:
        if stage.name == "decode":
            return draw_sampling(rng, N, T, num_tokens(bundle))
        return draw_ids(bundle, rng, N, T)


def draw_sampling(rng: np.random.Generator, N: int, K: int, V: int) -> Arrays:
    """What K steps of sampling for N rows read: all kinds of settings, and rows that stop at different steps."""
    return {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": rng.choice(np.array([0.0, 0.5, 1.0, 1.7], dtype=np.float32), size=N),
        "top_k": rng.choice([1, 5, V], size=N),
        "top_p": rng.choice(np.array([0.3, 0.9, 1.0], dtype=np.float32), size=N),
        "remaining": rng.integers(K + 1, size=N),
    }


def _characters(tokenizer: Path) -> tuple[str, ...]:
    ids = Tokenizer.from_file(str(tokenizer)).get_vocab()
    return tuple(sorted((character for character in ids if character != UNKNOWN), key=lambda c: ids[c]))


RECIPE = GenerationRecipe()
