"""Sentiment by the shipped bundle."""

from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.asking import Json, ask, last_step
from tests.paths import ROOT

pytestmark = pytest.mark.e2e
NEEDS_WHOLE = pytest.mark.skipif(
    not (ROOT / "models" / "sentiment-bidirectional").is_dir(), reason="no bundle for whole texts ships"
)
GOOD = ["A wonderful, warm and moving film.", "One of the best performances of the year!", "I loved it."]
BAD = [
    "A dull, lifeless mess.",
    "The worst script of the year; I was bored.",
    "It's not good, and the jokes aren't funny.",
]


def judged(client: httpx.Client, text: str) -> Json:
    """By the model that reads word by word, as sessions do."""
    result: Json = ask(client, "/sentiment", {"text": text, "model": "sentiment"})["results"][0]
    return result


@pytest.mark.parametrize(
    ("text", "label"), [(text, "positive") for text in GOOD] + [(text, "negative") for text in BAD]
)
def test_plain_sentences_are_judged_as_people_would(client: httpx.Client, text: str, label: str) -> None:
    result = judged(client, text)
    assert result["label"] == label
    assert result["score"] == result["probabilities"][label] > 0.5
    assert sum(result["probabilities"].values()) == pytest.approx(1)


def test_a_list_is_answered_in_its_order_with_the_same_bits_as_alone(client: httpx.Client) -> None:
    answer = ask(client, "/sentiment", {"text": [*GOOD, *BAD], "model": "sentiment"})
    assert answer["results"] == [judged(client, text) for text in [*GOOD, *BAD]]
    assert answer["bundle"].startswith("sentiment:")


def test_a_trajectory_shows_the_users_own_words_and_ends_at_the_score(client: httpx.Client) -> None:
    text = "I didn't like the start, (really) but the end is GREAT"
    result = ask(client, "/sentiment", {"text": text, "trajectory": True})["results"][0]
    words, scores = zip(*result["trajectory"], strict=True)
    assert "".join(words) == text.replace(" ", "")
    assert scores[-1] == result["score"]
    assert len(set(scores)) > len(scores) / 2


@NEEDS_WHOLE
def test_whole_texts_are_judged_from_both_ends_where_no_model_is_named(client: httpx.Client) -> None:
    answer = ask(client, "/sentiment", {"text": [*GOOD, *BAD]})
    assert answer["bundle"].startswith("sentiment-bidirectional:")
    assert [result["label"] for result in answer["results"]] == ["positive"] * len(GOOD) + ["negative"] * len(BAD)
    alone = [ask(client, "/sentiment", {"text": text})["results"][0] for text in [*GOOD, *BAD]]
    assert answer["results"] == alone


@NEEDS_WHOLE
def test_a_model_of_whole_texts_has_no_sessions_and_no_trajectories(client: httpx.Client) -> None:
    refused = client.post("/sessions", json={"model": "sentiment-bidirectional"})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:unrolled:problem:not-streamable")
    body = {"text": "fine", "trajectory": True, "model": "sentiment-bidirectional"}
    assert client.post("/sentiment", json=body).status_code == 422


def test_tokenized_and_plain_english_are_the_same_text(client: httpx.Client) -> None:
    assert judged(client, "do n't bother -lrb- really -rrb-") == judged(client, "Don't bother (really)")


TEXT = "It isn't \"wonderful\"...  or (so)\u00a0bad,\n\tI'd \u200b say: great! \u200b "


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(TEXT) - 1), max_size=8))
def test_any_cut_of_a_text_gives_the_bits_of_the_whole(client: httpx.Client, cuts: list[int]) -> None:
    borders = [0, *sorted(set(cuts)), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in pairwise(borders)]
    assert last_step(client, "sentiment", [{"text": piece} for piece in pieces]) == judged(client, TEXT)


def test_a_word_that_grows_is_read_anew(client: httpx.Client) -> None:
    assert last_step(client, "sentiment", [{"text": "wond"}, {"text": "erful"}]) == judged(client, "wonderful")


def test_what_cannot_be_seen_is_no_word(client: httpx.Client) -> None:
    assert judged(client, "\u200b good \u200b") == judged(client, "good")
    assert client.post("/sentiment", json={"text": "\u200b \u200b"}).status_code == 422


def test_white_space_before_the_first_word_has_no_label(client: httpx.Client) -> None:
    assert last_step(client, "sentiment", [{"text": " \n"}]) == {"label": None, "score": None, "probabilities": {}}
