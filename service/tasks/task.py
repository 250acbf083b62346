"""What sessions and surfaces need from a served model, whatever its task."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from service.bundle.errors import BundleGraphMismatch
from service.bundle.manifest import Bundle
from service.bundle.manifest_model import ManifestModel
from service.bundle.stage import ITEM_STAGE
from service.engine.engine import Engine
from service.engine.state import Array, RowLayout
from service.errors import InvalidInput, NotStreamable, TooLarge
from service.forms.form import Form
from service.record.sequence_state import SINGLE_ROW, SequenceState

MAX_ANSWERED_VALUES = 2**23  # per request: about 100 MB as JSON

StepInputs = TypeVar("StepInputs", bound=Form)
F = TypeVar("F", bound=Form)
Piece = dict[str, Any]  # of a streamed answer: one of its fields, with the part to append to it
Spec = TypeVar("Spec", bound=ManifestModel)  # the manifest's part about a task


class Items(NamedTuple):
    """What a step in tensors runs through the stage "encode".

    Attributes:
        values: The items (T, ...), those of pending input first.
        num_pending: How many of them come from pending input, whose outputs are not returned.
        state: The state to start from, with nothing pending any more.
    """

    values: Array
    num_pending: int
    state: SequenceState


# Not an ABC: its `isinstance` takes twenty times as long, and every step calls it. mypy checks abstract methods.
class ServedModel:
    """A bundle behind its engine, in the language of its task.

    Attributes:
        kind: Name of the task in manifests.
        inputs_form: Form of a step's inputs, or of a whole question if the model has no sessions.
        needs: Inputs and outputs that the task needs of each stage.
        layout: Where the state tensors lie in a row.

    Args:
        bundle: The bundle that is served.
        engine: Runs its rows through the graphs.

    Raises:
        BundleGraphMismatch: The bundle's stages lack something that the task needs.
    """

    kind: ClassVar[str]
    inputs_form: ClassVar[type[Form]]
    needs: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        stages = {stage.name: stage for stage in bundle.manifest.stages}
        for name, tensors in self.needs.items():
            has = {tensor.name for tensor in (*stages[name].inputs, *stages[name].outputs)} if name in stages else set()
            if missing := set(tensors) - has:
                raise BundleGraphMismatch(f"{bundle.tag}: stage {name!r} lacks {sorted(missing)}")
        self.bundle = bundle
        self.engine = engine
        self.layout = RowLayout(bundle.manifest.state)

    def spec(self, kind: type[Spec]) -> Spec:
        """Return the manifest's part about the task, which must be of this kind."""
        task = self.bundle.manifest.task
        if not isinstance(task, kind):
            raise BundleGraphMismatch(f"{self.bundle.tag} is a bundle for {task.kind}")
        return task

    @property
    def name(self) -> str:
        """Name by which clients request it."""
        return self.bundle.manifest.name


