"""Generation by the shipped bundle."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.asking import Json, ask, events, last_step, open_session, step
from tests.e2e.exposition import await_metric, metrics

pytestmark = pytest.mark.e2e
SAMPLED: Json = {"max_tokens": 120, "temperature": 0.9, "seed": 7}
each_model = pytest.mark.parametrize("model", ["generation", "generation-mingru"])


def generated(client: httpx.Client, **request: object) -> Json:
    return ask(client, "/generate", {"prompt": "ROMEO:\n", **SAMPLED, **request})


def streamed(client: httpx.Client, **request: object) -> tuple[list[str], Json]:
    """The pieces of a stream and its final event."""
    body = {"prompt": "ROMEO:\n", **SAMPLED, **request, "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *pieces, (name, end) = events(response.iter_lines())
    assert name == "done"
    return [data["text"] for _, data in pieces], end


def test_a_text_is_continued_in_english_lines(client: httpx.Client) -> None:
    answer = generated(client, max_tokens=600, temperature=0.5)
    assert answer["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 600, "total_tokens": 607}
    words = answer["text"].lower().split()
    assert {"the", "and", "to"} <= set(words)
    assert answer["text"].count("\n") >= 5


@each_model
def test_same_seed_same_text_and_another_seed_another(client: httpx.Client, model: str) -> None:
    assert generated(client, model=model) == generated(client, model=model)
    assert generated(client, model=model)["text"] != generated(client, model=model, seed=8)["text"]


def test_the_bundle_that_is_named_writes(client: httpx.Client) -> None:
    by_default, lstm, mingru = (generated(client, model=model) for model in (None, "generation", "generation-mingru"))
    assert by_default == lstm
    assert lstm["bundle"].startswith("generation:")
    assert mingru["bundle"].startswith("generation-mingru:")
    assert mingru["text"] != lstm["text"]
    assert "".join(streamed(client, model="generation-mingru")[0]) == mingru["text"]
    response = client.post("/generate", json={"model": "sentiment"})
    assert response.status_code == 404
    assert "generation-mingru" in response.json()["detail"]


def test_a_drawn_seed_is_told_and_gives_the_text_again(client: httpx.Client) -> None:
    drawn = generated(client, seed=None)
    assert generated(client, seed=drawn["seed"])["text"] == drawn["text"]


def test_who_leaves_a_stream_before_its_end_is_counted_as_gone_on_bentomls_port_too(client: httpx.Client) -> None:
    gone = 'rnn_requests_total{code="499",endpoint="/generate"}'
    before = metrics(client).get(gone, 0)
    body = {"prompt": "ROMEO:\n", **SAMPLED, "max_tokens": 4096, "stream": True}
    with httpx.Client(base_url=client.base_url) as leaving, leaving.stream("POST", "/generate", json=body) as response:
        next(response.iter_lines())
    await_metric(client, gone, before + 1)


def test_company_in_the_batch_changes_nothing(client: httpx.Client) -> None:
    alone = [generated(client, seed=seed, max_tokens=40 + seed, temperature=seed / 4) for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        asked = [
            pool.submit(generated, client, seed=seed, max_tokens=40 + seed, temperature=seed / 4) for seed in range(12)
        ]
        assert [future.result() for future in asked] == alone


def test_temperature_0_takes_the_most_probable_character(client: httpx.Client) -> None:
    greedy = generated(client, temperature=0, max_tokens=20)["text"]
    assert generated(client, top_k=1, max_tokens=20)["text"] == greedy
    assert generated(client, top_p=1e-6, max_tokens=20)["text"] == greedy
    session_id = open_session(client, "generation")
    expected = step(client, session_id, {"text": "ROMEO:\n"})["next"][0][0]
    for character in greedy:
        assert character == expected
        expected = step(client, session_id, {"text": character})["next"][0][0]


def ended(text: str, stops: list[str]) -> tuple[str, str]:
    """The text up to the first stop string that is complete, character by character, and why it ends."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], "stop"
    return text, "length"


@pytest.mark.parametrize("stops", [["\n"], [" the ", "ou"], ["zzzz"], ["e", "he", "the"]])
def test_a_text_ends_before_a_stop_string(client: httpx.Client, stops: list[str]) -> None:
    answer = generated(client, stop=stops)
    assert (answer["text"], answer["finish_reason"]) == ended(generated(client)["text"], stops)
    assert generated(client, stop=stops[0])["text"] == generated(client, stop=stops[:1])["text"]


@pytest.mark.parametrize("stop", [[], ["\n"], ["the", "and", " w"]])
def test_a_stream_is_the_text_in_pieces(client: httpx.Client, stop: list[str]) -> None:
    answer = generated(client, stop=stop)
    pieces, end = streamed(client, stop=stop)
    assert "".join(pieces) == answer["text"]
    assert end == {key: value for key, value in answer.items() if key != "text"}
    if not stop:
        assert len(pieces) > 1


@each_model
@pytest.mark.parametrize("cut", [1, 7, 31, 32, 33, 119])
def test_a_text_continued_where_it_stopped_is_the_text_at_once(client: httpx.Client, cut: int, model: str) -> None:
    first = {"generate": {**SAMPLED, "max_tokens": cut}}
    second = {"generate": {**SAMPLED, "max_tokens": 120 - cut}}
    session_id = open_session(client, model)
    step(client, session_id, {"text": "ROM"})
    step(client, session_id, {"text": "EO:\n"})
    text = step(client, session_id, first)["text"] + step(client, session_id, second)["text"]
    assert text == generated(client, model=model)["text"]


@each_model
def test_after_a_stop_the_state_is_that_of_the_text_returned(client: httpx.Client, model: str) -> None:
    session_id = open_session(client, model)
    step(client, session_id, {"text": "ROMEO:\n"})
    text = step(client, session_id, {"generate": {**SAMPLED, "stop": [" the", "\n"]}})["text"]
    after_stop = step(client, session_id, {"text": "x"})
    fed = last_step(client, model, [{"text": "ROMEO:\n" + text}, {"text": "x"}])
    assert after_stop == fed


def test_fed_text_answers_what_may_follow_and_its_own_probability(client: httpx.Client) -> None:
    likely = last_step(client, "generation", [{"text": "the king"}])
    unlikely = last_step(client, "generation", [{"text": "tkhe nig"}])
    assert 0 > likely["log_prob"] > unlikely["log_prob"] + 5
    probabilities = [probability for _, probability in likely["next"]]
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)


def test_typographic_characters_are_folded_and_unknown_ones_refused_with_their_place(client: httpx.Client) -> None:
    folded = last_step(client, "generation", [{"text": "\u2019Tis \u2014 \u201cso\u201d"}])["next"]
    assert len(folded) == 5
    response = client.post("/generate", json={"prompt": "caf\u00e9"})
    assert response.status_code == 422
    assert "position 3" in response.json()["detail"]
