"""Steps that read no input: saving and forgetting checkpoints, rolling back, migrating.

Each is a compare-and-swap on the session's record, so a race with other steps loses nothing. The loser tries again, or
gets a conflict if it named a step.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from service.bundle.stage import ITEM_STAGE
from service.concurrency.open_answers import OpenAnswers
from service.decoding.sampling import derived_seed
from service.errors import NotMigratable, ServiceError, StepConflict, TooManyCheckpoints
from service.forms.sessions import MigrateRequest, RollbackRequest
from service.metrics import Metrics
from service.record.body import Body, encode
from service.record.checkpoint_ids import checkpoint_name
from service.record.digest import inputs_digest
from service.record.expiry import stored_second
from service.record.replay import kept_steps
from service.record.sequence_state import SequenceState
from service.sessions.checkpoints import Checkpoints, saved_as
from service.sessions.live_session import LiveSession, model_name
from service.sessions.sessions import Sessions
from service.steps.step_rules import MAX_ATTEMPTS, check_next, contended, is_repeated
from service.steps.turn import Answer
from service.stores.base import Record, Swap
from service.tasks.models import Models
from service.tasks.task import SequenceModel, TensorModel


class Transitions:
    """Takes steps that read no input.

    Args:
        sessions: The live sessions.
        checkpoints: Their checkpoints.
        models: The served models.
        metrics: Counts repeated steps, and those refused because another step is next.
        max_checkpoints: How many checkpoints a session may have.
        open_answers: Limits how long rereading a session's inputs may take, over all attempts.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        sessions: Sessions,
        checkpoints: Checkpoints,
        models: Models,
        metrics: Metrics,
        max_checkpoints: int,
        open_answers: OpenAnswers,
        clock: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._checkpoints = checkpoints
        self._models = models
        self._metrics = metrics
        self._max_checkpoints = max_checkpoints
        self._open_answers = open_answers
        self._clock = clock

    async def save(self, owner: str, session_id: str, name: str, step: int | None = None) -> Answer:
        """Save a session's state as a named checkpoint, as its next step. Replaces an older one of the same name."""

        async def after(loaded: LiveSession) -> LiveSession:
            saved = {checkpoint_name(each): each for each in loaded.body.checkpoints}
            if name not in saved and len(saved) >= self._max_checkpoints:
                raise TooManyCheckpoints(f"a session may have at most {self._max_checkpoints} checkpoints")
            saved[name] = await self._checkpoints.write(loaded, name)
            return loaded._replace(body=loaded.body._replace(checkpoints=tuple(saved.values())))

        return await self._take(owner, session_id, step, {"save": name}, after)

    async def forget(self, owner: str, session_id: str, name: str, step: int | None = None) -> Answer:
        """Forget a checkpoint, as the session's next step."""

        async def after(loaded: LiveSession) -> LiveSession:
            forgotten = saved_as(loaded, name)
            others = tuple(each for each in loaded.body.checkpoints if each != forgotten)
            return loaded._replace(body=loaded.body._replace(checkpoints=others))

        return await self._take(owner, session_id, step, {"forget": name}, after)

    async def roll_back(self, owner: str, session_id: str, request: RollbackRequest) -> Answer:
        """Return to a checkpoint, as the session's next step."""

        async def after(loaded: LiveSession) -> LiveSession:
            _, saved = await self._checkpoints.load(loaded, request.checkpoint)
            body = loaded.body._replace(state=saved.state, numerics=saved.numerics, inputs=saved.inputs)
            return loaded._replace(body=body)

        return await self._take(owner, session_id, request.step, {"rollback": request.checkpoint}, after)

    async def migrate(self, owner: str, session_id: str, request: MigrateRequest) -> Answer:
        """Move a session to another version of its bundle by rereading all its inputs, as its next step.

        Raises:
            NotMigratable: Its inputs were not kept, or outgrew the limit, or the version cannot read them.
            DeadlineExceeded: Rereading them took too long, over all attempts.
        """
        started = time.perf_counter()

        async def after(loaded: LiveSession) -> LiveSession:
            model = self._target(loaded.record, request.bundle)
            async with self._open_answers.answer(since=started):
                state = await _read_again(model, loaded.body)
            body = loaded.body._replace(state=state, numerics=self._models.numerics)
            return loaded._replace(record=loaded.record._replace(bundle=model.bundle.tag), body=body)

        def answer_of(moved: LiveSession) -> dict[str, Any]:
            return {"migrate": moved.record.bundle}

        return await self._take(owner, session_id, request.step, {"migrate": request.bundle}, after, answer_of)

    async def _take(
        self,
        owner: str,
        session_id: str,
        step: int | None,
        request: dict[str, Any],
        after: Callable[[LiveSession], Awaitable[LiveSession]],
        answer_of: Callable[[LiveSession], dict[str, Any]] | None = None,
    ) -> Answer:
        """Take a step that reads no input, exactly once if its number is given.

        Args:
            after: Returns the session after the step, given the one before. Called again if another writer was first.
            answer_of: Returns the answer, given the session after the step. None to answer with the request.
        """
        digest = inputs_digest(request)
        for _ in range(MAX_ATTEMPTS):
            loaded = await self._sessions.load(owner, session_id)
            record, body, _ = loaded
            if is_repeated(record, body, step, digest):
                self._check_saved(loaded, request.get("save"))
                self._metrics.step_replays.inc()
                return Answer(session_id, record.step, body.answer)
            self._check_next(record, step)
            following = await after(loaded)
            following = following.used_at(stored_second(self._clock()))
            answer = orjson.dumps(request if answer_of is None else answer_of(following))
            content = encode(following.body._replace(digest=digest, answer=answer, before=None))
            taken = following.record._replace(step=record.step + 1, body=content)
            before, now = set(body.checkpoints), set(following.body.checkpoints)
            if await self._sessions.write(Swap(taken, record.step)):
                await self._checkpoints.delete(session_id, before - now)
                return Answer(session_id, taken.step, answer)
            await self._checkpoints.delete_lost(session_id, now - before)
        raise contended((await self._sessions.load(owner, session_id)).record.step)

    def _check_saved(self, loaded: LiveSession, name: str | None) -> None:
        """Raise StepConflict if only the session that this one was forked or imported from has the checkpoint."""
        if name is None or name in map(checkpoint_name, loaded.body.checkpoints):
            return
        self._metrics.step_conflicts.inc()
        step = loaded.record.step
        raise StepConflict(
            f"step {step - 1} saved checkpoint {name!r} in the session that this one was forked or imported from, and "
            f"checkpoints stay there; step {step} is next, and may save it here",
            step,
        )

    def _check_next(self, record: Record, step: int | None) -> None:
        try:
            check_next(record, step)
        except StepConflict:
            self._metrics.step_conflicts.inc()
            raise

    def _target(self, record: Record, tag: str | None) -> SequenceModel[Any]:
        name = model_name(record.bundle)
        if tag is None:
            return self._models.current(name)
        if model_name(tag) != name:
            raise NotMigratable(f"the session lives on {record.bundle}; {tag} is not a version of that")
        return self._models.by_tag(tag)


