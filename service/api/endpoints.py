"""Every endpoint, declared once.

The OpenAPI document, metric labels, 405s, paths that need no key and the port that serves a path follow from the
declarations. `service.api.application` binds handlers to them, and does not start if one has no handler.
"""

from dataclasses import replace
from functools import partial

from service.api.endpoint import Endpoint, Schemas
from service.api.media_types import BLOB, JSON, MIDI, OCTETS
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.completions import Completion, CompletionModel, CompletionModels, CompletionRequest
from service.forms.forecasting import ForecastAnswer, ForecastRequest
from service.forms.generation import GenerateAnswer, GenerateRequest
from service.forms.models import ModelList, ModelView
from service.forms.music import ComposeAnswer, ComposeRequest
from service.forms.open_inference import InferAnswer, InferRequest, ModelMetadata, ModelReady, ServerMetadata
from service.forms.repository import IndexRequest, LoadRequest, VersionEntry, VersionIndex
from service.forms.sentiment import SentimentAnswer, SentimentRequest
from service.forms.sessions import (
    MAX_NAME_CHARACTERS,
    NAME_PATTERN,
    ForkRequest,
    MigrateRequest,
    RollbackRequest,
    SessionPage,
    SessionRequest,
    SessionView,
)
from service.forms.steps import ItemAnswers, StepAnswer, StepItems, StepRequest, TransitionAnswer
from service.forms.tagging import TagAnswer, TagRequest
from service.forms.translation import TranslateAnswer, TranslateRequest

QUESTIONS, SESSIONS, SERVICE = "Questions", "Sessions", "Service"
MAX_PAGE = 1000

_EVENTS: Schemas = {
    "text/event-stream": {
        "type": "string",
        "description": 'With `"stream": true`: events `text` with pieces of text, or `frames` with frames of music; '
        "then `done` with the answer, or `error` with a problem",
    }
}
_CHUNKS: Schemas = {
    "text/event-stream": {
        "type": "string",
        "description": 'With `"stream": true`: chunks in the form of the answer, then `[DONE]`',
    }
}
_BINARY: Schemas = {
    OCTETS: {
        "type": "string",
        "format": "binary",
        "description": "JSON, then the tensors; `Inference-Header-Content-Length` is the JSON's length in bytes",
    }
}
_MIDI: Schemas = {MIDI: {"type": "string", "format": "binary"}}
_BLOB: Schemas = {BLOB: {"type": "string", "format": "binary"}}
# Generated clients know only the second of the two, and leave out an operation that takes the first.
_ANY_BLOB: Schemas = {**_BLOB, OCTETS: _BLOB[BLOB]}
_OCTETS: Schemas = {OCTETS: {**_BLOB[BLOB], "description": f"The blob; {BLOB} is read, too"}}
_OBJECT: Schemas = {JSON: {"type": "object"}}
_TEXT: Schemas = {"text/plain": {"type": "string"}}
_PAGING = (
    {
        "name": "after",
        "in": "query",
        "schema": {"type": "string"},
        "description": "Value of `next` from the previous page",
    },
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
        "description": "Maximum number of sessions on the page",
    },
)
_IDEMPOTENCY = (
    {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "Key that makes a retry safe: the same key and request return the session that was opened",
    },
)
_HEADER_LENGTH = (
    {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Length of the JSON in a binary body, in bytes. A binary answer has this header too",
    },
)
_CHECKPOINT_PARAMETERS = (
    {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": NAME_PATTERN, "maxLength": MAX_NAME_CHARACTERS},
        "description": "Name of the checkpoint",
    },
    {
        "name": "step",
        "in": "query",
        "schema": {"type": "integer", "format": "int64", "minimum": 0, "exclusiveMaximum": 2**63},
        "description": "Number of this step, which must be the next one; safe to retry. Left out: whichever is next",
    },
)

