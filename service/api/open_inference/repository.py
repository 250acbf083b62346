"""`/v2/repository`: the served bundle versions, in the form of the Open Inference Protocol's repository extension."""

import logging
from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import form_response
from service.api.auth import owner_of
from service.api.body import read_form
from service.api.routes import Handlers
from service.bundle.manifest import name_and_version
from service.catalog import Catalog
from service.errors import Forbidden
from service.forms.repository import IndexRequest, LoadRequest, VersionEntry, VersionIndex
from service.reload import Reloader
from service.stores.outage import or_unavailable

logger = logging.getLogger(__name__)


class RepositoryRoutes:
    """Lists the served versions and changes them.

    Args:
        catalog: The served versions.
        reloader: Changes it.
        admins: Owners who may load a version. If None, every owner may.
    """

    def __init__(self, catalog: Catalog, reloader: Reloader, admins: Collection[str] | None) -> None:
        self._catalog = catalog
        self._reloader = reloader
        self._admins = admins

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {endpoints.LIST_VERSIONS: self.list_versions, endpoints.LOAD_VERSION: self.load_version}

    async def list_versions(self, request: Request) -> Response:
        """List every version that is loaded. Those that are not current serve their sessions only."""
        await read_form(request, IndexRequest)
        current = set(self._catalog.current_tags.values())
        entries = [_entry(tag, tag in current) for tag in sorted(self._catalog.loaded_tags)]
        return form_response(VersionIndex(entries))

    async def load_version(self, request: Request) -> Response:
        """Make the newest version in the model store, or the one named, current on every worker."""
        if self._admins is not None and owner_of(request.scope) not in self._admins:
            raise Forbidden("only an owner that UNROLLED_ADMINS names may load a version")
        form = await read_form(request, LoadRequest)
        name, version = request.path_params["name"], form.parameters.version
        logger.info("owner %s loads version %r of %r", owner_of(request.scope), version, name)
        tag = await or_unavailable(self._reloader.load(name, version))
        return form_response(_entry(tag, True))


def _entry(tag: str, is_current: bool) -> VersionEntry:
    name, version = name_and_version(tag)
    return VersionEntry(name=name, version=version, reason="" if is_current else "sessions live on it")