class SequenceModel(ServedModel, Generic[StepInputs]):
    """A model that can read sequences in pieces, so it has sessions.

    Attributes:
        outputs_forms: Forms of what a step returns that is not in tensors.
    """

    outputs_forms: ClassVar[tuple[type[Form], ...]]

    def parse(self, inputs: dict[str, Any]) -> StepInputs:
        """Validate and return the inputs of a step.

        Raises:
            InvalidInput: The model cannot read them. If it has no field of some name, the message says which it has.
        """
        try:
            return self.inputs_form.model_validate(inputs)  # type: ignore[return-value]  # ClassVar holds no TypeVar
        except ValidationError as error:
            raise self._with_names(InvalidInput.of(error)) from error

    def _with_names(self, refusal: InvalidInput) -> InvalidInput:
        """Say which fields there are where a refusal says that there is no such field."""
        names = self._input_names()
        unknown = f"there is no such field; sessions on {self.name!r} take {', '.join(names)}"
        refusal.errors = [
            (location, unknown if len(location) == 1 and location[0] not in names else message)
            for location, message in refusal.errors
        ]
        return refusal

    def initial_state(self) -> SequenceState:
        """Return the state of a sequence that has read nothing: one row, unless a model overrides this."""
        return SequenceState((self.layout.initial,), SINGLE_ROW)

    def advancing(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return those of a step's inputs, in JSON form, that its state after the step depends on.

        All of them, unless a model overrides this; {} if the step does not change the state.
        """
        return inputs

    def _input_names(self) -> list[str]:
        """Return the names of the fields that a step may have."""
        return list(self.inputs_form.model_fields)

    @abstractmethod
    async def step(self, state: SequenceState, inputs: StepInputs, seed: int) -> tuple[dict[str, Any], SequenceState]:
        """Advance a sequence by one request.

        Args:
            state: The sequence's state; not changed.
            inputs: What the client sent.
            seed: Seed for sampling, unless the client gives one.

        Returns:
            The outputs, ready for JSON, and the next state.
        """

    async def stream(
        self, state: SequenceState, inputs: StepInputs, seed: int, on_piece: Callable[[Piece], None]
    ) -> tuple[dict[str, Any], SequenceState]:
        """Take a step as `step` does, and pass pieces of its answer to `on_piece` as they become certain.

        A model that does not override this passes none.
        """
        return await self.step(state, inputs, seed)


class TensorModel(SequenceModel[StepInputs]):
    """A model whose steps may also be in tensors: its items are one tensor, which the stage "encode" reads.

    Attributes:
        tensors_form: Form of a step in tensors: one field, named as clients name the tensor.
        has_logits: Whether a step in tensors may ask for logits.
        num_logits: Number of logits per item.

    Raises:
        BundleGraphMismatch: "encode" reads more than the items.
    """

    tensors_form: ClassVar[type[Form]]

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        stage = bundle.manifest.stage(ITEM_STAGE)
        if len(stage.inputs) > 1:
            more = sorted(tensor.name for tensor in stage.inputs)
            raise BundleGraphMismatch(f"{bundle.tag}: stage {ITEM_STAGE!r} reads {more}, not one tensor")
        shape = next((tensor.shape for tensor in stage.outputs if tensor.name == "logits"), None)
        self.has_logits = shape is not None
        self.num_logits = math.prod(axis for axis in shape if isinstance(axis, int)) if shape is not None else 0

    @cached_property
    def tensors_name(self) -> str:
        """Clients' name for the tensor of a step in tensors."""
        return next(iter(self.tensors_form.model_fields))

    def _input_names(self) -> list[str]:
        return [*super()._input_names(), self.tensors_name]

    def takes_tensors(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether inputs are in tensors rather than in the model's own language."""
        return self.tensors_name in inputs

    @abstractmethod
    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        """Read and check the items of a step in tensors.

        Returns:
            int64 (T,) for tokens, float64 (T, segment) for readings.

        Raises:
            InvalidInput: The model cannot read them.
        """

    @abstractmethod
    def check_tensors(self, values: Array) -> None:
        """Raise InvalidInput if the model cannot read these items, tokens (T,) or readings (T, segment)."""

    def check_answer(self, num_items: int) -> None:
        """Raise TooLarge if the logits of this many items are more than one request may return."""
        num_values, most = num_items * self.num_logits, MAX_ANSWERED_VALUES
        if num_values > most:
            limit = f"{num_items} items would return {num_values} logits; a response may hold at most {most}"
            raise TooLarge(
                f"{limit}: ask for argmax or none, or send at most {most // self.num_logits} items at a time"
            )

    @abstractmethod
    def items(self, state: SequenceState, values: Array) -> Items:
        """Return what a step in tensors runs through the graph, given a sequence's state.

        Raises:
            InvalidInput: The sequence cannot take tensors now.
        """


def tensor_model(model: ServedModel) -> TensorModel[Any]:
    """Return a model as one that takes tensors.

    Raises:
        NotStreamable: It needs whole inputs.
        InvalidInput: Its items are not a single tensor.
    """
    if isinstance(model, TensorModel):
        return model
    if isinstance(model, SequenceModel):
        raise InvalidInput(f"{model.name} reads no tensors, only its own form of input: see GET /models")
    raise NotStreamable(f"{model.name} needs whole inputs in its own form: see GET /models")


def validated(form: type[F], inputs: dict[str, Any]) -> F:
    """Return inputs as a form.

    Raises:
        InvalidInput: They are not valid for that form.
    """
    try:
        return form.model_validate(inputs)
    except ValidationError as error:
        raise InvalidInput.of(error) from error


def check_alone(inputs: Mapping[str, Any], name: str) -> None:
    """Raise InvalidInput if there is anything besides the tensor of this name."""
    if len(inputs) > 1:
        others = " and ".join(sorted(set(inputs) - {name}))
        raise InvalidInput(f"give {name} alone, or {others} without {name}")
