"""Language models of any tokens: a stage that reads them, and one that samples them."""

from typing import cast

import numpy as np
from torch import nn

from export.graphs import DecodeGraph, UnrolledGraph
from export.recipes.recipe import Recipe, Stages
from export.recipes.texts import TEXT_SIZES
from export.stages import Arrays, Sizes, StagePlan, spec, state_names
from training.models.mingru import MinGRUModel

# By cell. 32 steps of an LSTM touch so many nodes that a single row is slower than with 16; a step of minGRU has twice
# as many, and takes so long that a longer run would save little.
DECODE_SIZES: dict[str, Sizes] = {"lstm": (8, 16), "mingru": (8,)}


class LanguageRecipe(Recipe):
    """What the recipes of language models have in common."""

    def cell(self, model: nn.Module) -> str:
        return "mingru" if isinstance(model, MinGRUModel) else "lstm"

    def draw_tokens(self, rng: np.random.Generator, N: int, T: int, V: int) -> Arrays:
        """Tokens x (N, T) such as the model reads."""
        return {"x": rng.integers(V, size=(N, T))}

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
            draw=lambda rng, N, T: self.draw_tokens(rng, N, T, V),
        )
        decode = StagePlan(
            name="decode",
            sizes=sizes.get("decode", DECODE_SIZES[self.cell(model)]),
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


def draw_sampling(rng: np.random.Generator, N: int, K: int, V: int) -> Arrays:
    """What K steps of sampling for N rows read: all kinds of settings, and rows that stop at different steps."""
    return {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": rng.choice(np.array([0.0, 0.5, 1.0, 1.7], dtype=np.float32), size=N),
        "top_k": rng.choice([1, 5, V], size=N),
        "top_p": rng.choice(np.array([0.3, 0.9, 1.0], dtype=np.float32), size=N),
        "remaining": rng.integers(K + 1, size=N),
    }
