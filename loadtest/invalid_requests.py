"""Requests that must be refused, each with the status that says why. None of them may be answered 5xx."""

from typing import Any

from loadtest.answers import Problem
from loadtest.question import JSON, Question, json_body

MEBIBYTE = 2**20
NO_SESSION = "/sessions/there-is-no-such-session"


def _request(
    case: str, path: str, body: bytes | None, status: int = 422, method: str = "POST", content_type: str = JSON
) -> Question[Problem]:
    """Make a request that must be refused with a status. Its body claims to be JSON, but may be no such thing."""
    return Question(Problem, method, path, f"{path} (invalid)", body, status, content_type=content_type, case=case)


def _wrong(case: str, path: str, inputs: object, status: int = 422) -> Question[Problem]:
    return _request(case, path, json_body(inputs), status)


SENTIMENT = (
    _wrong("empty text", "/sentiment", {"text": ""}),
    _wrong("blank text", "/sentiment", {"text": " \n\t "}),
    _wrong("invisible text", "/sentiment", {"text": "\u200b"}),
    _wrong("invisible text in a list", "/sentiment", {"text": ["Good.", "\u200b"], "trajectory": True}),
    _wrong("no text", "/sentiment", {}),
    _wrong("no texts", "/sentiment", {"text": []}),
    _wrong("empty text in a list", "/sentiment", {"text": ["Good.", ""]}),
    _wrong("too many texts", "/sentiment", {"text": ["Good."] * 257}),
    _wrong("a number for a text", "/sentiment", {"text": 7}),
    _wrong("null for a text", "/sentiment", {"text": None}),
    _wrong("unknown key", "/sentiment", {"text": "Good.", "trajectroy": True}),
    _wrong("a word for true", "/sentiment", {"text": "Good.", "trajectory": "yes"}),
    _wrong("a word of 1,001 letters", "/sentiment", {"text": "o" * 1001}),
    _wrong("a text of a mebibyte", "/sentiment", {"text": "so good " * (MEBIBYTE // 8)}),
    _wrong("texts that are too long together", "/sentiment", {"text": ["word " * 13_000] * 9}),
    _wrong("a body that is too large", "/sentiment", {"text": "so good " * (9 * MEBIBYTE // 8)}, 413),
)
GENERATION = (
    _wrong("unknown character", "/generate", {"prompt": "ROMEO: \u6f22"}),
    _wrong("max_tokens 0", "/generate", {"prompt": "A", "max_tokens": 0}),
    _wrong("max_tokens too large", "/generate", {"prompt": "A", "max_tokens": 4097}),
    _wrong("true for a number", "/generate", {"prompt": "A", "max_tokens": True}),
    _wrong("negative temperature", "/generate", {"prompt": "A", "temperature": -1}),
    _wrong("a text for a number", "/generate", {"prompt": "A", "temperature": "0.5"}),
    _request("temperature NaN", "/generate", b'{"prompt": "A", "temperature": NaN}'),
    _wrong("top_p 0", "/generate", {"prompt": "A", "top_p": 0}),
    _wrong("top_k 0", "/generate", {"prompt": "A", "top_k": 0}),
    _wrong("top_k of more characters than there are", "/generate", {"prompt": "A", "top_k": 100_000}),
    _wrong("top_k beyond int64", "/generate", {"prompt": "A", "top_k": 10**30}),
    _wrong("negative seed", "/generate", {"prompt": "A", "seed": -1}),
    _wrong("a seed of 64 bits", "/generate", {"prompt": "A", "seed": 2**63}),
    _wrong("empty stop string", "/generate", {"prompt": "A", "stop": ""}),
    _wrong("empty stop string in a list", "/generate", {"prompt": "A", "stop": [""]}),
    _wrong("unknown character, streamed", "/generate", {"prompt": "\u6f22", "stream": True}),
    _wrong("half a surrogate pair", "/generate", {"prompt": "A\ud800"}, 400),
)
FORECASTING = (
    _request("NaN", "/forecast", b'{"series": {"OT": [1.5, NaN]}}'),
    _request("infinity", "/forecast", b'{"series": {"OT": [1.5, -Infinity]}}'),
    _request("a number beyond float64", "/forecast", b'{"series": {"OT": [1e999]}}'),
    _wrong("a reading that is too large", "/forecast", {"series": {"OT": [1e300]}}),
    _wrong("ragged series", "/forecast", {"series": {"OT": [1.5, 2.5], "load": [1.5]}}),
    _wrong("no channels", "/forecast", {"series": {}}),
    _wrong("no readings", "/forecast", {"series": {"OT": []}}),
    _wrong("channel without a name", "/forecast", {"series": {"": [1.5]}}),
    _wrong("words for readings", "/forecast", {"series": {"OT": ["warm"]}}),
    _wrong("null for a reading", "/forecast", {"series": {"OT": [1.5, None]}}),
    _wrong("horizon 0", "/forecast", {"series": {"OT": [1.5]}, "horizon": 0}),
    _wrong("horizon too far", "/forecast", {"series": {"OT": [1.5]}, "horizon": 721}),
    _wrong("quantile over 1", "/forecast", {"series": {"OT": [1.5]}, "quantiles": [0.5, 1.5]}),
    _wrong("quantile that the model cannot know", "/forecast", {"series": {"OT": [1.5]}, "quantiles": [1e-9]}),
)
SESSIONS = (
    _wrong("unknown model", "/sessions", {"model": "no such model"}, 404),
    _wrong("no model", "/sessions", {}),
    _wrong("ttl_seconds 0", "/sessions", {"model": "sentiment", "ttl_seconds": 0}),
    _wrong("ttl_seconds of a century", "/sessions", {"model": "sentiment", "ttl_seconds": 3_155_760_000}),
    _wrong("step of an unknown session", f"{NO_SESSION}/steps", {"inputs": {"text": "Good."}}, 404),
    _request("unknown session", NO_SESSION, None, 404, "GET"),
    _request("end of an unknown session", NO_SESSION, None, 404, "DELETE"),
    _request("a page of -1 sessions", "/sessions?limit=-1", None, 422, "GET"),
)
HTTP = (
    _request("broken JSON", "/sentiment", b'{"text": "Go', 400),
    _request("broken JSON", "/generate", b"{", 400),
    _request("broken JSON", "/forecast", b'{"series": {"OT": [1.5,]}}', 400),
    _request("broken JSON", "/sessions", b"model=sentiment", 400),
    _request("bytes that are no text", "/sentiment", b'{"text": "\xff\xfe"}', 400),
    _request("no body", "/sentiment", b""),
    _request("no body", "/sessions", b""),
    _request(
        "a form instead of JSON", "/sentiment", b"text=Good.", 415, content_type="multipart/form-data; boundary=x"
    ),
    _request("deep nesting", "/sentiment", b'{"text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400),
    _request("brackets without end", "/sentiment", b"[" * 100_000, 400),
    _wrong("null for a body", "/sentiment", None),
    _wrong("a list for a body", "/forecast", [1.5, 2.5]),
    _wrong("unknown path", "/sentiments", {"text": "Good."}, 404),
    _request("unknown path", "/favicon.ico", None, 404, "GET"),
    _request("wrong method", "/sentiment", None, 405, "GET"),
    _request("wrong method", "/sessions", None, 405, "PUT"),
    _wrong("wrong method", "/models", {}, 405),
)
INVALID_REQUESTS = (*SENTIMENT, *GENERATION, *FORECASTING, *SESSIONS, *HTTP)

# Steps that a session of each model must refuse without advancing.
INVALID_STEPS: dict[str, tuple[dict[str, Any], ...]] = {
    "sentiment": ({"text": ""}, {}, {"values": {"OT": [1.5]}}, {"text": "o" * 2000}),
    "generation": (
        {"text": "\u6f22"},
        {},
        {"text": "A", "generate": {"max_tokens": 1}},
        {"generate": {"max_tokens": 0}},
        {"generate": {"max_tokens": 1, "top_k": 100_000}},
    ),
    "forecasting": (
        {},
        {"horizon": 24},
        {"values": {"OT": [1.5], "load": []}},
        {"values": {"OT": [1.5], "load": [1.5, 2.5]}},
        {"values": {"OT": [1.5]}, "horizon": 100_000},
    ),
}
