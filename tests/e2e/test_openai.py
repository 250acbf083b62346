"""OpenAI's own client against the real service."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types import Completion

from tests.e2e.asking import Json, ask
from tests.e2e.exposition import await_metric, metrics
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e
PROMPT = "ROMEO:\n"
NUM_ABANDONED = 4096
TOKENS = "rnn_generated_tokens_total"


def opened(url: str, api_key: str = "none is needed") -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=api_key, max_retries=0, timeout=60)


@pytest.fixture(scope="module", params=["url", "fast_url"])
def api(server: Server, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """OpenAI's client on one of the two ports."""
    with opened(getattr(server, request.param)) as client:
        yield client


def complete(api: OpenAI, **more: object) -> Completion:
    completion = api.completions.create(
        **{"model": "generation", "prompt": PROMPT, "max_tokens": 120, "temperature": 0.9, "seed": 7, **more}
    )
    assert isinstance(completion, Completion)
    return completion


def generated(client: httpx.Client, **more: object) -> Json:
    """What `/generate` answers."""
    return ask(client, "/generate", {"prompt": PROMPT, "max_tokens": 120, "temperature": 0.9, "seed": 7, **more})


def test_models_are_listed_and_shown(api: OpenAI) -> None:
    models = list(api.models.list())
    assert [model.id for model in models] == ["generation", "generation-mingru"]
    assert [api.models.retrieve(model.id) for model in models] == models


@pytest.mark.parametrize("model", ["generation", "generation-mingru"])
def test_a_completion_is_what_generate_writes(api: OpenAI, client: httpx.Client, model: str) -> None:
    answer = generated(client, model=model)
    completion = complete(api, model=model)
    (choice,) = completion.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == (answer["text"], "length", None)
    assert completion.usage is not None
    assert completion.usage.to_dict() == answer["usage"]
    assert (completion.object, completion.model) == ("text_completion", model)
    assert completion.system_fingerprint == answer["bundle"]


def test_prompts_and_their_continuations_come_in_order(api: OpenAI, client: httpx.Client) -> None:
    completion = complete(api, prompt=["ROMEO:\n", "JULIET:\n"], n=2, stop=["\n\n"], echo=True, user="ann", best_of=2)
    expected = [
        prompt + generated(client, prompt=prompt, seed=seed, stop=["\n\n"])["text"]
        for prompt in ("ROMEO:\n", "JULIET:\n")
        for seed in (7, 8)
    ]
    assert [choice.text for choice in completion.choices] == expected
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]


def test_a_stream_is_the_completion_in_pieces(api: OpenAI) -> None:
    stop = complete(api).choices[0].text[60:64]
    whole = complete(api, stop=stop)
    stream = api.completions.create(
        model="generation",
        prompt=PROMPT,
        max_tokens=120,
        temperature=0.9,
        seed=7,
        stop=stop,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    choices = [chunk.choices[0] for chunk in chunks]
    assert "".join(choice.text for choice in choices) == whole.choices[0].text
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert (last.choices, last.usage) == ([], whole.usage)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logprobs": 1}, "logprobs"),
        ({"frequency_penalty": 1.0}, "frequency_penalty"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "the end"}, "suffix"),
        ({"prompt": [17, 4]}, "prompt.0"),
        ({"prompt": "caf\u00e9"}, "prompt"),
        ({"prompt": "caf\u00e9", "stream": True}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"messages": []}}, "messages"),
    ],
)
def test_what_cannot_be_done_is_a_bad_request_that_names_its_field(api: OpenAI, fields: Json, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        complete(api, **fields)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    assert refused.value.body["message"].startswith(param)


def test_what_is_not_there_is_not_found(api: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        complete(api, model="gpt-3.5-turbo-instruct")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("sentiment")
    with pytest.raises(openai.NotFoundError, match="POST /v1/completions"):
        api.chat.completions.create(model="generation", messages=[{"role": "user", "content": "O Romeo"}])


def test_a_client_that_leaves_its_stream_calls_the_rest_off(api: OpenAI, client: httpx.Client) -> None:
    ended = 'rnn_requests_total{code="499",endpoint="/v1/completions"}'
    before = metrics(client)
    with api.completions.create(
        model="generation", prompt=PROMPT, n=8, max_tokens=NUM_ABANDONED, seed=7, stream=True
    ) as stream:
        next(iter(stream))
    await_metric(client, ended, before.get(ended, 0) + 1)
    written = metrics(client)[TOKENS] - before.get(TOKENS, 0)
    assert 0 < written < 8 * NUM_ABANDONED / 2


def test_a_key_is_needed_where_keys_are_set(guarded: Server, tokens: dict[str, str]) -> None:
    for url in (guarded.url, guarded.fast_url):
        assert complete(opened(url, tokens["ann"]), max_tokens=1).choices
        with pytest.raises(openai.AuthenticationError) as refused:
            complete(opened(url, "sk-somebody"))
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            opened(url, "sk-somebody").models.list()
