"""Finds the endpoint of a path, or of a request."""

import re
from typing import NamedTuple

from service.api.endpoint import Endpoint
from service.api.endpoints import ENDPOINTS, PAGE_FILES, PLAYGROUND


class PathMatch(NamedTuple):
    """The endpoint of a path.

    Attributes:
        label: The path without its ids, or one name for everything that is not served: metrics must have few labels.
        ids: The ids that were taken out.
    """

    label: str
    ids: tuple[str, ...] = ()


_LABELS = {endpoint.path: endpoint.label for endpoint in ENDPOINTS}
_TEMPLATES = [path for path in _LABELS if "{" in path]
_BY_REQUEST = {(method, endpoint.label): endpoint for endpoint in ENDPOINTS for method in endpoint.methods}
OTHER = "other"
_UNKNOWN = PathMatch(OTHER)
_FILES = {endpoint.path: PathMatch(endpoint.label) for endpoint in (PLAYGROUND, PAGE_FILES)}
_WITHOUT_IDS = {path: PathMatch(label) for path, label in _LABELS.items() if path not in _TEMPLATES}
# Each template is a named group, with an unnamed group for each of its ids.
_PATTERNS = [re.sub(r"{\w+}", "([^/]+)", path) for path in _TEMPLATES]
_PATTERN = re.compile("|".join(f"(?P<t{at}>{pattern})" for at, pattern in enumerate(_PATTERNS)))
_BY_GROUP: dict[str | None, str] = {f"t{at}": _LABELS[path] for at, path in enumerate(_TEMPLATES)}


def match_path(path: str) -> PathMatch:
    """Find the endpoint of a path. One lookup or one match, because every request needs it."""
    found = _WITHOUT_IDS.get(path)
    if found is not None:
        return found
    match = _PATTERN.fullmatch(path)
    if match is None:
        return _FILES.get(first_segment(path), _UNKNOWN)
    _, *ids = filter(None, match.groups())  # the template's own group, and those of its ids
    return PathMatch(_BY_GROUP[match.lastgroup], tuple(ids))


def label_of(path: str) -> str:
    """Return the label of a path."""
    return match_path(path).label


def endpoint_for(method: str, path: str) -> Endpoint | None:
    """Return the endpoint of a request. None if the path has no endpoint, or none with this method."""
    return _BY_REQUEST.get((method, match_path(path).label))


def first_segment(path: str) -> str:
    """Return the first segment of a path, with its slash. A path without slashes, such as `*`, is returned as it is."""
    end = path.find("/", 1)
    return path if end < 0 else path[:end]
