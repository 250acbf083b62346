"""Names and ids of checkpoints: a session lists each with the step that saved it, and its record's id has both.

name ─► name~12, as the session lists it ─► ID~name~12, the id of its record
"""


def checkpoint_entry(name: str, step: int) -> str:
    """Return a checkpoint as its session lists it."""
    return f"{name}~{step}"


def checkpoint_name(saved: str) -> str:
    """Return the name of a checkpoint that a session lists."""
    return saved.partition("~")[0]


def checkpoint_id(session_id: str, saved: str) -> str:
    """Return the id of a checkpoint's record."""
    return f"{session_id}~{saved}"


def session_of(record_id: str) -> str:
    """Return the id of the session that a checkpoint's record belongs to."""
    return record_id.partition("~")[0]
