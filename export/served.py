"""The stages of a bundle that is there, planned from its manifest: what can be tried without the model."""

from typing import NoReturn

import numpy as np
from tokenizers import Tokenizer

from export.stages import Arrays, StagePlan, draw_readings, draw_sampling
from service.bundle.manifest import Bundle, Stage


def plans(bundle: Bundle) -> tuple[StagePlan, ...]:
    """Plans of all stages; their graphs cannot be built again, but they are there."""
    return tuple(_plan(bundle, stage) for stage in bundle.manifest.stages)


def _plan(bundle: Bundle, stage: Stage) -> StagePlan:
    return StagePlan(
        name=stage.name,
        sizes=tuple(sorted(stage.rungs)),
        inputs=stage.inputs,
        outputs=stage.outputs,
        reads=stage.reads,
        writes=stage.writes,
        build=_cannot_build,
        draw=lambda rng, N, T: _draw(bundle, stage, rng, N, T),
    )


def _cannot_build(size: int) -> NoReturn:
    raise NotImplementedError(f"a bundle holds no model to build the rung {size} of")


def _draw(bundle: Bundle, stage: Stage, rng: np.random.Generator, N: int, T: int) -> Arrays:
    if stage.name == "decode":
        return draw_sampling(rng, N, T, num_tokens(bundle))
    if stage.name == "forecast":
        segment = int(stage.inputs[0].shape[-1])
        return {"partial": draw_readings(rng, N, 1)[:, 0], "filled": rng.integers(segment, size=N)}
    if bundle.manifest.task.kind == "forecasting":
        return {"x": draw_readings(rng, N, T)}
    return {"x": rng.integers(num_tokens(bundle), size=(N, T))}


def num_tokens(bundle: Bundle) -> int:
    """V, how many tokens a bundle for texts reads: characters, or the words of its tokenizer."""
    characters = getattr(bundle.manifest.task, "characters", None)
    return len(characters) if characters is not None else _num_words(bundle)


def _num_words(bundle: Bundle) -> int:
    return int(Tokenizer.from_file(str(bundle.file("tokenizer.json"))).get_vocab_size())
