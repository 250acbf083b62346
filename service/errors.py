"""Every refusal that a client can get: one tree, one mapping to HTTP on every surface.

    head ─► page ─► key ─► body ─► schema ─► session ─► step ─► queue ─► graph ─► store ─► answer
      │       │      │      │         │         │        │        │        │        │
   400,431   403    401  400,413     422     404,410  409,429    503      504    429,503

ServiceError
├── Malformed            400   the body is not JSON or not a blob, or what was sent is not HTTP
├── SequenceUnknown      400   no sequence of that id was started
├── Unauthenticated      401   no API key, or none that is valid
├── Forbidden            403   not allowed here, whoever asks
│   ├── ExportDisabled   403   no key to sign exports with is set
│   ├── HostNotAllowed   403   sent by a page whose own name may resolve to this machine
│   └── OriginNotAllowed 403   sent by a page of another origin
├── CheckpointUnknown    404   the session has no checkpoint of that name
├── ModelUnknown         404   no bundle of that name is served
├── SessionUnknown       404   never existed, or is not yours
├── NotMigratable        409   the session cannot move to that bundle
├── StepConflict         409   not the next step; says which is
├── TooManyCheckpoints   409   the session may have no further checkpoint
├── VersionSuperseded    409   another version was loaded meanwhile; says which
├── SessionGone          410   ended, expired or evicted; says which
├── NumericsChanged      412   another machine or runtime than the session's; says both
├── VersionLeft          412   the checkpoint is of a bundle version that its session has left; says which
├── VersionUnknown       412   the session's bundle version is not served
├── TooLarge             413   a body, a message or the rows of a request are over their limit
├── MediaTypeUnknown     415   the body is not sent as JSON
│   └── EncodingUnknown  415   the body is compressed
├── BlobFormatUnknown    422   an exported session in a format that is not read here; says which are
├── BlobTampered         422   an exported session whose signature does not match
├── IdempotencyMismatch  422   an Idempotency-Key that came with another request before
├── InvalidInput         422   well-formed, but not something that the model can read
├── NotStreamable        422   the model needs the whole input at once
├── UpgradeNeeded        426   this path takes WebSocket connections only
├── SessionQuota         429   the owner has as many live sessions as allowed
├── TooBusy              429   too many steps of one session wait
├── HeadTooLarge         431   a request's line and header fields are over their limit
├── SessionDamaged       500   the stored record is not what was written
├── OutOfResources       503   no files or memory left to open a graph
├── QueueFull            503   try again later
├── ShuttingDown         503   this worker is about to end; another answers
├── StoreFull            503   no room for another session
├── StoreUnavailable     503   the store does not answer
└── DeadlineExceeded     504   the answer took longer than the limit

A class carries what all its refusals have in common, status and title for instance; the message is written for the
client. What must not be sent is logged.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import ValidationError

Location = tuple[str | int, ...]
# Instead of pydantic's messages that mention Python or our classes, or mean something other than a client's `inputs`.
_MESSAGES = {
    "dict_type": "Input should be an object",
    "extra_forbidden": "there is no such field",
    "list_type": "Input should be a valid array",
    "model_type": "Input should be an object",
}
# The parser's words for one half of a surrogate pair. JSON's grammar allows it, Unicode does not.
_HALF_CHARACTER = ("unexpected end of hex escape", "lone leading surrogate")
MAX_MISTAKES = 1000
MAX_LISTED_MISTAKES = 20


class ServiceError(Exception):
    """A refusal with its HTTP status; `str(error)` is what the client reads."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    code: ClassVar[str] = "internal-error"
    retry_after_seconds: ClassVar[int | None] = None
    headers: ClassVar[Mapping[str, str]] = {}

    def members(self) -> dict[str, Any]:
        """Return this problem's members besides type, title, status and detail."""
        return {}

    def without_frames(self) -> Self:
        """Return this without what raised it. Those frames often hold the refusal or its turn, which is a cycle."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class Malformed(ServiceError):
    """The body is not what its content type says."""

    status, title, code = 400, "Malformed request", "malformed"

    @classmethod
    def of_json(cls, mistake: str) -> Self:
        """Refuse what is not JSON, in pydantic's words, or not Unicode."""
        reason = mistake.removeprefix("Invalid JSON: ")
        if not reason.startswith(_HALF_CHARACTER):
            return cls(f"what was sent is not JSON: {reason}")
        place = reason[reason.rfind(" at line") :]
        way_out = "cut texts between characters, which are the items of [...text] in JavaScript"
        return cls(f"a string has half a character, a lone surrogate,{place}: {way_out}")


class SequenceUnknown(ServiceError):
    """No sequence of that id was started by this owner; Triton's status for it."""

    status, title, code = 400, "Unknown sequence", "sequence-unknown"


class Unauthenticated(ServiceError):
    """The caller sends no API key, or none that is valid."""

    status, title, code = 401, "API key needed", "unauthenticated"