async def _read_again(model: SequenceModel[Any], body: Body) -> SequenceState:
    """Return the state after all inputs that a session has kept."""
    if body.inputs is None:
        raise NotMigratable(
            "the session keeps no inputs to replay: it was not created with `keep_inputs`, or they outgrew "
            "UNROLLED_MAX_KEPT_INPUT_BYTES. If its version is not served, it goes on once the operator has put it back "
            "into the model store"
        )
    state = model.initial_state()
    try:
        for kept in kept_steps(body.inputs):
            # Earlier versions also kept what does not advance a session.
            if inputs := model.advancing(kept.inputs):
                state = await _taken(model, state, inputs, derived_seed(kept.secret or body.secret.hex(), kept.step))
    except ServiceError as error:
        if error.retry_after_seconds is not None:  # not the inputs' fault: the queue is full, for instance
            raise
        raise NotMigratable(f"{model.bundle.tag} cannot read the session's inputs: {error}") from error
    return state


async def _taken(model: SequenceModel[Any], state: SequenceState, inputs: dict[str, Any], seed: int) -> SequenceState:
    """Return the state after one kept step."""
    if not (isinstance(model, TensorModel) and model.takes_tensors(inputs)):
        _, following = await model.step(state, model.parse(inputs), seed)
        return following
    items = model.items(state, model.read_tensors(inputs))
    advance = await model.engine.advance(ITEM_STAGE, items.state.row, {"x": items.values}, len(items.values))
    return items.state.advanced(advance.row, items.values.size)
