"""What sessions and surfaces need of a served model, whatever it does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from service.bundle.errors import BundleGraphMismatch
from service.bundle.manifest import Bundle, ForecastingTask, GenerationTask, SentimentTask
from service.engine import Engine
from service.errors import InvalidInput
from service.forms import Form
from service.state import SequenceState

Inputs = TypeVar("Inputs", bound=Form)
Spec = TypeVar("Spec", SentimentTask, GenerationTask, ForecastingTask)


class ServedModel(ABC, Generic[Inputs]):
    """A bundle behind its engine, in the language of its task.

    Attributes:
        kind: Name of the task in manifests.
        inputs_form: What a session's step reads.
        needs: Inputs and outputs of each stage that the task works with.

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

    def parse(self, inputs: dict[str, Any]) -> Inputs:
        """The inputs of a step, validated.

        Raises:
            InvalidInput: They are not what this model reads.
        """
        try:
            return self.inputs_form.model_validate(inputs)  # type: ignore[return-value]  # ClassVar cannot hold a TypeVar
        except ValidationError as error:
            raise InvalidInput.of_fields(error.errors(include_context=False)) from error

    @abstractmethod
    def initial_state(self) -> SequenceState:
        """The state of a sequence that has read nothing."""

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
