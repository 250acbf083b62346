"""`python -m service`: check what can be checked before anything starts, then hand over to `bentoml serve`."""

import ipaddress
import os
import socket
import sys
from pathlib import Path

from pydantic import ValidationError

from service.settings import ServerSettings, SettingUnknown, refuse_unknown_variables


def main() -> None:
    """Replace this process with BentoML's server, or exit with the reason."""
    try:
        refuse_unknown_variables()
        settings = ServerSettings()
    except (SettingUnknown, ValidationError) as error:
        sys.exit(f"unrolled: {error}")
    if reason := _refusal(settings):
        sys.exit(f"unrolled: {reason}")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    bentoml = Path(sys.executable).with_name("bentoml")
    os.execv(bentoml, [str(bentoml), "serve", "service.app:RNNService"])  # noqa: S606  no shell, fixed arguments


def _refusal(settings: ServerSettings) -> str | None:
    if not settings.allow_unauthenticated and not _is_loopback(settings.host):
        return (
            f"UNROLLED_HOST={settings.host} is a public address and nothing asks callers who they are; "
            "set UNROLLED_ALLOW_UNAUTHENTICATED=1 if that is meant"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return f"port {settings.port} on {settings.host} cannot be used: {error.strerror}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
