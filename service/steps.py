"""Steps of sessions, exactly once and in order, many sessions at a time.

    ask ─► one turn per session ─► load ─► admit ─► compute ─► commit ─► answer
               (others wait)      batched            batched   batched

Everything but the graph's run and a distant store's answers happens on the event loop, for as many sessions at once as
have arrived: their records are loaded in one call, their rows run together, and what a run finishes is committed in one
call while the next run is under way. A step is acknowledged only after the store has it. A turn that is refused, called
off or raced for is resolved alone.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import orjson

from service.admission import admitted
from service.body import NUMERICS_UNKNOWN, Body, BodyUnreadable, begun, decode, encode
from service.digest import inputs_digest, tensors_digest
from service.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotStreamable,
    NumericsChanged,
    ServiceError,
    SessionDamaged,
    SessionGone,
    ShuttingDown,
    StepConflict,
    StoreUnavailable,
    TooBusy,
)
from service.forms import CharacterStep, Form
from service.job import RowJob
from service.metrics import Metrics
from service.recent import Latest, Recent
from service.replay import appended
from service.sampling import derived_seed
from service.settings import SessionSettings
from service.state import SequenceState
from service.stores.base import Damaged, Record, Store, Swap, Unavailable
from service.tasks.generation import Finished, GenerationModel
from service.tasks.task import ServedModel
from service.turn import Answer, Ask, Turn
from service.waiting import run_now

logger = logging.getLogger(__name__)

MAX_KEPT_ANSWER_BYTES = 64 * 1024
MAX_WAITING_PER_SESSION = 256
MAX_ATTEMPTS = 16
ENCODE = "encode"


Jobs = dict[ServedModel[Any], list[RowJob]]


class Models(Protocol):
    """What steps need of a catalog."""

    numerics: bytes

    def on(self, tag: str) -> ServedModel[Any]:
        """The model of a bundle version; raises VersionUnknown."""


class Steps:
    """Takes steps.

    Args:
        store: Keeps the sessions' records.
        models: Served models by bundle version.
        settings: Limits.
        metrics: Counts conflicts and replays.
        timeout_seconds: How long a step may take.
        expire: Told of a record whose time is over.
        clock: Wall-clock seconds since 1970.
        max_recent: Sessions whose latest state is kept at hand.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        settings: SessionSettings,
        metrics: Metrics,
        timeout_seconds: float,
        expire: Callable[[Record], Any],
        clock: Callable[[], float] = time.time,
        max_recent: int = 0,
    ) -> None:
        self._recent = Recent(max_recent)
        self._store = store
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._expire = expire
        self._clock = clock
        # Of each session that has a turn: who waits for the next one.
        self._waiting: dict[str, deque[Turn]] = {}
        self._open: dict[Turn, None] = {}
        self._arrived: list[Turn] = []
        self._computed: list[Turn] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._drained: asyncio.Event | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def take(self, ask: Ask) -> Answer:
        """Take one step.

        Raises:
            StepConflict: The step named is not the next one and not a repetition of the last.
            SessionUnknown: It never existed for this owner.
            SessionGone: It is over.
            InvalidInput: The model cannot read the inputs.
            ServiceError: Any other refusal.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn = Turn(ask, lambda _: None if future.done() else future.set_result(None))
        self.begin(turn)
        try:
            await future
        except asyncio.CancelledError:
            self.call_off(turn)
            raise
        return turn.result()

    def begin(self, turn: Turn) -> None:
        """Begin a turn, whose `done` is told on the event loop, or at once where it is refused."""
        session_id = turn.ask.session_id
        if self._is_draining:
            self._fail(turn, ShuttingDown("the service is about to stop; ask another one, or try again"))
            return
        waiting = self._waiting.get(session_id)
        if waiting is not None and len(waiting) >= MAX_WAITING_PER_SESSION:
            self._fail(turn, TooBusy(f"{len(waiting)} steps of this session are waiting already"))
            return
        self._open[turn] = None
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._timeout_seconds, self._call_time)
        if waiting is not None:
            waiting.append(turn)
            return
        self._waiting[session_id] = deque()
        self._arrive(turn)

    def call_off(self, turn: Turn) -> None:
        """Forget a turn whose client has gone: nothing is committed, unless the store has been asked to already."""
        if not turn.is_over and not turn.is_committing:
            self._fail(turn, DeadlineExceeded("called off"))

    def is_under_way(self, session_id: str) -> bool:
        """Whether a step of the session is in flight here."""
        return session_id in self._waiting

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._open

    async def drain(self) -> None:
        """Take no more steps and wait until those that were taken are answered."""
        self._is_draining = True
        if self._open:
            self._drained = asyncio.Event()
            await self._drained.wait()

    def _arrive(self, turn: Turn) -> None:
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._load_arrived)
        self._arrived.append(turn)

    def _load_arrived(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._go(self._load([turn for turn in arrived if not turn.is_over]))

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        if self._store.is_immediate:
            run_now(work)
        else:
            self._spawn(work)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _load(self, turns: Sequence[Turn]) -> None:
        now = self._clock()
        jobs: Jobs = {}
        unknown = [turn for turn in turns if not self._is_admitted(turn, now, jobs)]
        if unknown:
            await self._load_unknown(unknown, now, jobs)
        for model, own in jobs.items():
            self._submit(model, own)

    def _is_admitted(self, turn: Turn, now: float, jobs: Jobs) -> bool:
        """Whether a turn could be admitted to its session as that stood last here, unless the store says otherwise."""
        ask = turn.ask
        latest = self._recent.take(ask.session_id)
        if latest is None or ask.step not in (None, latest.record.step):
            return False
        try:
            turn.record = admitted(latest.record, ask.session_id, ask.owner, now)
            turn.body = latest.body
            self._check_lifetime(turn.record, turn.body, now)
            self._begin(turn, jobs)
        except Exception:  # whatever it is, the store's own record is to be looked at before it is told
            return False
        return True

    async def _load_unknown(self, turns: Sequence[Turn], now: float, jobs: Jobs) -> None:
        try:
            records = await self._store.load([turn.ask.session_id for turn in turns])
        except Exception as error:
            self._fail_all(turns, error)
            return
        for turn, record in zip(turns, records, strict=True):
            try:
                if not turn.is_over:
                    self._admit(turn, record, now, jobs)
            except Exception as error:
                self._fail(turn, error)

    def _submit(self, model: ServedModel[Any], jobs: list[RowJob]) -> None:
        """Hand jobs to the engine together, or, where its queue has no room for all, those that find some."""
        try:
            model.engine.submit(jobs, is_group=True)
        except ServiceError as error:
            if len(jobs) == 1:
                jobs[0].error = error
                jobs[0].done(jobs[0])
                return
            for job in jobs:
                self._submit(model, [job])

    def _admit(self, turn: Turn, record: Record | Damaged | None, now: float, jobs: Jobs) -> None:
        """Check a turn against its record and begin it."""
        ask = turn.ask
        try:
            turn.record = record = admitted(record, ask.session_id, ask.owner, now)
        except SessionGone as error:
            if error.reason == "expired" and isinstance(record, Record) and not record.ended:
                self._expire(record)
            raise
        turn.body = self._body(record, now)
        self._check_lifetime(record, turn.body, now)
        self._begin(turn, jobs)

    def _begin(self, turn: Turn, jobs: Jobs) -> None:
        """Begin what is to be computed; a job is put with those that are to be run together."""
        ask = turn.ask
        if ask.on_piece is not None and (ask.inputs or {}).get("generate") is None:
            raise NotStreamable('only {"generate": ...} is answered as a stream')
        turn.model = model = self._models.on(turn.record.bundle)
        if ask.values is None and not model.takes_tensors(ask.inputs or {}):
            self._admit_inputs(turn)
        elif (job := self._admit_tensors(turn)) is not None:
            jobs.setdefault(model, []).append(job)

    def _body(self, record: Record, now: float) -> Body:
        try:
            return begun(decode(record.body), int(now))
        except BodyUnreadable as error:
            logger.error("session %s of %s: %s", record.session_id, record.owner, error)
            raise SessionDamaged(
                f"the record of session {record.session_id!r} cannot be read; it cannot go on"
            ) from error

    def _check_lifetime(self, record: Record, body: Body, now: float) -> None:
        if body.created_at + self._settings.max_session_lifetime_seconds <= now:
            self._expire(record)
            raise SessionGone(f"session {record.session_id!r} is over: expired", "expired")

    def _admit_tensors(self, turn: Turn) -> RowJob | None:
        ask, model = turn.ask, turn.model
        returns = ask.returns or ("logits" if model.has_logits else "none")
        if returns != "none" and not model.has_logits:
            raise InvalidInput(f"{model.name} has no logits: ask for none", ("return",))
        try:
            if ask.values is None:
                values = model.read_tensors(ask.inputs or {})
            else:
                values = ask.values
                model.check_tensors(values)
            if self._is_settled(turn, tensors_digest(values, returns)):
                return None
            items = model.items(turn.state, values)
        except InvalidInput as error:
            raise error.within("inputs") from None

        def ran(job: RowJob) -> None:
            turn.job = None
            if job.error is not None:
                self._fail(turn, job.error)
                return
            state = items.state.advanced(job.row, items.values.size)
            if returns != "none":
                turn.values = model.engine.outputs_of(job)[returns][items.num_pending :]
            outputs = {} if turn.values is None else {returns: turn.values}
            self._complete(turn, orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY), state)

        turn.job = RowJob(
            ENCODE,
            len(items.values),
            row=items.state.row,
            inputs={"x": items.values},
            keep=() if returns == "none" else (returns,),
            done=ran,
        )
        return turn.job

    def _admit_inputs(self, turn: Turn) -> None:
        ask, model = turn.ask, turn.model
        try:
            inputs = model.parse(ask.inputs or {})
        except InvalidInput as error:
            raise error.within("inputs") from None
        if not self._is_settled(turn, inputs_digest(inputs.model_dump())):
            turn.task = self._spawn(self._compute(turn, inputs))

    async def _compute(self, turn: Turn, inputs: Form) -> None:
        """A step in the model's own language: as many runs as it takes."""
        seed = derived_seed(turn.body.secret.hex(), turn.step)
        try:
            if turn.ask.on_piece is not None:
                outputs, state = await _streamed(turn.model, turn.state, inputs, seed, turn.ask.on_piece)
            else:
                outputs, state = await turn.model.step(turn.state, inputs, seed)
        except Exception as error:
            turn.task = None
            self._fail(turn, error.within("inputs") if isinstance(error, InvalidInput) else error)
        else:
            turn.task = None
            self._complete(turn, orjson.dumps(outputs), state)

    def _is_settled(self, turn: Turn, digest: bytes) -> bool:
        """Find out what a turn has to compute, and answer it if that is nothing.

        Raises:
            StepConflict: The step named is not the next one and not a repetition of the last.
            NumericsChanged: The session's state was computed by other numerics, and nobody consents to that.
        """
        step, record, body = turn.ask.step, turn.record, turn.body
        turn.digest = digest
        if step is not None and step == record.step - 1 and digest == body.digest:
            self._metrics.step_replays.inc()
            if body.before is None:
                self._answer(turn, Answer(record.session_id, record.step, body.answer))
                return True
            turn.step, turn.state = step, body.before
        else:
            self._check_order(step, record)
            turn.step, turn.state = record.step, body.state
        self._check_numerics(turn)
        return False

    def _check_order(self, step: int | None, record: Record) -> None:
        if step is not None and step != record.step:
            raise StepConflict(f"step {step} is not next; step {record.step} is", record.step)

    def _check_numerics(self, turn: Turn) -> None:
        if not self._has_changed(turn.body) or turn.ask.allow_numerics_change or self._settings.allow_numerics_change:
            return
        raise NumericsChanged(
            "the session's state was computed by another onnxruntime, provider or processor, and would not go on with "
            'the same bits; send "allow_numerics_change": true to go on all the same',
            turn.body.numerics.hex(),
            self._models.numerics.hex(),
        )

    def _has_changed(self, body: Body) -> bool:
        return body.numerics not in (self._models.numerics, NUMERICS_UNKNOWN)

    def _complete(self, turn: Turn, outputs: bytes, state: SequenceState) -> None:
        """Take what was computed: to be committed with whatever else is finished now."""
        if turn.is_over:
            return
        turn.outputs = outputs
        if turn.is_replay:
            is_changed = self._has_changed(turn.body)
            self._answer(turn, Answer(turn.record.session_id, turn.record.step, outputs, turn.values, is_changed))
            return
        turn.state = state
        turn.is_committing = True
        if not self._computed:
            asyncio.get_running_loop().call_soon(self._commit_computed)
        self._computed.append(turn)

    def _commit_computed(self) -> None:
        computed, self._computed = self._computed, []
        self._go(self._commit(computed))

    async def _commit(self, turns: Sequence[Turn]) -> None:
        now = int(self._clock())
        following = [self._next_body(turn) for turn in turns]
        records = [_next_record(turn, encode(body), now) for turn, body in zip(turns, following, strict=True)]
        try:
            written = await self._store.swap([Swap(record, record.step - 1) for record in records])
        except Exception as error:
            self._fail_all(turns, error)
            return
        for turn, is_written, body in zip(turns, written, following, strict=True):
            if is_written:
                self._recent.put(Latest(_next_record(turn, b"", now), body))
                session_id, is_changed = turn.record.session_id, self._has_changed(turn.body)
                self._answer(turn, Answer(session_id, turn.step + 1, turn.outputs, turn.values, is_changed))
            else:
                self._lose(turn)

    def _next_body(self, turn: Turn) -> Body:
        body = turn.body
        is_kept = len(turn.outputs) <= MAX_KEPT_ANSWER_BYTES
        inputs = body.inputs
        if inputs is not None:
            inputs = appended(inputs, turn.step, _given(turn), self._settings.max_kept_input_bytes)
        return Body(
            body.created_at,
            body.secret,
            turn.state,
            self._models.numerics,
            turn.digest,
            turn.outputs if is_kept else b"",
            None if is_kept else body.state,
            inputs,
            body.checkpoints,
            body.request_digest,
        )

    def _lose(self, turn: Turn) -> None:
        """Another process took this step: look again. The same input finds the winner's answer, another a conflict."""
        turn.num_attempts += 1
        turn.is_committing = False
        turn.values = None
        if turn.started + self._timeout_seconds <= time.perf_counter():  # nobody watches those that are committing
            self._fail(turn, self._too_late())
        elif turn.num_attempts < MAX_ATTEMPTS:
            self._arrive(turn)
        else:
            self._fail(turn, StepConflict("other writers keep taking this session's steps", turn.step + 1))

    def _answer(self, turn: Turn, answer: Answer) -> None:
        turn.answer = answer
        self._close(turn)

    def _fail_all(self, turns: Sequence[Turn], error: Exception) -> None:
        if isinstance(error, Unavailable):
            logger.error("the session store cannot be used: %s", error)
            error = StoreUnavailable("the session store cannot be used now; try again")
        for turn in turns:
            self._fail(turn, error)

    def _fail(self, turn: Turn, error: Exception) -> None:
        if turn.is_over:
            return
        if isinstance(error, StepConflict):
            self._metrics.step_conflicts.inc()
        elif not isinstance(error, ServiceError):
            logger.error("a step failed", exc_info=error)
        turn.error = error
        if turn.job is not None:
            turn.model.engine.withdraw(turn.job)
            turn.job = None
        if turn.task is not None:
            turn.task.cancel()
            turn.task = None
        self._close(turn)

    def _close(self, turn: Turn) -> None:
        """Tell the client, and let the session's next turn begin."""
        if turn in self._open:
            del self._open[turn]
            session_id = turn.ask.session_id
            waiting = self._waiting[session_id]
            if turn in waiting:
                waiting.remove(turn)
            elif waiting:
                self._arrive(waiting.popleft())
            else:
                del self._waiting[session_id]
        try:
            turn.done(turn)
        except Exception:  # whatever its owner stumbles over, the other turns must be told
            logger.exception("a step's owner failed")
        if self._drained is not None and not self._open:
            self._drained.set()

    def _call_time(self) -> None:
        """Fail turns that have taken too long; the oldest come first."""
        now = time.perf_counter()
        for turn in list(self._open):
            left = turn.started + self._timeout_seconds - now
            if left > 0:
                self._watch = asyncio.get_running_loop().call_later(left, self._call_time)
                return
            if not turn.is_committing:
                self._fail(turn, self._too_late())
        self._watch = None

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"no answer within {self._timeout_seconds:g} seconds; nothing was committed")


async def _streamed(
    model: ServedModel[Any], state: SequenceState, inputs: Form, seed: int, tell: Callable[[str], None]
) -> tuple[dict[str, Any], SequenceState]:
    """A step whose text is told piece by piece."""
    if not isinstance(inputs, CharacterStep) or not isinstance(model, GenerationModel) or inputs.generate is None:
        raise NotStreamable(f"{model.name} answers nothing as a stream")
    if inputs.text is not None:
        raise InvalidInput('give one of "text" and "generate"')
    async with aclosing(model.continued(state, inputs.generate, seed)) as events:
        async for event in events:
            if isinstance(event, Finished):
                return event.continuation.model_dump(), event.state
            tell(event)
    raise RuntimeError("a generated text has no end")


def _next_record(turn: Turn, body: bytes, now: int) -> Record:
    record = turn.record
    return Record(record.session_id, record.owner, record.bundle, turn.step + 1, now, record.ttl_seconds, "", body)


def _given(turn: Turn) -> dict[str, Any]:
    """What the client sent, as JSON could have said it."""
    ask = turn.ask
    return {turn.model.tensors_name: ask.values.tolist()} if ask.values is not None else ask.inputs or {}
