"""Tagging by the shipped bundles."""

from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.asking import Json, ask, open_session, step
from tests.paths import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / "models" / "tagging").is_dir(), reason="no bundle for tagging ships"),
]
TEXT = "Ada Lovelace didn't write the first program in 1843, did she?"
TAGS = ["PROPN", "PROPN", "AUX", "PART", "VERB", "DET", "ADJ", "NOUN", "ADP", "NUM", "PUNCT", "AUX", "PRON", "PUNCT"]


def tagged(client: httpx.Client, model: str | None = None, **question: object) -> list[Json]:
    body = {**question, **({"model": model} if model else {})}
    tokens: list[Json] = ask(client, "/tag", body)["results"][0]["tokens"]
    return tokens


def test_plain_english_is_tagged_as_grammar_has_it(client: httpx.Client) -> None:
    tokens = tagged(client, text=TEXT)
    assert [token["tag"] for token in tokens] == TAGS
    assert [TEXT[token["start"] : token["end"]] for token in tokens] == [token["token"] for token in tokens]
    assert all(0 < token["probability"] <= 1 for token in tokens)


@pytest.mark.parametrize("model", ["tagging", "tagging-streaming", "entities"])
def test_a_list_is_answered_in_its_order_with_the_same_bits_as_alone(client: httpx.Client, model: str) -> None:
    texts = [TEXT, "Wait!", "I live in New York, near the Empire State Building."]
    answer = ask(client, "/tag", {"text": texts, "model": model})
    assert answer["bundle"].startswith(f"{model}:")
    assert [result["tokens"] for result in answer["results"]] == [tagged(client, model, text=text) for text in texts]


def test_words_that_are_given_are_the_same_as_those_of_a_text(client: httpx.Client) -> None:
    tokens = tagged(client, text=TEXT)
    given_words = tagged(client, tokens=[token["token"] for token in tokens])
    assert [(t["tag"], t["probability"]) for t in given_words] == [(t["tag"], t["probability"]) for t in tokens]


def test_entities_come_merged_with_their_place(client: httpx.Client) -> None:
    text = "I live in New York ."
    (result,) = ask(client, "/tag", {"text": text, "model": "entities"})["results"]
    assert [entity["text"] for entity in result["entities"]] == ["New York"]
    for entity in result["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        first, end = entity["tokens"]
        assert " ".join(token["token"] for token in result["tokens"][first:end]) == entity["text"]
    assert "entities" not in ask(client, "/tag", {"text": text})["results"][0]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(TEXT) - 1), max_size=8))
def test_any_cut_of_a_text_gives_the_bits_of_the_whole(client: httpx.Client, cuts: list[int]) -> None:
    session_id = open_session(client, "tagging-streaming")
    done: list[Json] = []
    for a, b in pairwise([0, *sorted(set(cuts)), len(TEXT)]):
        done += step(client, session_id, {"text": TEXT[a:b]})["tokens"]
    done += step(client, session_id, {"end": True})["tokens"]
    whole = tagged(client, "tagging-streaming", text=TEXT)
    assert done == [{key: token[key] for key in ("token", "tag", "probability")} for token in whole]


@pytest.mark.parametrize("model", ["tagging", "entities"])
def test_models_that_read_both_ways_have_no_sessions(client: httpx.Client, model: str) -> None:
    refused = client.post("/sessions", json={"model": model})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:unrolled:problem:not-streamable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": " \n"},
        {"text": ["fine", " "]},
        {"text": "a", "tokens": ["a"]},
        {"tokens": ["two words"]},
        {"text": "x" * 1001},
        {"text": "fine", "words": True},
    ],
)
def test_questions_without_sense_are_refused(client: httpx.Client, body: Json) -> None:
    refused = client.post("/tag", json=body)
    assert refused.status_code == 422
    assert refused.headers["content-type"].startswith("application/problem+json")


def test_a_step_in_tensors_is_refused_with_the_reason(client: httpx.Client) -> None:
    session_id = open_session(client, "tagging-streaming")
    refused = client.post(f"/sessions/{session_id}/steps", json={"inputs": {"ids": [3]}})
    assert refused.status_code == 422
    assert "characters" in refused.json()["detail"]
