"""Users with chords."""

from typing import ClassVar

from locust import task

from loadtest.answers import ComposeAnswer
from loadtest.checks.music import check_composition
from loadtest.checks.same import check_same
from loadtest.inputs.prompts import MAX_SEED
from loadtest.question import Question, post
from loadtest.users.checked import CheckedUser

MODELS = ("chorales", "folk")
CHORDS: tuple[list[int], ...] = ([48, 55, 64, 72], [50, 57, 62, 65], [43, 59, 62, 67], [60], [])
MAX_FRAMES = 64


class MusicUser(CheckedUser):
    """Has pieces composed, and asks again to check that the same seed gives the same piece."""

    needs: ClassVar[tuple[str, ...]] = MODELS

    @task
    def compose(self) -> None:
        """Have a piece composed after some chords, often twice."""
        given = [self.rng.choice(CHORDS) for _ in range(self.rng.randint(1, 4))]
        num_frames = self.rng.randint(1, MAX_FRAMES)
        request = {
            "model": self.rng.choice(MODELS),
            "notes": given,
            "frames": num_frames,
            "tempo": self.rng.uniform(40, 240),
            "temperature": self.rng.choice((0, 0.9, 1.5)),
            "seed": self.rng.randrange(MAX_SEED),
        }
        first = self.ask(_question(request), lambda answer: check_composition(answer, given, num_frames))
        if self.rng.random() < 0.5:
            failure = "seed: the same seed composed another piece"
            self.ask(_question(request, "again"), lambda answer: check_same(answer, first, failure))


def _question(request: dict[str, object], note: str = "") -> Question[ComposeAnswer]:
    return post(ComposeAnswer, "/compose", request, note)
