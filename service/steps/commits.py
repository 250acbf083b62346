"""Commits: all steps computed so far are written in one call to the store, and then answered."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from service.record.body import Body, encode
from service.record.expiry import stored_second
from service.steps.endings import Endings
from service.steps.open_turns import OpenTurns
from service.steps.session_cache import CachedSession, SessionCache
from service.steps.step_rules import StepRules
from service.steps.turn import Answer, Turn
from service.stores.base import Record, Store, Swap
from service.stores.outage import or_unavailable


class Commits:
    """Commits turns.

    Args:
        open_turns: All turns under way.
        rules: Make the next records.
        store: Keeps the records.
        cache: The sessions that were committed last.
        endings: Ends turns.
        run_store_call: Runs work with the store, which may wait.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        open_turns: OpenTurns,
        rules: StepRules,
        store: Store,
        cache: SessionCache,
        endings: Endings,
        run_store_call: Callable[[Coroutine[Any, Any, None]], None],
        clock: Callable[[], float],
    ) -> None:
        self._open = open_turns
        self._rules = rules
        self._store = store
        self._cache = cache
        self._endings = endings
        self._run_store_call = run_store_call
        self._clock = clock
        self._computed: list[Turn] = []

    def add(self, turn: Turn) -> None:
        """Commit a computed turn, together with all others that are computed by now."""
        turn.is_committing = True
        self._computed.append(turn)
        if len(self._open) == 1:  # nothing else can be computed by now
            self._commit_computed()
        elif len(self._computed) == 1:
            asyncio.get_running_loop().call_soon(self._commit_computed)

    def _commit_computed(self) -> None:
        computed, self._computed = self._computed, []
        self._run_store_call(self._commit(computed))

    async def _commit(self, turns: Sequence[Turn]) -> None:
        try:
            now = stored_second(self._clock())
            following = [each for turn in turns if (each := self._following(turn, now)) is not None]
            if not following:
                return
            swaps = [Swap(record, record.step - 1) for _, _, record in following]
            written = await or_unavailable(self._store.swap(swaps))
            for (turn, body, record), is_written in zip(following, written, strict=True):
                try:
                    if is_written:
                        self._answer(turn, body, record)
                    else:
                        self._endings.retry_lost(turn, turn.step, turn.body.secret)
                except Exception as error:  # one turn's failure must not keep the others from being answered
                    self._endings.fail(turn, error)
        except Exception as error:
            self._endings.fail_all([turn for turn in turns if turn.is_committing and not turn.is_over], error)

    def _following(self, turn: Turn, now: int) -> tuple[Turn, Body, Record] | None:
        """Return a turn with the body and the record after it. If there can be none, the turn fails, and only it."""
        try:
            body = self._rules.next_body(turn, now)
            return turn, body, self._rules.next_record(turn, body, encode(body), now)
        except Exception as error:
            self._endings.fail(turn, error)
            return None

    def _answer(self, turn: Turn, body: Body, record: Record) -> None:
        """Answer a committed turn, and remember its session."""
        session_id, is_changed = turn.record.session_id, self._rules.is_changed(turn)
        self._endings.answer(turn, Answer(session_id, turn.step + 1, turn.outputs, turn.values, is_changed))
        if self._cache.is_in_use:  # no later than the session's next turn, which starts in a turn of its own
            self._cache.put(session_id, CachedSession(record, body, self._rules.end_of(body)))