_question = partial(Endpoint, "POST", tag=QUESTIONS, checks_query=True, is_left_to_bentoml=True)
JUDGE_SENTIMENT = _question(
    "/sentiment",
    "judge_sentiment",
    "Judge the sentiment of one text or several",
    request=SentimentRequest,
    answer=SentimentAnswer,
)
TAG = _question("/tag", "tag", "Tag words with parts of speech or entities", request=TagRequest, answer=TagAnswer)
TRANSLATE = _question(
    "/translate", "translate", "Translate one text or several", request=TranslateRequest, answer=TranslateAnswer
)
GENERATE = _question(
    "/generate",
    "generate",
    "Continue a text",
    request=GenerateRequest,
    answer=GenerateAnswer,
    needs_body=False,
    response_types=_EVENTS,
)
COMPOSE = _question(
    "/compose",
    "compose",
    "Compose music",
    request=ComposeRequest,
    answer=ComposeAnswer,
    needs_body=False,
    response_types=_MIDI,
)
FORECAST = _question(
    "/forecast", "forecast", "Forecast every channel of a series", request=ForecastRequest, answer=ForecastAnswer
)
CAPTION = _question(
    "/caption", "caption", "Describe the image of a digit in a sentence", request=CaptionRequest, answer=CaptionAnswer
)

_session = partial(Endpoint, tag=SESSIONS, checks_query=True)
_opens = partial(_session, "POST", answer=SessionView, status=201, parameters=_IDEMPOTENCY)
_ONE = "/sessions/{session_id}"
_CHECKPOINT = _ONE + "/checkpoints/{name}"
OPEN_SESSION = _opens("/sessions", "open_session", "Open a session", request=SessionRequest)
LIST_SESSIONS = _session(
    "GET", "/sessions", "list_sessions", "List sessions, in pages", answer=SessionPage, parameters=_PAGING
)
IMPORT_SESSION = _opens(
    "/sessions/import", "import_session", "Open a session from an exported one", request_types=_OCTETS
)
SHOW_SESSION = _session("GET", _ONE, "show_session", "Show a session", answer=SessionView)
END_SESSION = _session("DELETE", _ONE, "end_session", "End a session", status=204)
TAKE_STEP = _session(
    "POST",
    _ONE + "/steps",
    "take_step",
    "Advance a session by one step",
    request=StepRequest,
    answer=StepAnswer,
    response_types=_EVENTS,
)
FORK_SESSION = _opens(
    _ONE + "/fork", "fork_session", "Open a session from this one's state", request=ForkRequest, needs_body=False
)
SAVE_CHECKPOINT = _session(
    "PUT",
    _CHECKPOINT,
    "save_checkpoint",
    "Save the state as a checkpoint (a step)",
    answer=TransitionAnswer,
    needs_body=False,
    parameters=_CHECKPOINT_PARAMETERS,
)
FORGET_CHECKPOINT = _session(
    "DELETE",
    _CHECKPOINT,
    "forget_checkpoint",
    "Delete a checkpoint (a step)",
    answer=TransitionAnswer,
    parameters=_CHECKPOINT_PARAMETERS,
)
ROLL_BACK = _session(
    "POST",
    _ONE + "/rollback",
    "roll_back",
    "Return to a checkpoint (a step)",
    request=RollbackRequest,
    answer=TransitionAnswer,
)
MIGRATE_SESSION = _session(
    "POST",
    _ONE + "/migrate",
    "migrate_session",
    "Migrate a session to another bundle version",
    request=MigrateRequest,
    answer=TransitionAnswer,
    needs_body=False,
)
EXPORT_SESSION = _session(
    "GET", _ONE + "/state", "export_session", "Export a session as a signed blob", response_types=_ANY_BLOB
)
TAKE_STEPS = _session(
    "POST",
    "/steps",
    "take_steps",
    "Advance many sessions by one step each",
    request=StepItems,
    answer=ItemAnswers,
    parameters=_HEADER_LENGTH,
    request_types=_BINARY,
    response_types=_BINARY,
)
STREAM = Endpoint("GET", "/stream")  # a WebSocket

_service = partial(Endpoint, tag=SERVICE)
COMPLETE = _service(
    "POST",
    "/v1/completions",
    "complete",
    "Continue texts, in OpenAI's form",
    request=CompletionRequest,
    answer=Completion,
    response_types=_CHUNKS,
    tag=QUESTIONS,
)
LIST_GENERATORS = _service(
    "GET",
    "/v1/models",
    "list_generators",
    "List text generators, in OpenAI's form",
    answer=CompletionModels,
)
SHOW_GENERATOR = _service(
    "GET", "/v1/models/{name}", "show_generator", "Show a text generator, in OpenAI's form", answer=CompletionModel
)

