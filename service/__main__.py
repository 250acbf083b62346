"""`python -m service`: the service, and its operator's commands.

python -m service [serve]               hand over to `bentoml serve`, with time for clients to be answered at its end
python -m service health                whether that service is ready, for a container's runtime: exit status 0 or 1
python -m service keys add OWNER        write an API key into the file of keys and print its token, once
python -m service keys list             who may call
python -m service keys remove KEY_ID    revoke a key
python -m service import BUNDLE         copy a bundle into the model store, from which it can be served
python -m service backup DESTINATION    copy the session store, which may be served meanwhile
python -m service restore SOURCE        put such a copy where there is no store
"""

import argparse
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from service.process.bentoml_home import create_home
from service.process.graceful import GRACEFUL_SECONDS
from service.process.memory_limit import memory_limit, memory_shortage

HEALTH_SECONDS = 5
OWN_SETTINGS = "It goes by the UNROLLED_ settings of this shell: set those of the service."
Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb, or exit with the reason why it cannot be done."""
    options = _parser().parse_args(arguments)
    options.run(options)


def serve(_: argparse.Namespace) -> None:
    """Replace this process with BentoML's server, which checks all that can be checked before it starts workers."""
    shortage = memory_shortage(memory_limit(), num_workers=1, num_bundle_bytes=0)
    if shortage:  # checked here already: a process that loads more than it may have is killed without a message
        sys.exit(f"unrolled: {shortage}")
    if error := create_home():
        sys.exit(f"unrolled: {error}")
    if find_spec("onnxruntime") is None:
        sys.exit("unrolled: onnxruntime is missing; install 'unrolled[cpu]' or 'unrolled[gpu]'")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    bentoml = Path(sys.executable).with_name("bentoml")
    command = [str(bentoml), "serve", "service.app:RNNService", "--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)]
    os.execv(bentoml, command)  # noqa: S606  no shell, fixed arguments


def health(_: argparse.Namespace) -> None:
    """Ask the service of these settings whether it is ready."""
    from pydantic import ValidationError

    from service.settings import ServerSettings, in_one_line

    try:
        server = ServerSettings()
    except ValidationError as error:
        sys.exit(f"unrolled: {in_one_line(error)}")
    connection = HTTPConnection(_reachable(server.host), server.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        sys.exit(f"unrolled: the service cannot be reached on port {server.port}: {error}")
    if status != HTTPStatus.OK:
        sys.exit(f"unrolled: the service is not ready: /readyz answers {status}")


def _reachable(host: str) -> str:
    """Return where a service is reachable that listens on an address, or on all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  nothing listens here


def keys(options: argparse.Namespace) -> None:
    """Edit or show the file of API keys."""
    from service.keys.key_file import KeysUnusable, add_key, read_keys, remove_key
    from service.settings import KeySettings

    name = options.file or KeySettings().api_keys
    if not name:
        sys.exit("unrolled: no file of API keys is given: set UNROLLED_API_KEYS or pass --file PATH")
    path = Path(name)
    try:
        if options.verb == "add":
            token = add_key(path, options.owner)
            _tell(f"added a key for {options.owner} to {path}; its token, which is shown only now:")
            _print(token)
        elif options.verb == "remove":
            removed = remove_key(path, options.key_id)
            _tell(f"removed key {removed.key_id} of {removed.owner}; workers refuse it within a second")
        else:
            for key in sorted(read_keys(path).values()):
                _print(f"{key.key_id}  {key.owner}")
    except KeysUnusable as error:
        sys.exit(f"unrolled: {error}")


def import_(options: argparse.Namespace) -> None:
    """Copy a bundle into the model store."""
    if error := create_home():
        sys.exit(f"unrolled: {error}")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from bentoml.exceptions import BentoMLException

    from service.bundle.errors import BundleError
    from service.bundle.store import import_bundle

    try:
        bundle = import_bundle(options.bundle)
    except (BentoMLException, BundleError, OSError) as error:
        sys.exit(f"unrolled: {error}")
    _tell(f"{bundle.tag} is in the model store; UNROLLED_BUNDLES={bundle.tag} serves it")


def backup(options: argparse.Namespace) -> None:
    """Copy the configured store."""
    from service.stores.backup import backup
    from service.stores.connect import lmdb_directory

    num_bytes, source = _with_store(lambda url: (backup(url, options.destination), lmdb_directory(url)))
    _tell(f"backed up the session store in {source} to {options.destination}, {num_bytes} bytes")


def restore(options: argparse.Namespace) -> None:
    """Put a copy where the configured store should be."""
    import lmdb

    from service.stores.backup import count_sessions, restore

    num_bytes = _with_store(lambda url: restore(options.source, url))
    _tell(f"restored the session store from {options.source}, {num_bytes} bytes")
    try:
        sessions = _with_store(lambda url: count_sessions(url, int(time.time())))
    except (lmdb.Error, struct.error) as error:
        _tell(f"its sessions could not be counted: {error}")
    else:
        _tell(f"{sessions.num_expired} of its {sessions.num_live} sessions have expired by now")


def _with_store(act: Callable[[str], Result]) -> Result:
    """Do something with the configured store's URL, or exit with the reason why it cannot be done."""
    from pydantic import ValidationError

    from service.settings import SessionSettings, SettingUnknown, in_one_line, refuse_unknown_variables
    from service.stores.backup import BackupRefused
    from service.stores.base import Unavailable
    from service.stores.connect import StoreUnknown

    try:
        refuse_unknown_variables()
        return act(SessionSettings().store)
    except ValidationError as error:
        sys.exit(f"unrolled: {in_one_line(error)}")
    except (BackupRefused, OSError, SettingUnknown, StoreUnknown, Unavailable) as error:
        sys.exit(f"unrolled: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="Serve recurrent networks with durable sessions.", epilog=OWN_SETTINGS
    )
    parser.set_defaults(run=serve)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    verbs.add_parser("serve", help="start the service (also the default without a verb)")
    ready = verbs.add_parser(
        "health", help="check whether the service is ready: exit status 0 if it is, else 1", epilog=OWN_SETTINGS
    )
    ready.set_defaults(run=health)
    _add_keys(verbs.add_parser("keys", help="add, list or remove API keys"))
    bundle = verbs.add_parser("import", help="copy a bundle into the model store, from which it can be served")
    bundle.add_argument("bundle", type=Path, help="directory of the bundle")
    bundle.set_defaults(run=import_)
    copy = verbs.add_parser("backup", help="copy the session store, even while it is being served", epilog=OWN_SETTINGS)
    copy.add_argument("destination", type=Path, help="a new or empty directory for the copy")
    copy.set_defaults(run=backup)
    put_back = verbs.add_parser(
        "restore", help="restore a backup to where the store is configured, if no store is there", epilog=OWN_SETTINGS
    )
    put_back.add_argument("source", type=Path, help="directory of the backup")
    put_back.set_defaults(run=restore)
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=keys)
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument("--file", metavar="PATH", help="file of API keys; default: UNROLLED_API_KEYS")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    verbs.add_parser(
        "add", parents=[file], help="add a key and print its token, which cannot be shown again"
    ).add_argument("owner", help="who calls with the key; an owner may have several")
    verbs.add_parser("list", parents=[file], help="list key ids and their owners")
    verbs.add_parser("remove", parents=[file], help="revoke a key").add_argument(
        "key_id", help="id of the key, as `keys list` shows it"
    )


def _print(line: str) -> None:
    """Print what a pipe may want."""
    print(line)  # noqa: T201  a command-line program prints


def _tell(line: str) -> None:
    """Print what only a person wants."""
    print(line, file=sys.stderr)  # noqa: T201  a command-line program prints


if __name__ == "__main__":
    main()
