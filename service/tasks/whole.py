"""What models have in common that read whole inputs only: no sessions, and so no steps."""

from typing import Any, ClassVar

from service.engine.state import Array, SequenceState
from service.errors import NotStreamable
from service.forms.form import Form
from service.tasks.task import Items, ServedModel


class NoTensors(Form):
    """What a step in tensors reads where there are none."""


class WholeInputModel(ServedModel[Form]):
    """A model that needs the whole input at once: texts it reads backwards too, or an image. Sessions are refused."""

    tensors_form: ClassVar[type[Form]] = NoTensors

    @property
    def tensors_name(self) -> str:
        return ""

    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        raise self._refusal()

    def check_tensors(self, values: Array) -> None:
        raise self._refusal()

    def items(self, state: SequenceState, values: Array) -> Items:
        raise self._refusal()

    def initial_state(self) -> SequenceState:
        raise self._refusal()

    async def step(self, state: SequenceState, inputs: Form, seed: int) -> tuple[dict[str, Any], SequenceState]:
        raise self._refusal()

    def _refusal(self) -> NotStreamable:
        return NotStreamable.of_model(self.name)
