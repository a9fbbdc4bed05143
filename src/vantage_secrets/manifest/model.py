"""What a manifest says, as values: no file is read here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from vantage_secrets.errors import UnknownSecretError
from vantage_secrets.secret import SecretName

FILE_NAME = "vantage-secrets.toml"
"""What a manifest is called when nobody says otherwise."""


class SecretSpec(NamedTuple):
    """One secret that the platform has: what it is for, who reads it, and how often it changes.

    Attributes:
        key: Environment variable that consumers read it from, such as ``VANTAGE_API_KEY``.
        name: Its canonical name in the store.
        kind: How it is rotated, one of ``fields.KINDS``.
        purpose: What it opens, for people.
        owner: Who answers for it, for people.
        consumers: Services that read it.
        max_age: How old its current version may become.
        grace: How long old and new both work during a rotation, at the most; shorter than ``max_age``.
        required: Whether the platform needs it: always, or while ``feature`` is switched on.
        feature: The feature that it belongs to, or ``None``.
        target: Name of the ``[targets.NAME]`` table that serves it, or ``None`` where there is none.
        account: User at the target; empty where none is given.
        quiet: How long the old one must not have been used before it is revoked.
        at_grace_end: Whether the old one is revoked when the grace has passed and not every consumer has moved.
    """

    key: str
    name: SecretName
    kind: str
    purpose: str
    owner: str
    consumers: tuple[str, ...]
    max_age: timedelta
    grace: timedelta
    required: bool
    feature: str | None
    target: str | None = None
    account: str = ""
    quiet: timedelta = timedelta(hours=1)
    at_grace_end: Literal["force", "hold"] = "force"


class TargetSettings(NamedTuple):
    """One table ``[targets.NAME]``, checked against the fields of its kind.

    Attributes:
        name: What secrets call it.
        kind: One of ``fields.TARGETS``.
        values: Every key of that kind: lengths as ``timedelta``, paths absolute, lists as tuples; ``None`` where
            nothing was given and there is no default.
    """

    name: str
    kind: str
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return the text under ``key``; empty where nothing was given."""
        return self.values[key] or ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list under ``key``."""
        return cast("tuple[str, ...]", self.values[key])

    def length(self, key: str) -> timedelta:
        """Return the length of time under ``key``."""
        return cast("timedelta", self.values[key])

    def path(self, key: str) -> Path | None:
        """Return the path under ``key``, absolute, or ``None``."""
        return cast("Path | None", self.values[key])


class StoreSettings(NamedTuple):
    """Where the secrets live. ``url`` is absolute where it names a file."""

    url: str
    key_file: Path | None
    passphrase_file: Path | None


class AuditSettings(NamedTuple):
    """Where the audit trail is written.

    Attributes:
        folder: Folder of the log's segments, absolute.
        on_unwritable: Without a writable log: write to the ``spool`` and go on, or ``refuse`` the operation.
        spool: Folder that takes the events meanwhile, absolute.
        segment_bytes: Size at which a new segment is begun.
        public_key: Key that the log's signatures are checked with, as the audit log writes it.
    """

    folder: Path
    on_unwritable: Literal["spool", "refuse"]
    spool: Path
    segment_bytes: int
    public_key: str | None


class ClientSettings(NamedTuple):
    """How applications read: how often they look for a new version, and how old a last good value may be."""

    refresh_interval: timedelta
    max_stale: timedelta


class DatabaseSettings(NamedTuple):
    """Where the control database is, as a SQLAlchemy URL; absolute where it names a file."""

    url: str


class ScheduleSettings(NamedTuple):
    """When rotations begin by themselves.

    Attributes:
        windows: When they may begin, as in ``Mon-Fri 09:00-16:00``; empty for any time.
        timezone: IANA name of the windows' time zone.
        jitter: By how much, at the most, one begins before it is due.
        offset: Least time between the beginnings of two that one consumer has to follow.
        failures: How many secrets may fail before nothing further is begun.
    """

    windows: tuple[str, ...]
    timezone: str
    jitter: timedelta
    offset: timedelta
    failures: int


class NotificationSettings(NamedTuple):
    """Who is told: names of secrets that hold Apprise URLs, and how long before the maximum age."""

    secrets: tuple[SecretName, ...]
    before: timedelta


class Manifest(NamedTuple):
    """One loaded ``vantage-secrets.toml``, free of mistakes.

    Attributes:
        path: The file, absolute.
        environment: Which environment's secrets these are, such as ``production``.
        store: The ``[store]`` table.
        audit: The ``[audit]`` table.
        client: The ``[client]`` table.
        database: The ``[database]`` table.
        schedule: The ``[schedule]`` table.
        notifications: The ``[notifications]`` table.
        targets: The ``[targets.NAME]`` tables by name.
        features: Names of the features that are switched on.
        secrets: The secrets, in the file's order.
    """

    path: Path
    environment: str
    store: StoreSettings
    audit: AuditSettings
    client: ClientSettings
    database: DatabaseSettings
    schedule: ScheduleSettings
    notifications: NotificationSettings
    targets: Mapping[str, TargetSettings]
    features: frozenset[str]
    secrets: tuple[SecretSpec, ...]

    def find(self, name_or_key: str) -> SecretSpec:
        """Return the secret with that canonical name or environment variable.

        Raises:
            UnknownSecretError: There is none; the hint names the nearest one.
        """
        for spec in self.secrets:
            if name_or_key in (str(spec.name), spec.key):
                return spec
        from difflib import get_close_matches

        known = [text for spec in self.secrets for text in (str(spec.name), spec.key)]
        near = get_close_matches(name_or_key, known, n=1) or get_close_matches(name_or_key.upper(), known, n=1)
        hint = f"Did you mean '{near[0]}'? 'vantage-secrets status' shows all names." if near else None
        raise UnknownSecretError(
            f"The manifest has no secret '{name_or_key}'." if len(name_or_key) <= 127 else "No secret has such a name.",
            path=str(self.path),
            hint=hint,
        )

    def required_secrets(self) -> tuple[SecretSpec, ...]:
        """Return the secrets that the platform needs as its features stand now, in the file's order."""
        return tuple(
            spec for spec in self.secrets if spec.required and (spec.feature is None or spec.feature in self.features)
        )
