"""Settings from the environment, prefix `UNROLLED_`, one model for each consumer; docs/settings.md lists them all.

An unknown `UNROLLED_` variable stops the service at its start: a typo must not silently leave a default in place.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self, get_type_hints

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.process.xdg import cache_directory

PREFIX = "UNROLLED_"
MIN_EXPORT_KEY_CHARACTERS = 32
MAX_FORMER_EXPORT_KEYS = 4  # a blob of any size is checked with one after the other on the event loop
MAX_SECONDS = 2**31 - 1  # 68 years, which fits into a record
MIN_STORE_BYTES = 2**20
MAX_STORE_BYTES = 2**40  # of LMDB
OTHER_CONSUMERS = frozenset({"UNROLLED_DATA_DIR"})
ANY_ORIGIN = "*"
NOWHERE = "none"
LOCALHOST = "localhost"
LOCAL = "local"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,*]+")
_TAG_PART = r"[a-z0-9](?:[-._a-z0-9]{0,61}[a-z0-9])?"
_TAG = re.compile(f"{_TAG_PART}(?::{_TAG_PART})?", re.ASCII | re.IGNORECASE)


class SettingUnknown(Exception):
    """The environment names a setting that does not exist."""


def in_one_line(error: ValidationError) -> str:
    """Return what is wrong with which variables, without the value of any."""
    return "; ".join(
        "".join(f"{PREFIX}{name}: ".upper() for name in each["loc"]) + each["msg"].removeprefix("Value error, ")
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _listed(names: str) -> list[str]:
    """Return the names in a comma-separated list."""
    return list(filter(None, map(str.strip, names.split(","))))


def _normalized_origin(origin: str) -> str:
    """Return an origin in lower case, without the port that its scheme implies."""
    lower = origin.lower()
    default_port = {"http": ":80", "https": ":443"}.get(lower.partition("://")[0], "")
    return lower.removesuffix(default_port)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, allow_inf_nan=False)


class ServerSettings(_Settings):
    """Where the service listens and what a request may cost."""

    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    fast_port: int = Field(3001, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=256)
    spare_workers: int = Field(1, ge=0, le=8)
    drain_seconds: float = Field(1.0, ge=0, le=3600)
    allow_unauthenticated: bool | Literal["local"] = False
    max_body_bytes: int = Field(8 * 2**20, ge=1024)
    max_answer_bytes: int = Field(256 * 2**20, ge=2**20)
    request_timeout_seconds: float = Field(60.0, ge=0.01, le=86400)
    allowed_origins: str = ""
    access_log: bool = False

    @property
    def num_processes(self) -> int:
        """Number of worker processes, spare ones included."""
        return self.workers + self.spare_workers

    @property
    def origins(self) -> frozenset[str]:
        """Origins named by `allowed_origins`, comma separated, as browsers write them."""
        return frozenset(map(_normalized_origin, _listed(self.allowed_origins)))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_local(self) -> bool:
        """Whether callers are on this machine: the service listens on loopback, or is published here only."""
        return self.is_loopback or self.allow_unauthenticated == LOCAL

    @field_validator("allow_unauthenticated", mode="wrap")
    @classmethod
    def _check_allow_unauthenticated(cls, value: object, check: ValidatorFunctionWrapHandler) -> object:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(f"{value!r} is not 0, 1 or {LOCAL}") from None

    @field_validator("host")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value == LOCALHOST:
            return "127.0.0.1"
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError(f"{value!r} is neither an IP address nor {LOCALHOST!r}") from None
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in map(str.lower, _listed(value)):
            if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin} is not an origin: scheme://host or scheme://host:port, without a path, or *"
                )
        return value

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.fast_port == self.port:
            raise ValueError("UNROLLED_FAST_PORT equals UNROLLED_PORT: choose another one, or 0 for none")
        return self


class KeySettings(_Settings):
    """API keys, and the owners that are admins."""

    api_keys: str = ""
    admins: str = ""

    @property
    def admin_owners(self) -> frozenset[str] | None:
        """Owners named by `admins`, comma separated. None, for everybody, if there are neither keys nor names."""
        return frozenset(_listed(self.admins)) if self.api_keys or self.admins else None


class ExportSettings(_Settings):
    """The key that exported sessions are signed with, and the keys that imported ones are checked with."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    export_key: SecretStr = SecretStr("")
    former_export_keys: SecretStr = SecretStr("")

    @field_validator("export_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if key and len(key.strip()) < MIN_EXPORT_KEY_CHARACTERS:
            raise ValueError(f"fewer than {MIN_EXPORT_KEY_CHARACTERS} characters")
        return value

    @field_validator("former_export_keys")
    @classmethod
    def _few_and_long_enough(cls, value: SecretStr) -> SecretStr:
        keys = _listed(value.get_secret_value())
        if any(len(key) < MIN_EXPORT_KEY_CHARACTERS for key in keys):
            raise ValueError(f"a key has fewer than {MIN_EXPORT_KEY_CHARACTERS} characters; separate keys by commas")
        if len(keys) > MAX_FORMER_EXPORT_KEYS:
            raise ValueError(f"{len(keys)} keys; at most {MAX_FORMER_EXPORT_KEYS} are checked: drop the oldest")
        return value

    @property
    def signing_key(self) -> bytes:
        """The key for `service.record.blob`, empty if sessions are neither exported nor imported."""
        return self.export_key.get_secret_value().encode()

    @property
    def former_keys(self) -> tuple[bytes, ...]:
        """Other keys that an imported session may be signed with.

        Blanks around the key that signed, such as the newline of a file, belonged to it, and a list may lose them or
        add its own. So each key is there as written, without blanks, and with a newline.
        """
        keys = [key for key in self.former_export_keys.get_secret_value().split(",") if key.strip()]
        forms = [form for key in keys for form in (key, key.strip(), f"{key.strip()}\n")]
        return tuple(form.encode() for form in dict.fromkeys(forms))


class BundleSettings(_Settings):
    """Which bundles are served, and on what device."""

    bundles: str = ""
    provider: Literal["cpu", "cuda"] = "cpu"
    device_cache_bytes: int = Field(64 * 2**20, ge=0)
    prepared_graphs: str = ""

    @property
    def prepared_graphs_directory(self) -> Path | None:
        """Where prepared graphs are kept. None if they are not: for a GPU, or if the user has no home."""
        if self.prepared_graphs == NOWHERE or self.provider != "cpu":
            return None
        if self.prepared_graphs:
            return Path(self.prepared_graphs)
        try:
            return cache_directory() / "unrolled" / "graphs"
        except RuntimeError:
            return None

    @field_validator("prepared_graphs")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and value != NOWHERE and not Path(value).is_absolute():
            raise ValueError(f"{value!r} is neither an absolute path nor {NOWHERE!r}")
        return value

    @field_validator("bundles")
    @classmethod
    def _are_tags(cls, value: str) -> str:
        for tag in _listed(value):
            if not _TAG.fullmatch(tag):
                raise ValueError(
                    f"{tag!r} is not a tag: name:version or name:latest (letters, digits, -._), separated by commas"
                )
        return value

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags named by `bundles`, comma separated. Empty for the shipped ones."""
        return tuple(_listed(self.bundles))

    @property
    def followed(self) -> tuple[str, ...]:
        """Names of the bundles whose newest version is wanted, now and later."""
        return tuple(tag.removesuffix(":latest") for tag in self.tags if tag.endswith(":latest"))


class EngineSettings(_Settings):
    """How rows are batched."""

    max_batch_rows: int = Field(64, ge=1, le=1024)
    max_queue_rows: int = Field(4096, ge=1)
    max_wait_seconds: float = Field(0.0, ge=0, le=1)
    open_rungs: Literal["needed", "all"] = "needed"


class SessionSettings(_Settings):
    """How long sessions live and how many there may be."""

    store: str = "lmdb://"
    store_on_volume: bool = False
    session_ttl_seconds: int = Field(3600, ge=1)
    max_session_ttl_seconds: int = Field(30 * 86400, ge=1, le=MAX_SECONDS)
    max_session_lifetime_seconds: int = Field(90 * 86400, ge=1, le=MAX_SECONDS)
    max_sessions: int = Field(1_000_000, ge=1)
    max_sessions_per_owner: int = Field(0, ge=0)
    max_store_bytes: int = Field(64 * 2**30, ge=MIN_STORE_BYTES)
    durability: Literal["process", "commit"] = "process"
    max_kept_input_bytes: int = Field(2**18, ge=0)
    max_checkpoints: int = Field(16, ge=0)
    allow_numerics_change: bool = False
    remember_ended_seconds: int = Field(86400, ge=0, le=MAX_SECONDS)

    @property
    def is_lmdb(self) -> bool:
        """Whether the store is an LMDB file of this machine."""
        return self.store.startswith("lmdb:")

    @property
    def is_memory(self) -> bool:
        """Whether the store is the memory of one process."""
        return self.store.startswith("memory:")

    @model_validator(mode="after")
    def _default_within_limit(self) -> Self:
        if self.session_ttl_seconds > self.max_session_ttl_seconds:
            raise ValueError("UNROLLED_SESSION_TTL_SECONDS exceeds UNROLLED_MAX_SESSION_TTL_SECONDS")
        return self

    @model_validator(mode="after")
    def _within_what_a_store_may_grow_to(self) -> Self:
        if self.is_lmdb and self.max_store_bytes > MAX_STORE_BYTES:
            raise ValueError(f"UNROLLED_MAX_STORE_BYTES exceeds {MAX_STORE_BYTES}, the most that lmdb:// can grow to")
        return self


@dataclass(frozen=True)
class Settings:
    """All settings of a process. The environment is read once, when this is made."""

    server: ServerSettings = field(default_factory=ServerSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    bundles: BundleSettings = field(default_factory=BundleSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)


CONSUMERS: tuple[type[_Settings], ...] = tuple(get_type_hints(Settings).values())


def known_variables() -> frozenset[str]:
    """Return every environment variable that the project reads."""
    fields = (name for consumer in CONSUMERS for name in consumer.model_fields)
    return OTHER_CONSUMERS | {f"{PREFIX}{name.upper()}" for name in fields}


def refuse_unknown_variables(environment: Mapping[str, str] = os.environ) -> None:
    """Raise SettingUnknown if the environment names a setting that does not exist."""
    unknown = {name for name in environment if name.upper().startswith(PREFIX)} - known_variables()
    if unknown:
        known = [name.removeprefix(PREFIX) for name in known_variables()]  # the prefix alone would make all alike
        near = {name: get_close_matches(name.upper().removeprefix(PREFIX), known, 1) for name in sorted(unknown)}
        named = ", ".join(f"{name} (did you mean {PREFIX}{like[0]}?)" if like else name for name, like in near.items())
        raise SettingUnknown(f"unknown settings {named}; docs/settings.md lists all settings")
