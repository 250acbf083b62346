"""The input and output tensors of a model, from its manifest. Pure."""

from typing import Any, NamedTuple

from service.bundle.stage import ITEM_STAGE, TensorSpec
from service.engine.job import ARGMAX, LOGITS
from service.tasks.task import TensorModel

_ARGMAX = TensorSpec(name=ARGMAX, dtype="int64", shape=("N", "T"))


class Signature(NamedTuple):
    """The tensors of a model.

    Attributes:
        x: The items that it reads: tokens (N, T), or segments of readings (N, T, segment).
        outputs: What it may answer after each item: logits and their argmax, or nothing.
    """

    x: TensorSpec
    outputs: tuple[TensorSpec, ...]

    @property
    def names(self) -> list[str]:
        """Names of the outputs."""
        return [output.name for output in self.outputs]


def signature_of(model: TensorModel[Any]) -> Signature:
    """Return the signature of a model."""
    stage = model.bundle.manifest.stage(ITEM_STAGE)
    logits = [output for output in stage.outputs if output.name == LOGITS]
    return Signature(stage.inputs[0], (*logits, _ARGMAX) if logits else ())
