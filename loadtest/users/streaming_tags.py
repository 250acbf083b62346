"""Users whose words are tagged while being written."""

from typing import ClassVar

from locust import task

from loadtest.answers import StepAnswer, TaggedPiece
from loadtest.checks.tagging import TaggedSoFar, check_tagged, has_parts_of_speech
from loadtest.inputs.cuts import cut_text
from loadtest.inputs.reviews import long_review
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session
from loadtest.users.tagging import tag_question

MAX_PIECES = 8


class StreamingTagsUser(CheckedUser):
    """Feeds a text piece by piece, cut anywhere, and compares with the tags of the whole."""

    kind: ClassVar[str] = "tagging"
    model: ClassVar[str] = "tagging-streaming"
    has_sessions: ClassVar[bool] = True
    suits = staticmethod(has_parts_of_speech)

    @task
    def write(self) -> None:
        """Write one text."""
        num_pieces = self.num_steps(MAX_PIECES, others=1)
        text = long_review(self.rng, num_pieces)
        question = tag_question(text, self.model, "streaming")
        whole = self.ask(question, lambda answer: check_tagged(answer, [text])).results[0]
        written = TaggedSoFar(whole)
        with Session(self, self.model) as session:
            for piece in cut_text(self.rng, text, num_pieces):
                written.add(session.step(StepAnswer[TaggedPiece], {"text": piece}, written.check))
            session.step(StepAnswer[TaggedPiece], {"end": True}, written.check_end)
            session.end()
