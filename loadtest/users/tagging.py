"""Users with texts whose words are to be tagged."""

from typing import ClassVar

from locust import task

from loadtest.answers import TagAnswer
from loadtest.checks.same import check_same
from loadtest.checks.tagging import check_entities, check_tagged, has_tags
from loadtest.inputs.reviews import review, reviews
from loadtest.question import Question, post
from loadtest.users.checked import CheckedUser

MAX_TEXTS = 6
WORDS, ENTITIES = "tagging", "entities"

MOVED = "order: a text in a list is not tagged as it is alone"


class TaggingUser(CheckedUser):
    """Has texts tagged, one by one or many at once."""

    needs: ClassVar[tuple[str, ...]] = (WORDS, ENTITIES)
    suits = staticmethod(has_tags)

    @task(4)
    def one(self) -> None:
        """Tag one text."""
        text = review(self.rng)
        self.ask(tag_question(text, WORDS), lambda answer: check_tagged(answer, [text]))

    @task(1)
    def many(self) -> None:
        """Tag a list, and one of its texts alone."""
        texts = reviews(self.rng, self.rng.randint(2, MAX_TEXTS))
        place = self.rng.randrange(len(texts))
        question = tag_question(texts[place], WORDS)
        alone = self.ask(question, lambda answer: check_tagged(answer, [texts[place]])).results[0]
        self.ask(
            tag_question(texts, WORDS, "list"),
            lambda answer: check_tagged(answer, texts),
            lambda answer: check_same(answer.results[place], alone, MOVED),
        )

    @task(1)
    def entities(self) -> None:
        """Tag the entities in one text."""
        text = review(self.rng)
        question = tag_question(text, ENTITIES, "entities")
        self.ask(question, lambda answer: check_entities(answer, text))


def tag_question(text: str | list[str], model: str, note: str = "") -> Question[TagAnswer]:
    """Ask for the tags of one text or several."""
    return post(TagAnswer, "/tag", {"text": text, "model": model}, note)