SHOW_SERVER = _service(
    "GET", "/v2", "show_server", "Show server metadata (Open Inference Protocol)", answer=ServerMetadata
)
SERVER_LIVE = _service(
    "GET", "/v2/health/live", "server_live", "Check whether a worker is alive", response_types=_OBJECT, is_public=True
)
SERVER_READY = _service(
    "GET",
    "/v2/health/ready",
    "server_ready",
    "Check whether every model is ready",
    response_types=_OBJECT,
    is_public=True,
)
SHOW_MODEL = _service("GET", "/v2/models/{name}", "show_model", "Show the tensors of a model", answer=ModelMetadata)
MODEL_READY = _service(
    "GET", SHOW_MODEL.path + "/ready", "model_ready", "Check whether a model is ready", answer=ModelReady
)
SHOW_MODEL_CONFIG = _service(
    "GET",
    SHOW_MODEL.path + "/config",
    "show_model_config",
    "Show the Triton configuration of a model",
    response_types=_OBJECT,
)
INFER_MODEL = _service(
    "POST",
    SHOW_MODEL.path + "/infer",
    "infer_model",
    "Run inference on tensors with a model",
    request=InferRequest,
    answer=InferAnswer,
    parameters=_HEADER_LENGTH,
    request_types=_BINARY,
    response_types=_BINARY,
)
SHOW_VERSION, VERSION_READY, SHOW_VERSION_CONFIG, INFER_VERSION = (
    replace(
        of_model,
        path=of_model.path.replace(SHOW_MODEL.path, SHOW_MODEL.path + "/versions/{version}"),
        name=of_model.name.replace("model", "version"),
        summary=of_model.summary.replace("a model", "a version of a model"),
    )
    for of_model in (SHOW_MODEL, MODEL_READY, SHOW_MODEL_CONFIG, INFER_MODEL)
)
LIST_MODELS = _service("GET", "/models", "list_models", "List the served models", answer=ModelList, checks_query=True)
SHOW_SERVED_MODEL = _service(
    "GET", "/models/{name}", "show_served_model", "Show a served model", answer=ModelView, checks_query=True
)
LIST_VERSIONS = _service(
    "POST",
    "/v2/repository/index",
    "list_versions",
    "List the loaded bundle versions",
    request=IndexRequest,
    answer=VersionIndex,
    needs_body=False,
)
LOAD_VERSION = _service(
    "POST",
    "/v2/repository/models/{name}/load",
    "load_version",
    "Load a bundle version on every worker",
    request=LoadRequest,
    answer=VersionEntry,
    needs_body=False,
)
METRICS = _service("GET", "/metrics", "metrics", "Show metrics for Prometheus", response_types=_TEXT)
_probe = partial(_service, "GET", is_public=True, is_left_to_bentoml=True)
HEALTHZ = _probe("/healthz", "healthz", "Check whether the process is alive")
LIVEZ = _probe("/livez", "livez", "Check whether the process is alive")
READYZ = _probe(
    "/readyz",
    "readyz",
    "Check whether the worker answers, whether or not Redis does",
    refusals={503: "Not ready yet, or no longer"},
)
DOCUMENT = Endpoint("GET", "/docs.json", is_public=True)
PLAYGROUND = Endpoint("GET", "/ui", is_public=True)  # with all files below it
PAGE = Endpoint("GET", "/", is_public=True, is_left_to_bentoml=True)
PAGE_FILES = Endpoint("GET", "/static_content", is_public=True, is_left_to_bentoml=True)

ENDPOINTS = tuple(each for each in list(globals().values()) if isinstance(each, Endpoint))  # all of the above, in order
DOCUMENTED = tuple(endpoint for endpoint in ENDPOINTS if endpoint.tag is not None)
# Probes reveal no secrets. Nor do the playground's files and the API page, whose own requests need a key.
PUBLIC_PATHS = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.is_public)
