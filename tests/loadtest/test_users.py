"""Users against sessions that answer wrongly, in a process of their own: locust changes the standard library."""

import subprocess
import sys

CONVERSE = """
from random import Random
from types import SimpleNamespace

from loadtest.answers import Continuation, GenerateAnswer, NextCharacters, Usage
from loadtest.users import streaming_text

failures = []


class SilentSession:
    def __init__(self, user, model):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def step(self, form, inputs, check):
        if "text" in inputs:
            return NextCharacters(next=[], log_prob=-1.0)
        usage = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
        silence = Continuation(text="", finish_reason="stop", usage=usage, seed=inputs["generate"]["seed"])
        failures.append(check(silence))
        return silence

    def stream(self, inputs, check):
        return self.step(None, inputs, check)

    def end(self):
        pass


class User(streaming_text.StreamingTextUser):
    abstract = True

    def __init__(self):
        self.rng = Random(0)
        self.environment = SimpleNamespace(parsed_options=None)

    def ask(self, *_):
        usage = Usage(prompt_tokens=1, completion_tokens=5, total_tokens=6)
        return GenerateAnswer(text="to be", finish_reason="stop", usage=usage, seed=3, bundle="b:1")


streaming_text.Session = SilentSession
streaming_text.sampling = lambda rng, max_tokens: {"max_tokens": 9, "temperature": 0.5, "seed": 3, "stop": ["."]}
User().converse()
print(sorted(set(failures)))
"""


def test_a_session_that_stops_before_the_whole_continuation_fails() -> None:
    done = subprocess.run([sys.executable, "-c", CONVERSE], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout.strip() == "['continuity: pieces are not answered as the whole']", done.stderr


MANY = """
import json
from random import Random
from types import SimpleNamespace

from loadtest.users.sentiment import SentimentUser
from loadtest.users.tagging import TaggingUser
from loadtest.users.translation import TranslationUser


def failures(user, moved_by):
    found = []

    class User(user):
        abstract = True

        def __init__(self):
            self.rng = Random(0)

        def ask(self, question, *checks):
            text = json.loads(question.body)["text"]
            texts = [text] if isinstance(text, str) else text[moved_by:] + text[:moved_by]
            answer = SimpleNamespace(results=texts, translations=texts)
            if len(checks) > 1:
                found.append(checks[-1](answer))
            return answer

    User().many()
    return found


for user in (SentimentUser, TaggingUser, TranslationUser):
    print(*failures(user, 0), *failures(user, 1))
"""


def test_a_list_whose_answers_are_in_another_order_fails() -> None:
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=False)  # noqa: S603
    expected = [
        f"None order: a text in a list is not {verb} as it is alone" for verb in ("judged", "tagged", "translated")
    ]
    assert done.stdout.splitlines() == expected, done.stderr


END = """
import gevent
from types import SimpleNamespace

from loadtest.question import Reply
from loadtest.users import session as sessions

asked = []


class User:
    environment = SimpleNamespace(parsed_options=None, runner=None)

    def reply(self, question):
        asked.append((question.method, question.path))
        gevent.sleep(0.05)
        return Reply(204, "", b"")


def opened(number):
    session = sessions.Session(User(), "forecasting")
    session._id = number
    sessions._open.add(session)
    return session


first = opened("1")
ending = gevent.spawn(sessions.close_sessions)
gevent.sleep(0.01)
second = opened("2")  # of the next run, which begins while the sessions of the last one are ended
ending.join()
second.close(1)
first.close(1)
print(asked)
"""


def test_the_end_of_a_run_forgets_no_session_of_the_next() -> None:
    printed = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert printed.splitlines()[-1] == "[('DELETE', '/sessions/1'), ('DELETE', '/sessions/2')]"


REFUSALS = """
from loadtest.question import Reply
from loadtest.users.checked import _is_refusal

replies = [(429, b""), (503, b'{"type": "urn:unrolled:problem:queue-full"}'), (503, b""), (500, b""), (502, b"")]
print([_is_refusal(Reply(status, "", content)) for status, content in replies])
"""


def test_only_a_refusal_that_did_nothing_leaves_no_session_to_be_ended() -> None:
    printed = subprocess.run([sys.executable, "-c", REFUSALS], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert printed.splitlines()[-1] == "[True, True, False, False, False]"
