"""Both directions of a layer over a whole input, each a stage of its own: `forward1` and `backward1`, and so on."""

import numpy as np
from numpy.typing import NDArray

from service.engine import Engine
from service.state import Inputs
from service.waiting import together

FEATURES = "features"


async def read_both_ways(engine: Engine, layer: int, row: bytes, inputs: Inputs, num_items: int) -> NDArray[np.float32]:
    """What a layer makes of each item, from both sides.

    Args:
        engine: Has the stages `forward<layer>` and `backward<layer>`, whose output is "features".
        layer: From 1.
        row: The state of a sequence that has read nothing.
        inputs: The stages' inputs without batch axis, each (T, ...): all of them have a time axis.
        num_items: T.

    Returns:
        Float32 (T, 2 H), the forward direction's features first.
    """
    backwards = {name: np.ascontiguousarray(values[::-1]) for name, values in inputs.items()}
    ahead, back = await together(
        engine.advance(stage, row, given, num_items, keep=(FEATURES,))
        for stage, given in ((f"forward{layer}", inputs), (f"backward{layer}", backwards))
    )
    return np.concatenate([ahead.outputs[FEATURES], back.outputs[FEATURES][::-1]], axis=1)