class Forbidden(ServiceError):
    """Not allowed here for any caller."""

    status, title, code = 403, "Forbidden", "forbidden"


class ExportDisabled(Forbidden):
    """Sessions are neither exported nor imported, since there is no key to sign them with."""

    title, code = "Export disabled", "export-disabled"


class HostNotAllowed(Forbidden):
    """A browser may have sent the request here because a page's own name was made to resolve to this machine."""

    title, code = "Host not allowed", "host-not-allowed"


class OriginNotAllowed(Forbidden):
    """A page of an origin that may not call sent the request."""

    title, code = "Origin not allowed", "origin-not-allowed"


class CheckpointUnknown(ServiceError):
    """The session has no checkpoint of that name."""

    status, title, code = 404, "Unknown checkpoint", "checkpoint-unknown"


class ModelUnknown(ServiceError):
    """No bundle of that name is served."""

    status, title, code = 404, "Unknown model", "model-unknown"


class SessionUnknown(ServiceError):
    """No session of that id ever existed for this owner."""

    status, title, code = 404, "Unknown session", "session-unknown"


class NotMigratable(ServiceError):
    """The session's state means nothing to the bundle that it is to move to."""

    status, title, code = 409, "Not migratable", "not-migratable"


class StepConflict(ServiceError):
    """The step is not the next one, or another writer took it first."""

    status, title, code = 409, "Step conflict", "step-conflict"

    def __init__(self, message: str, expected_step: int) -> None:
        super().__init__(message)
        self.expected_step = expected_step

    def members(self) -> dict[str, Any]:
        return {"expected_step": self.expected_step}


class TooManyCheckpoints(ServiceError):
    """The session has as many checkpoints as it may have."""

    status, title, code = 409, "Too many checkpoints", "too-many-checkpoints"


class VersionSuperseded(ServiceError):
    """Another version of the model was to become current before the one that was loaded was current everywhere."""

    status, title, code = 409, "Version superseded", "version-superseded"


class SessionGone(ServiceError):
    """The session existed and is over."""

    status, title, code = 410, "Session is over", "session-gone"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def members(self) -> dict[str, Any]:
        return {"reason": self.reason}


class NumericsChanged(ServiceError):
    """The session's steps were taken under other numerics, so that further ones may differ in their last bits.

    Args:
        message: Says what would allow it.
        session_numerics: Fingerprint that is kept with the session.
        served_numerics: Fingerprint of this worker's numerics.
    """

    status, title, code = 412, "Numerics changed", "numerics-changed"

    def __init__(self, message: str, session_numerics: str, served_numerics: str) -> None:
        super().__init__(message)
        self.session_numerics = session_numerics
        self.served_numerics = served_numerics

    def members(self) -> dict[str, Any]:
        return {"session_numerics": self.session_numerics, "served_numerics": self.served_numerics}


class VersionLeft(ServiceError):
    """The checkpoint was saved on a bundle version that its session has left."""

    status, title, code = 412, "Checkpoint of another version", "version-left"


class VersionUnknown(ServiceError):
    """The session lives on a bundle version that is not served.

    Args:
        message: Says which are served.
        expected_step: The session's next step, if a step was refused, so that the client knows which it has taken.
    """

    status, title, code = 412, "Bundle version not served", "version-unknown"

    def __init__(self, message: str, expected_step: int | None = None) -> None:
        super().__init__(message)
        self.expected_step = expected_step

    def members(self) -> dict[str, Any]:
        return {} if self.expected_step is None else {"expected_step": self.expected_step}


class TooLarge(ServiceError):
    """Over a documented limit of size."""

    status, title, code = 413, "Too large", "too-large"


class MediaTypeUnknown(ServiceError):
    """The body's content type is not one that the service reads."""

    status, title, code = 415, "Unsupported media type", "media-type-unknown"


class EncodingUnknown(MediaTypeUnknown):
    """The body is compressed. The answer names the one coding that is read, none (RFC 9110, section 15.5.16)."""

    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "identity"}


class BlobFormatUnknown(ServiceError):
    """An exported session, signed with this deployment's key, in a format that is not read here."""

    status, title, code = 422, "Unknown export format", "blob-format-unknown"


class BlobTampered(ServiceError):
    """The signature of an exported session does not match: it was changed, or signed with another key."""

    status, title, code = 422, "Signature does not match", "blob-tampered"


class IdempotencyMismatch(ServiceError):
    """The Idempotency-Key came with another request before."""

    status, title, code = 422, "Idempotency-Key reused", "idempotency-mismatch"


