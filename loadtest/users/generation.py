"""Users with prompts."""

from typing import ClassVar

from locust import task

from loadtest.answers import GenerateAnswer
from loadtest.checks.generation import check_continuation, check_stream
from loadtest.checks.same import check_same
from loadtest.inputs.prompts import MAX_SEED, Sampling, has_characters, prompt, sampling
from loadtest.question import Question, post
from loadtest.text_stream import stream
from loadtest.users.checked import CheckedUser


class GenerationUser(CheckedUser):
    """Has texts continued, and asks again to check that the same seed gives the same text."""

    kind: ClassVar[str] = "generation"
    weight = 2
    suits = staticmethod(has_characters)

    @task(4)
    def seeded(self) -> None:
        """Have a text continued, often twice."""
        text, how = prompt(self.rng), sampling(self.rng)
        first = self.generate(text, how)
        if self.rng.random() < 0.5:
            failure = "seed: the same seed gave another text"
            self.ask(_question(text, how, "again"), lambda answer: check_same(answer, first, failure))

    @task(1)
    def greedy(self) -> None:
        """Ask for the greedy continuation with two seeds."""
        text, how = prompt(self.rng), Sampling(max_tokens=self.rng.randint(1, 80), temperature=0)
        first = self.generate(text, how)
        seed = self.rng.randrange(MAX_SEED)
        failure = "temperature 0: another seed gave another text"
        self.ask(
            _question(text, {**how, "seed": seed}, "greedy"),
            lambda answer: check_same(answer.text, first.text, failure),
        )

    @task(3)
    def streamed(self) -> None:
        """Ask for a text at once, then for the same one as a stream."""
        text, how = prompt(self.rng), sampling(self.rng, max_tokens=300)
        whole = self.generate(text, how)
        self.ask(stream({"prompt": text, **how}), lambda answer: check_stream(answer, whole))

    def generate(self, text: str, how: Sampling) -> GenerateAnswer:
        """Have a text continued."""
        return self.ask(_question(text, how), lambda answer: check_continuation(answer, how, len(text)))


def _question(text: str, how: Sampling, note: str = "") -> Question[GenerateAnswer]:
    return post(GenerateAnswer, "/generate", {"prompt": text, **how}, note)
