"""Every refusal that a client can meet: one tree, one mapping to HTTP on every surface.

    request ─► body ─► schema ─► session ─► step ─► queue ─► graph ─► store ─► answer
                │        │         │         │        │        │        │
              400,413   422     404,410     409      503      504      503

ServiceError
├── Malformed            400   the body is not JSON
├── ModelUnknown         404   no bundle of that name is served
├── SessionUnknown       404   never existed, or is not yours
├── StepConflict         409   not the next step; says which is
├── SessionGone          410   ended or expired; says which
├── VersionUnknown       412   the session's bundle version is not served
├── TooLarge             413   the body, a text or an answer is over its limit
├── MediaTypeUnknown     415   the body is not sent as JSON
├── InvalidInput         422   well-formed, but not something that the model can read
├── SessionDamaged       500   the stored record is not what was written
├── QueueFull            503   try again later
├── StoreFull            503   no room for another session
└── DeadlineExceeded     504   the answer took longer than the limit

A class carries only its status and title; the message is written for the client. What must not be sent is logged.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

Location = tuple[str | int, ...]


class ServiceError(Exception):
    """A refusal with its HTTP status; `str(error)` is what the client reads."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    code: ClassVar[str] = "internal-error"
    retry_after_seconds: ClassVar[int | None] = None

    def members(self) -> dict[str, Any]:
        """Members that this problem has beyond type, title, status and detail."""
        return {}


class Malformed(ServiceError):
    """The body is not what its content type says."""

    status, title, code = 400, "Malformed request", "malformed"


class ModelUnknown(ServiceError):
    """No bundle of that name is served."""

    status, title, code = 404, "Unknown model", "model-unknown"


class SessionUnknown(ServiceError):
    """No session of that id ever existed for this owner."""

    status, title, code = 404, "Unknown session", "session-unknown"


class StepConflict(ServiceError):
    """The step is not the next one, or another writer took it first."""

    status, title, code = 409, "Step conflict", "step-conflict"

    def __init__(self, message: str, expected_step: int) -> None:
        super().__init__(message)
        self.expected_step = expected_step

    def members(self) -> dict[str, Any]:
        return {"expected_step": self.expected_step}


class SessionGone(ServiceError):
    """The session existed and is over."""

    status, title, code = 410, "Session is over", "session-gone"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def members(self) -> dict[str, Any]:
        return {"reason": self.reason}


class VersionUnknown(ServiceError):
    """The session lives on a bundle version that is not served."""

    status, title, code = 412, "Bundle version not served", "version-unknown"


class TooLarge(ServiceError):
    """Over a documented limit of size."""

    status, title, code = 413, "Too large", "too-large"


class MediaTypeUnknown(ServiceError):
    """The body's content type is not one that the service reads."""

    status, title, code = 415, "Unsupported media type", "media-type-unknown"


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
    def of_fields(cls, errors: Iterable[Mapping[str, Any]]) -> Self:
        """All that pydantic found wrong, as one refusal."""
        refusal = cls("")
        refusal.errors = [(tuple(error["loc"]), error["msg"]) for error in errors]
        return refusal

    def within(self, field: str) -> Self:
        """The same refusal of something that stands in a field of a larger body."""
        self.errors = [((field, *location), message) for location, message in self.errors]
        return self

    def members(self) -> dict[str, Any]:
        return {"errors": [{"location": list(location), "message": message} for location, message in self.errors]}


class SessionDamaged(ServiceError):
    """The session's stored record is damaged; it is never served as something else."""

    status, title, code = 500, "Session damaged", "session-damaged"


class QueueFull(ServiceError):
    """More rows wait for the model than its queue takes."""

    status, title, code, retry_after_seconds = 503, "Queue full", "queue-full", 1


class StoreFull(ServiceError):
    """The store has no room for another session."""

    status, title, code, retry_after_seconds = 503, "Session store full", "store-full", 60


class DeadlineExceeded(ServiceError):
    """The answer took longer than the service's limit; nothing was committed."""

    status, title, code = 504, "Deadline exceeded", "deadline-exceeded"
