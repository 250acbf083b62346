"""What a step computes: one run of a graph for tensors, as many as it takes in the model's own language."""

import asyncio
from functools import partial
from typing import Any, Protocol

import orjson

from service.bundle.stage import ITEM_STAGE
from service.decoding.sampling import derived_seed
from service.engine.job import RowJob
from service.engine.state import Array, SequenceState
from service.errors import InvalidInput, NotStreamable
from service.forms.form import Form
from service.record.digest import inputs_digest, tensors_digest
from service.steps.turn import Ask, Returns, Turn, returned
from service.tasks.language import LanguageModel
from service.tasks.task import Items, TensorModel, tensor_model


class Completion(Protocol):
    """Who is told what becomes of a computation."""

    def settle(self, turn: Turn, digest: bytes) -> bool:
        """Answer a turn without computing, or else set its step and state; whether it is answered. Raises refusals."""

    def complete(self, turn: Turn, outputs: bytes, state: SequenceState) -> None:
        """A turn has its outputs, JSON, and the state after it."""

    def refuse(self, turn: Turn, error: Exception) -> None:
        """A turn cannot be computed."""


def begin(turn: Turn, completion: Completion) -> RowJob | None:
    """Begin to compute a turn; the job, where it is one that the caller should hand to the engine with others.

    Raises:
        ServiceError: It is refused.
    """
    ask = turn.ask
    if ask.is_streamed and (ask.inputs or {}).get("generate") is None:
        raise NotStreamable('only {"generate": ...} is answered as a stream')
    model = _asked_in_tensors(turn)
    _check_returns(ask.returns, model)
    try:
        if model is not None:
            return _tensors_job(turn, model, completion)
        form = turn.model.parse(ask.inputs or {})
    except InvalidInput as error:
        raise error.within("inputs") from None
    if not completion.settle(turn, inputs_digest(form.model_dump())):
        turn.task = asyncio.get_running_loop().create_task(_compute(turn, completion, form))
    return None


def _asked_in_tensors(turn: Turn) -> TensorModel[Any] | None:
    """The model of a turn, where that is in tensors.

    Raises:
        InvalidInput: It is, and the model reads none.
    """
    if turn.ask.values is not None:
        return tensor_model(turn.model)
    model = turn.model
    return model if isinstance(model, TensorModel) and model.takes_tensors(turn.ask.inputs or {}) else None


def _check_returns(returns: Returns | None, model: TensorModel[Any] | None) -> None:
    """Refuse to return what a step cannot have: in tensors on that model, or in another language."""
    if returns is not None and model is None:
        raise InvalidInput("only a step in tensors says what it returns", ("return",))
    if returns not in (None, "none") and model is not None and not model.has_logits:
        raise InvalidInput(f"{model.name} has no logits: ask for none", ("return",))


def _tensors_job(turn: Turn, model: TensorModel[Any], completion: Completion) -> RowJob | None:
    values = _values(turn.ask, model)
    returns = returned(turn.ask.returns, model)
    if completion.settle(turn, tensors_digest(values, returns)):
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
        done=partial(_ran, turn, model, completion, items, returns),
    )
    return turn.job


def _values(ask: Ask, model: TensorModel[Any]) -> Array:
    """The items of a step in tensors, checked."""
    if ask.values is None:
        return model.read_tensors(ask.inputs or {})
    model.check_tensors(ask.values)
    return ask.values


def _ran(
    turn: Turn, model: TensorModel[Any], completion: Completion, items: Items, returns: Returns, job: RowJob
) -> None:
    turn.job = None
    if job.error is not None:
        completion.refuse(turn, job.error)
        return
    if returns != "none":
        turn.values = model.engine.outputs_of(job)[returns][items.num_pending :]
    outputs = {} if turn.values is None else {returns: turn.values}
    state = items.state.advanced(job.row, items.values.size)
    completion.complete(turn, orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY), state)


async def _compute(turn: Turn, completion: Completion, inputs: Form) -> None:
    seed = derived_seed(turn.body.secret.hex(), turn.step)
    model = turn.model
    try:
        if not turn.ask.is_streamed:
            outputs, state = await model.step(turn.state, inputs, seed)
        elif isinstance(model, LanguageModel):
            outputs, state = await model.stream(turn.state, inputs, seed, turn.on_piece)
        else:
            raise NotStreamable(f"{model.name} answers nothing as a stream")
    except Exception as error:
        turn.task = None
        completion.refuse(turn, error.within("inputs") if isinstance(error, InvalidInput) else error)
    else:
        turn.task = None
        completion.complete(turn, orjson.dumps(outputs), state)
