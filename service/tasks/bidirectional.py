"""Encoders that read a whole input in both directions. Each direction of a layer is a stage, such as `backward1`."""

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle
from service.concurrency.waiting import together
from service.engine.engine import Engine
from service.engine.state import Inputs

FEATURES = "features"
NUM_DIRECTIONS = 2  # rows per input that are in the engine at a time

Features = NDArray[np.float32]


class BidirectionalEncoder:
    """The bidirectional layers of a bundle. Each reads the features of the one below.

    Args:
        bundle: Has the stages `forward<layer>` and `backward<layer>`, numbered from 1, whose output is "features".
        engine: Runs its rows through the graphs.
        row: The initial state row.
    """

    def __init__(self, bundle: Bundle, engine: Engine, row: bytes) -> None:
        self._engine = engine
        self._row = row
        self._num_layers = sum(stage.name.startswith("forward") for stage in bundle.manifest.stages)

    async def features(self, inputs: Inputs, num_items: int) -> Features:
        """Return the last layer's features of each item.

        Args:
            inputs: Inputs of the first layer, without batch axis, each (T, ...): all have a time axis.
            num_items: T.

        Returns:
            float32 (T, 2 H), the forward direction's features first.
        """
        for layer in range(1, self._num_layers + 1):
            inputs = {"x": await self._read(layer, inputs, num_items)}
        return inputs["x"]

    async def logits(self, inputs: Inputs, num_items: int) -> Features:
        """Return the logits of the stage `head` for each item, float32 (T, labels)."""
        given = {"x": await self.features(inputs, num_items)}
        advance = await self._engine.advance("head", self._row, given, num_items, keep=["logits"])
        return advance.outputs["logits"]

    async def _read(self, layer: int, inputs: Inputs, num_items: int) -> Features:
        """Return one layer's features of each item."""
        backwards = {name: np.ascontiguousarray(values[::-1]) for name, values in inputs.items()}
        ahead, back = await together(
            self._engine.advance(stage, self._row, given, num_items, keep=(FEATURES,))
            for stage, given in ((f"forward{layer}", inputs), (f"backward{layer}", backwards))
        )
        return np.concatenate([ahead.outputs[FEATURES], back.outputs[FEATURES][::-1]], axis=1)
