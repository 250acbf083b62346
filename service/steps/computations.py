"""Computes steps: a single job for a step in tensors, as many as it takes for one in the model's own language."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson

from service.bundle.stage import ITEM_STAGE
from service.decoding.sampling import derived_seed
from service.engine.job import RowJob
from service.engine.state import Array
from service.errors import InvalidInput, NotStreamable, ServiceError
from service.forms.form import Form
from service.forms.steps import MAX_STEP_ITEMS, Returns
from service.metrics import Metrics
from service.record.digest import inputs_digest, tensors_digest
from service.record.sequence_state import SequenceState
from service.steps.commits import Commits
from service.steps.endings import Endings
from service.steps.large_logits import are_many
from service.steps.step_rules import StepRules
from service.steps.turn import Answer, Ask, Turn, returned
from service.tasks.task import Items, TensorModel, tensor_model


class Computations:
    """Computes turns whose sessions are loaded, and passes them on to be committed.

    Args:
        rules: Decide which step a turn computes.
        commits: Commits computed turns.
        endings: Ends turns that need no commit.
        metrics: Counts replays.
        take_alone: Retries turns from the store's records.
    """

    def __init__(
        self,
        rules: StepRules,
        commits: Commits,
        endings: Endings,
        metrics: Metrics,
        take_alone: Callable[[Sequence[Turn]], None],
    ) -> None:
        self._rules = rules
        self._commits = commits
        self._endings = endings
        self._metrics = metrics
        self._take_alone = take_alone

    def start(self, turn: Turn) -> RowJob | None:
        """Start computing a turn.

        Returns:
            The job of a step in tensors, for the caller to submit to the engine together with others; None if there is
            nothing to submit.

        Raises:
            ServiceError: The turn is refused.
        """
        ask = turn.ask
        if ask.is_streamed and (ask.inputs or {}).get("generate") is None:
            raise NotStreamable('only {"generate": ...} can be streamed')
        model = _asked_in_tensors(turn)
        _check_returns(ask.returns, model)
        try:
            if model is not None:
                return self._tensors_job(turn, model)
            form = turn.model.parse(ask.inputs or {})
        except InvalidInput as error:
            raise error.within("inputs") from None
        if not self._settle(turn, inputs_digest(form.model_dump())):
            turn.task = asyncio.get_running_loop().create_task(self._compute(turn, form))
        return None

    def _tensors_job(self, turn: Turn, model: TensorModel[Any]) -> RowJob | None:
        values = _values(turn.ask, model)
        returns = returned(turn.ask.returns, model)
        if self._settle(turn, tensors_digest(values, returns)):
            return None
        if returns == "logits":
            model.check_answer(max(len(values), turn.ask.num_request_items))
        items = model.items(turn.state, values)
        turn.job = RowJob(
            ITEM_STAGE,
            len(items.values),
            row=items.state.row,
            inputs={"x": items.values},
            keep=() if returns == "none" else (returns,),
            on_done=partial(self._ran, turn, model, items, returns),
        )
        return turn.job

    def _ran(self, turn: Turn, model: TensorModel[Any], items: Items, returns: Returns, job: RowJob) -> None:
        turn.job = None
        if job.error is not None:
            self._refuse(turn, job.error)
            return
        try:
            if returns != "none":
                turn.values = model.engine.outputs_of(job)[returns][items.num_pending :]
            outputs = b""
            if not are_many(returns, turn.values):
                shown = {} if turn.values is None else {returns: turn.values}
                outputs = orjson.dumps(shown, option=orjson.OPT_SERIALIZE_NUMPY)
            self._complete(turn, outputs, items.state.advanced(job.row, items.values.size))
        except Exception as error:  # the engine would log it, and the client wait for its deadline
            self._endings.fail(turn, error)

    async def _compute(self, turn: Turn, inputs: Form) -> None:
        seed = derived_seed(turn.body.secret.hex(), turn.step)
        try:
            outputs, state = await turn.model.stream(turn.state, inputs, seed, turn.on_piece)
            answer = orjson.dumps(outputs)
        except Exception as error:
            turn.task = None
            self._refuse(turn, error.within("inputs") if isinstance(error, InvalidInput) else error)
        else:
            turn.task = None
            self._complete(turn, answer, state)

    def _settle(self, turn: Turn, digest: bytes) -> bool:
        """Set the step that a turn computes and its state, or answer the turn if its answer is already stored.

        Returns:
            Whether the turn has been answered.
        """
        answer = self._rules.settle(turn, digest)
        if answer is not None:
            self._endings.answer(turn, answer)
        if turn.is_replay or answer is not None:
            self._metrics.step_replays.inc()
        return answer is not None

    def _complete(self, turn: Turn, outputs: bytes, state: SequenceState) -> None:
        """Pass a computed turn on to be committed; answer a replay at once."""
        if turn.is_over:
            return
        turn.outputs = outputs
        if turn.is_replay:
            record, is_changed = turn.record, self._rules.is_changed(turn)
            self._endings.answer(turn, Answer(record.session_id, record.step, outputs, turn.values, is_changed))
            return
        turn.state = state
        self._commits.add(turn)

    def _refuse(self, turn: Turn, error: Exception) -> None:
        """Refuse a turn, or retry it if its session was a guess: the store's session may accept its inputs."""
        is_for_its_inputs = isinstance(error, ServiceError) and error.retry_after_seconds is None
        if turn.is_guess and is_for_its_inputs and not turn.is_over:
            self._take_alone([turn])
        else:
            self._endings.fail(turn, error)


def _asked_in_tensors(turn: Turn) -> TensorModel[Any] | None:
    """Return the model of a turn that is in tensors; None for one in the model's own language.

    Raises:
        InvalidInput: The turn is in tensors, and the model accepts none.
    """
    if turn.ask.values is not None:
        return tensor_model(turn.model)
    model = turn.model
    return model if isinstance(model, TensorModel) and model.takes_tensors(turn.ask.inputs or {}) else None


def _check_returns(returns: Returns | None, model: TensorModel[Any] | None) -> None:
    """Raise InvalidInput if a step cannot return the requested output. `model` is None unless it is in tensors."""
    if returns is not None and model is None:
        raise InvalidInput("only a step in tensors takes `return`", ("return",))
    if returns not in (None, "none") and model is not None and not model.has_logits:
        raise InvalidInput(f"{model.name} has no logits: ask for none", ("return",))


def _values(ask: Ask, model: TensorModel[Any]) -> Array:
    """Return the items of a step in tensors, checked."""
    if ask.values is None:
        return model.read_tensors(ask.inputs or {})
    if len(ask.values) > MAX_STEP_ITEMS:  # refused as the forms refuse a list
        message = f"List should have at most {MAX_STEP_ITEMS} items after validation, not {len(ask.values)}"
        raise InvalidInput(message, (model.tensors_name,))
    model.check_tensors(ask.values)
    return ask.values
