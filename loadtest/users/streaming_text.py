"""Users who write a text together with the model."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

from locust import task

from loadtest.answers import Continuation, GenerateAnswer, NextCharacters, StepAnswer
from loadtest.checks.generation import check_continuation, check_expected, check_goes_on, check_next
from loadtest.checks.session import check_continuity
from loadtest.inputs.cuts import cut_count, cut_text
from loadtest.inputs.prompts import Sampling, has_characters, prompt, sampling
from loadtest.pace import steps_of
from loadtest.question import post
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session

MAX_PIECES = 8
MAX_PARTS = 4
MAX_TURNS = 3
STREAMED_SHARE = 0.3
STOPS: tuple[list[str], ...] = ([], [], ["\n"], ["e", "th"])


class StreamingTextUser(CheckedUser):
    """Feeds a text piece by piece, has it continued in several steps, and compares with /generate."""

    kind: ClassVar[str] = "generation"
    model: ClassVar[str] = "generation"
    has_sessions: ClassVar[bool] = True
    weight = 3
    suits = staticmethod(has_characters)

    @task(2)
    def dictate(self) -> None:
        """Feed a prompt in pieces and continue it in parts. The text must be that of the whole prompt at once."""
        text, how = prompt(self.rng), self._sampling()
        whole = self._at_once(text, how)
        with Session(self, self.model) as session:
            num_pieces = self.num_steps(MAX_PIECES, others=MAX_PARTS)
            self._feed(session, text, num_pieces, whole if how["temperature"] == 0 else None)
            written = ""
            for part in self._parts(how):
                written += self._continue(session, part, partial(_check_part, before=written, whole=whole))
            if rest := len(whole) - len(written):
                last = partial(check_continuity, whole=whole[len(written) :])
                self._continue(session, {**how, "max_tokens": rest}, last)
            session.end()

    @task(1)
    def converse(self) -> None:
        """Take turns with the model. Each of its turns must be what /generate answers for the whole text so far."""
        steps, text = steps_of(self.environment), ""
        num_turns = max(1, steps // 2) if steps else self.rng.randint(1, MAX_TURNS)
        with Session(self, self.model) as session:
            for _ in range(num_turns):
                line, how = prompt(self.rng, max_lines=1), sampling(self.rng, max_tokens=60)
                self._feed(session, line, 1 if steps else self.rng.randint(1, MAX_PIECES))
                text += line
                text += self._continue(session, how, partial(check_continuity, whole=self._at_once(text, how)))
            session.end()

    def _at_once(self, text: str, how: Sampling) -> str:
        """Return the text that /generate answers."""
        question = post(GenerateAnswer, "/generate", {"prompt": text, "model": self.model, **how})
        return self.ask(question, lambda answer: check_continuation(answer, how, len(text))).text

    def _feed(self, session: Session, text: str, num_pieces: int, greedy: str | None = None) -> None:
        """Feed a text in pieces. `greedy` is its continuation at temperature 0."""
        pieces = cut_text(self.rng, text, num_pieces)
        for place, piece in enumerate(pieces, 1):
            check = partial(_check_fed, greedy=greedy if place == len(pieces) else None)
            session.step(StepAnswer[NextCharacters], {"text": piece}, check)

    def _continue(self, session: Session, how: Sampling, check: Callable[[str], str | None]) -> str:
        """Continue the session's text by one step, often streamed. Returns the new text, which `check` has passed."""

        def check_text(answer: Continuation) -> str | None:
            return check_continuation(answer, how, 0) or check(answer.text)

        inputs = {"generate": how}
        if self.rng.random() < STREAMED_SHARE:
            return session.stream(inputs, check_text).text
        return session.step(StepAnswer[Continuation], inputs, check_text).text

    def _parts(self, how: Sampling) -> Iterator[Sampling]:
        """Yield the parts of a continuation, some of which end early, at a stop string."""
        for count in cut_count(self.rng, how["max_tokens"], self.rng.randint(1, MAX_PARTS)):
            yield {**how, "max_tokens": count, "stop": self.rng.choice(STOPS)}

    def _sampling(self) -> Sampling:
        return {**sampling(self.rng), "stop": []}


def _check_fed(answer: NextCharacters, greedy: str | None) -> str | None:
    return check_next(answer) or (check_expected(answer, greedy) if greedy else None)


def _check_part(text: str, before: str, whole: str) -> str | None:
    return check_goes_on(before + text, whole)