class InvalidInput(ServiceError):
    """Well-formed, but not something that the model can read.

    Args:
        message: What is wrong.
        location: Where in the body, for instance ("series", "OT", 3).
    """

    status, title, code = 422, "Invalid input", "invalid-input"

    def __init__(self, message: str, location: Location = ()) -> None:
        super().__init__(message)
        self.errors: list[tuple[Location, str]] = [(location, message)]

    def __str__(self) -> str:
        location, message = self.errors[0]
        return f"{'.'.join(map(str, location))}: {message}" if location else message

    @classmethod
    def of(cls, mistakes: ValidationError) -> Self:
        """Return what pydantic found wrong as one refusal."""
        if mistakes.error_count() > MAX_MISTAKES:
            return cls(f"{mistakes.error_count()} mistakes, too many to list")
        return cls.of_fields(mistakes.errors(include_url=False, include_context=False, include_input=False))

    @classmethod
    def of_fields(cls, errors: Sequence[Mapping[str, Any]]) -> Self:
        """Return one refusal for pydantic's errors, unknown fields first: they tell more than the fields that lack."""
        ordered = sorted(errors, key=lambda error: error["type"] != "extra_forbidden")
        return cls.of_mistakes([(_as_sent(error["loc"]), _in_words(error)) for error in ordered])

    @classmethod
    def of_mistakes(cls, mistakes: Sequence[tuple[Location, str]]) -> Self:
        """Return one refusal for all mistakes. It lists the first MAX_LISTED_MISTAKES and counts the others."""
        refusal = cls("")
        refusal.errors = list(mistakes[:MAX_LISTED_MISTAKES])
        if num_more := len(mistakes) - len(refusal.errors):
            refusal.errors.append(((), f"and {num_more} more mistakes"))
        return refusal

    def within(self, field: str) -> Self:
        """Put the locations inside a field of a larger body, and return the same refusal."""
        self.errors = [((field, *location), message) for location, message in self.errors]
        return self

    def members(self) -> dict[str, Any]:
        return {"errors": [{"location": list(location), "message": message} for location, message in self.errors]}


def _in_words(error: Mapping[str, Any]) -> str:
    """Return an error's message in a client's words."""
    message: str = _MESSAGES.get(error["type"], error["msg"])
    return message.removeprefix("Value error, ")


def _as_sent(location: Iterable[str | int]) -> Location:
    """Return a location without the negative numbers with which our forms tag the members of a union."""
    return tuple(part for part in location if isinstance(part, str) or part >= 0)


class NotStreamable(ServiceError):
    """The model needs the whole input at once, so it has no sessions."""

    status, title, code = 422, "Not streamable", "not-streamable"

    @classmethod
    def of_model(cls, model: str) -> Self:
        """Refuse sessions on a model, which needs whole inputs."""
        return cls(f"{model} needs whole inputs, so it has no sessions")


class UpgradeNeeded(ServiceError):
    """The path takes WebSocket connections only, or the client asks for a version of WebSocket other than 13."""

    status, title, code = 426, "Upgrade needed", "upgrade-needed"
    headers: ClassVar[Mapping[str, str]] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
    }


class SessionQuota(ServiceError):
    """The owner has as many live sessions as allowed. Waiting alone may not help, so no retry is suggested."""

    status, title, code = 429, "Session quota reached", "session-quota"


class TooBusy(ServiceError):
    """Too many steps of one session wait for their turn."""

    status, title, code, retry_after_seconds = 429, "Too busy", "too-busy", 1


class HeadTooLarge(ServiceError):
    """A request's line and header fields have more bytes than allowed."""

    status, title, code = 431, "Head too large", "head-too-large"


class SessionDamaged(ServiceError):
    """The session's stored record is damaged; it is never served as something else."""

    status, title, code = 500, "Session damaged", "session-damaged"


class OutOfResources(ServiceError):
    """This worker has as many files and connections open as it may, or no memory left. Nothing was committed."""

    status, title, code, retry_after_seconds = 503, "Out of resources", "out-of-resources", 5


class QueueFull(ServiceError):
    """The model's queue has no room for more rows, or too many large bodies wait to be parsed."""

    status, title, code, retry_after_seconds = 503, "Queue full", "queue-full", 5


class ShuttingDown(ServiceError):
    """This worker accepts no more work; the next attempt reaches another one."""

    status, title, code, retry_after_seconds = 503, "Shutting down", "shutting-down", 1

    def __init__(self, message: str = "the service is shutting down; try again, or ask another replica") -> None:
        super().__init__(message)


class StoreFull(ServiceError):
    """The store has no room for another session."""

    status, title, code, retry_after_seconds = 503, "Session store full", "store-full", 60


class StoreUnavailable(ServiceError):
    """The store does not answer. A retry of the step under the same number shows whether it was committed."""

    status, title, code, retry_after_seconds = 503, "Session store unavailable", "store-unavailable", 1


class DeadlineExceeded(ServiceError):
    """The answer took longer than the service's limit. Nothing was committed."""

    status, title, code = 504, "Deadline exceeded", "deadline-exceeded"
