"""Models whose items are tokens, and how their steps in tensors are read."""

from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.stage import ITEM_STAGE
from service.engine.state import Array
from service.errors import InvalidInput
from service.forms.form import Form
from service.forms.steps import IdsStep
from service.record.sequence_state import SequenceState
from service.tasks.task import Items, TensorModel, check_alone, validated

StepInputs = TypeVar("StepInputs", bound=Form)
Ids = NDArray[np.int64]

FEW = 32


class TokenModel(TensorModel[StepInputs]):
    """A model of tokens; a step in tensors gives their ids.

    Attributes:
        num_tokens: V; ids are 0 to V - 1.
    """

    tensors_form: ClassVar[type[Form]] = IdsStep
    num_tokens: int

    @abstractmethod
    def _pending_ids(self, pending: bytes) -> Ids:
        """Return the tokens of pending input."""

    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        check_alone(inputs, "ids")
        ids = inputs.get("ids")
        try:
            values = np.array(ids if _are_few(ids) else validated(IdsStep, inputs).ids, dtype=np.int64)
        except OverflowError:
            raise InvalidInput("an id does not fit 64 bits", ("ids",)) from None
        self.check_tensors(values)
        return values

    def check_tensors(self, values: Array) -> None:
        if values.dtype != np.int64 or values.ndim != 1:
            raise InvalidInput(f"ids are INT64 (T,) for each session, not {values.dtype} {values.shape}", ("ids",))
        if values.size <= FEW:  # true of most steps, and then a list is faster than numpy
            few = values.tolist()
            if min(few) >= 0 and max(few) < self.num_tokens:
                return
        if values.min() < 0 or values.max() >= self.num_tokens:
            wrong = values[(values < 0) | (values >= self.num_tokens)][0]
            raise InvalidInput(f"{wrong} is not a token; tokens are 0 to {self.num_tokens - 1}", ("ids",))

    def items(self, state: SequenceState, values: Array) -> Items:
        if not state.pending:
            return Items(values, 0, state)
        pending = self._pending_ids(state.pending)
        return Items(np.concatenate([pending, values]), len(pending), state._replace(pending=b""))

    async def _advance(
        self, state: SequenceState, ids: Ids, keep: bool = False
    ) -> tuple[SequenceState, NDArray[np.float32]]:
        """Read tokens (T,).

        Returns:
            The state after them, and the logits after each of them, float32 (T, num_logits); no rows unless `keep`.
        """
        logits = np.empty((0, self.num_logits), dtype=np.float32)
        if not len(ids):
            return state, logits
        advance = await self.engine.advance(ITEM_STAGE, state.row, {"x": ids}, len(ids), ["logits"] if keep else [])
        return state.advanced(advance.row, len(ids)), advance.outputs.get("logits", logits)


def _are_few(ids: object) -> bool:
    """Whether these are a few integers, as in most steps: a form that would say so takes ten times as long."""
    return isinstance(ids, list) and 0 < len(ids) <= FEW and set(map(type, ids)) == {int}
