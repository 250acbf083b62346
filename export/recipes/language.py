"""Language models over any tokens: a stage that reads them, and one that samples them."""

from abc import abstractmethod
from functools import partial
from typing import cast

import numpy as np
from torch import nn

from export.errors import WrongLadder
from export.recipes.draws import TEXT_SIZES, draw_sampling
from export.recipes.recipe import Recipe, Stages
from export.stages import Arrays, Draw, Sizes, StagePlan, spec, state_names
from export.tracing.graphs import DecodeGraph, UnrolledGraph
from service.bundle.manifest import Bundle
from service.bundle.stage import Stage
from training.models.generation import Cell

# By cell. 32 steps of an LSTM have so many nodes that a single row is slower than with 16. A step of minGRU has twice
# as many nodes, and takes so long that a longer run would save little.
DECODE_SIZES: dict[Cell, Sizes] = {"lstm": (8, 16), "mingru": (8,)}


class LanguageRecipe(Recipe):
    """The common part of the recipes of language models."""

    def cell(self, model: nn.Module) -> Cell:
        return cast(Cell, model.cell)

    @abstractmethod
    def num_tokens(self, bundle: Bundle) -> int:
        """Return V, the number of tokens."""

    def draw_tokens(self, V: int, rng: np.random.Generator, N: int, T: int) -> Arrays:
        """Draw tokens x (N, T) like those that the model reads."""
        return {"x": rng.integers(V, size=(N, T))}

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        state = state_names(model)
        V = cast(nn.Linear, model.head).out_features
        # Reading does not depend on the logits of the token before, only sampling does.
        reads = tuple(name for name in state if name != "pending_logits")
        encode = StagePlan(
            name="encode",
            sizes=sizes.get("encode", TEXT_SIZES),
            inputs=(spec("x", "int64", "N", "T"),),
            outputs=(spec("logits", "float32", "N", "T", V),),
            reads=reads,
            writes=state,
            build=lambda _: UnrolledGraph(model, reads, ("logits",)),
            draw=partial(self.draw_tokens, V),
        )
        decode = StagePlan(
            name="decode",
            sizes=sizes["decode"] if "decode" in sizes else decode_sizes(self.cell(model)),
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
            draw=partial(draw_sampling, V),
            fit="covering",
        )
        return encode, decode

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        return partial(draw_sampling if stage.name == "decode" else self.draw_tokens, self.num_tokens(bundle))


def decode_sizes(cell: Cell) -> Sizes:
    """Return the ladder of a cell's sampling stage.

    Raises:
        WrongLadder: The cell has none.
    """
    if cell not in DECODE_SIZES:
        raise WrongLadder(
            f"there is no ladder for a decode stage by {cell}: add it to DECODE_SIZES in export/recipes/language.py, "
            "or give --rungs decode=8"
        )
    return DECODE_SIZES[cell]
