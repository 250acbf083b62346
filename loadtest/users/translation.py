"""Users with captions."""

from typing import ClassVar

from locust import task

from loadtest.answers import TranslateAnswer
from loadtest.checks.same import check_same
from loadtest.checks.translation import check_attention, check_translations
from loadtest.inputs.captions import caption
from loadtest.question import Question, post
from loadtest.users.checked import CheckedUser

LANGUAGES = ("de", "fr")
MAX_TEXTS = 8

MOVED = "order: a text in a list is not translated as it is alone"


class TranslationUser(CheckedUser):
    """Has captions translated, one by one or many at once."""

    needs: ClassVar[tuple[str, ...]] = tuple(f"translation-{to}" for to in LANGUAGES)

    @task(4)
    def one(self) -> None:
        """Translate one caption."""
        question = _question(caption(self.rng), self.rng.choice(LANGUAGES), beams=self.rng.choice((1, 5)))
        self.ask(question, lambda answer: check_translations(answer, 1))

    @task(1)
    def many(self) -> None:
        """Translate a list, and one of its captions alone."""
        texts = [caption(self.rng) for _ in range(self.rng.randint(2, MAX_TEXTS))]
        place, to = self.rng.randrange(len(texts)), self.rng.choice(LANGUAGES)
        alone = self.ask(_question(texts[place], to), lambda answer: check_translations(answer, 1)).translations[0]
        self.ask(
            _question(texts, to, "list"),
            lambda answer: check_translations(answer, len(texts)),
            lambda answer: check_same(answer.translations[place], alone, MOVED),
        )

    @task(1)
    def attention(self) -> None:
        """Translate one caption, and ask for the attention."""
        text = caption(self.rng)
        self.ask(
            _question(text, self.rng.choice(LANGUAGES), "attention", attention=True),
            lambda answer: check_translations(answer, 1, is_attention=True),
            lambda answer: check_attention(answer.translations[0], text),
        )


def _question(
    text: str | list[str], to: str, note: str = "", beams: int = 5, attention: bool = False
) -> Question[TranslateAnswer]:
    return post(TranslateAnswer, "/translate", {"text": text, "to": to, "beams": beams, "attention": attention}, note)
