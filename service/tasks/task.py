"""What sessions and surfaces need of a served model, whatever it does."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from service.bundle.errors import BundleGraphMismatch
from service.bundle.manifest import Bundle
from service.bundle.manifest_model import ManifestModel
from service.bundle.stage import ITEM_STAGE
from service.engine.engine import Engine
from service.engine.state import SINGLE_ROW, Array, RowLayout, SequenceState
from service.errors import InvalidInput, NotStreamable, TooLarge
from service.forms.form import Form

MAX_ANSWERED_VALUES = 2**23  # to a request: as JSON about 100 MB

Inputs = TypeVar("Inputs", bound=Form)
F = TypeVar("F", bound=Form)
Piece = dict[str, Any]  # of an answer that is streamed: one of its fields, as far as it goes on
Spec = TypeVar("Spec", bound=ManifestModel)  # of the manifest: what it says of a task


class Items(NamedTuple):
    """What a step in tensors takes through the stage "encode".

    Attributes:
        values: The items (T, ...), those of pending input first.
        num_pending: How many of them come from pending input, which is not answered.
        state: Where they start from; nothing is pending in it any more.
    """

    values: Array
    num_pending: int
    state: SequenceState


# No ABC: `isinstance` of one takes twenty times as long, and every step asks. mypy looks after abstract methods.
class ServedModel:
    """A bundle behind its engine, in the language of its task.

    Attributes:
        kind: Name of the task in manifests.
        inputs_form: What it is asked: by a step of a session, or by a question where there are no sessions on it.
        needs: Inputs and outputs of each stage that the task works with.
        layout: Where the state tensors lie in a row.

    Args:
        bundle: The bundle that is served.
        engine: Takes its rows through the graphs.

    Raises:
        BundleGraphMismatch: The bundle's stages lack some of what the task needs.
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
        """What the manifest says of the task, which must be of that kind."""
        task = self.bundle.manifest.task
        if not isinstance(task, kind):
            raise BundleGraphMismatch(f"{self.bundle.tag} is a bundle for {task.kind}")
        return task

    @property
    def name(self) -> str:
        """Name under which clients ask for it."""
        return self.bundle.manifest.name


class SequenceModel(ServedModel, Generic[Inputs]):
    """A model that sequences may be read by in pieces: there are sessions on it."""

    def parse(self, inputs: dict[str, Any]) -> Inputs:
        """The inputs of a step, validated.

        Raises:
            InvalidInput: They are not what this model reads.
        """
        return validated(self.inputs_form, inputs)  # type: ignore[return-value]  # ClassVar cannot hold a TypeVar

    def initial_state(self) -> SequenceState:
        """The state of a sequence that has read nothing: one row, unless a model says otherwise."""
        return SequenceState((self.layout.initial,), SINGLE_ROW)

    @abstractmethod
    async def step(self, state: SequenceState, inputs: Inputs, seed: int) -> tuple[dict[str, Any], SequenceState]:
        """Advance a sequence by one request.

        Args:
            state: Where it stands; not changed.
            inputs: What the client sent.
            seed: Chance for what the client leaves to chance.

        Returns:
            The outputs, ready for JSON, and the next state.
        """


class TensorModel(SequenceModel[Inputs]):
    """A model whose steps may be in tensors, too: its items are one tensor, which the stage "encode" reads.

    Attributes:
        tensors_form: What a step in tensors reads: one field, named as clients name the tensor.
        has_logits: Whether a step in tensors may ask for logits.
        num_logits: How many there are of each item.

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
        """What clients call the tensor of a step in tensors."""
        return next(iter(self.tensors_form.model_fields))

    def takes_tensors(self, inputs: Mapping[str, Any]) -> bool:
        """Whether inputs are in tensors, not in the model's own language."""
        return self.tensors_name in inputs

    @abstractmethod
    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        """The items of a step in tensors.

        Returns:
            int64 (T,) for tokens, float64 (T, segment) for readings.

        Raises:
            InvalidInput: They are not what this model reads.
        """

    @abstractmethod
    def check_tensors(self, values: Array) -> None:
        """Raise InvalidInput where items (T,) of tokens or (T, segment) of readings are not what it reads."""

    def check_answer(self, num_items: int) -> None:
        """Raise TooLarge where the logits of so many items are more than one request may be answered."""
        num_values, most = num_items * self.num_logits, MAX_ANSWERED_VALUES
        if num_values > most:
            limit = f"{num_items} items would return {num_values} logits; a response may hold at most {most}"
            raise TooLarge(
                f"{limit}: ask for argmax or none, or send at most {most // self.num_logits} items at a time"
            )

    @abstractmethod
    def items(self, state: SequenceState, values: Array) -> Items:
        """What a step in tensors takes through the graph, from where a sequence stands.

        Raises:
            InvalidInput: The sequence cannot take tensors now.
        """


def tensor_model(model: ServedModel) -> TensorModel[Any]:
    """A model as one that is asked in tensors.

    Raises:
        NotStreamable: It needs whole inputs.
        InvalidInput: Its items are more than a tensor.
    """
    if isinstance(model, TensorModel):
        return model
    if isinstance(model, SequenceModel):
        raise InvalidInput(f"{model.name} reads no tensors, only its own form of input: see GET /models")
    raise NotStreamable(f"{model.name} needs whole inputs in its own form: see GET /models")


def validated(form: type[F], inputs: dict[str, Any]) -> F:
    """Inputs as a form.

    Raises:
        InvalidInput: They are not of that form.
    """
    try:
        return form.model_validate(inputs)
    except ValidationError as error:
        raise InvalidInput.of(error) from error


def check_alone(inputs: Mapping[str, Any], name: str) -> None:
    """Raise InvalidInput where there is anything beside the tensor of that name."""
    if len(inputs) > 1:
        others = " and ".join(sorted(set(inputs) - {name}))
        raise InvalidInput(f"give {name} alone, or {others} without {name}")
