"""What is known of a secret's versions: kept in its annotations and aliases, changed together under its etag."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from vantage_secrets.errors import StoreFullError, StoreIntegrityError, VersionNotFoundError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.gcp.encoding import Shape
from vantage_secrets.stores.gcp.place import NAME_ANNOTATION

LABEL: Final = "vantage-secrets"
"""Label of every secret that we made or took over: ``secret``, or ``pending`` for the one beside it."""

ENVIRONMENT_LABEL: Final = "vantage-secrets-environment"
"""Label with the environment as far as a label can write it; the annotation of this name has it exactly."""

FILTER: Final = f"labels.{LABEL}=secret"
"""Which secrets to list."""

CURRENT_ALIAS: Final = "current"
PREVIOUS_ALIAS: Final = "previous"

HISTORY_COUNT_MAX: Final = 60
"""How many versions of one secret are remembered; the oldest retired ones are forgotten first."""

ANNOTATION_BYTES_MAX: Final = (16 << 10) - 1
"""Keys and values of all annotations of one secret, in bytes: they "must be less than 16KiB"."""

_SALT_ANNOTATION = "vantage-secrets-salt"
_LOCK_ANNOTATION = "vantage-secrets-promoting"
_ROW_PREFIX = "vantage-secrets-version-"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One version of ours.

    Attributes:
        id: Ours; it begins with a serial number.
        shape: What its payload holds.
        token: Digest of the token that it was staged with.
        digest: What its value is recognised by.
        created: When it was staged, microseconds since 1970.
        promoted: When it became current.
        retired: When it was retired.
        pending: Google's number of it beside the secret; 0 when it is not there.
        numbers: Google's numbers of it in the secret, the newest last: one for each time that it was promoted.
    """

    id: str
    shape: Shape
    token: str
    digest: str
    created: int
    promoted: int = 0
    retired: int = 0
    pending: int = 0
    numbers: tuple[int, ...] = ()

    @property
    def serial(self) -> int:
        """Its place in the order of creation."""
        return int(self.id.partition("-")[0])

    def as_version(self, name: SecretName, stage: Stage) -> SecretVersion:
        """Return what the contract tells of it, standing in ``stage``."""
        return SecretVersion(
            name, self.id, stage, _instant(self.created) or _EPOCH, _instant(self.promoted), _instant(self.retired)
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """A promotion that is under way, or was cut short.

    Attributes:
        id: The version that it promotes.
        by: Who is at it, a random word.
        at: Since when, microseconds since 1970.
        base: Google's newest number before it added one.
    """

    id: str
    by: str
    at: int
    base: int


@dataclass(frozen=True, slots=True)
class Record:
    """A secret as Google's metadata describe it; every change makes a new one, written under the etag of the old.

    Attributes:
        name: Ours.
        environment: Whose it is.
        salt: For the digests; drawn when the secret was made.
        etag: Google's.
        rows: Its versions, the oldest first.
        aliases: Google's numbers by alias, those of others too.
        lock: The promotion that is under way.
        labels: All labels.
        foreign: Annotations that are not ours.
    """

    name: SecretName
    environment: str
    salt: str
    etag: str
    rows: tuple[Row, ...] = ()
    aliases: dict[str, int] = field(default_factory=dict)
    lock: Lock | None = None
    labels: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, name: SecretName, environment: str, *, etag: str = "", **kept: dict[str, str]) -> Self:
        """Return the record of a secret without versions; ``kept`` are labels and foreign annotations."""
        return cls(name, environment, secrets.token_hex(16), etag, **kept)  # type: ignore[arg-type]

    @classmethod
    def parse(cls, name: SecretName, secret: Any) -> Self:
        """Return what a ``Secret`` of the SDK says.

        Raises:
            StoreIntegrityError: The annotations are not what was written.
        """
        notes = dict(secret.annotations)
        try:
            rows = [_parse_row(key, notes.pop(key)) for key in [*notes] if key.startswith(_ROW_PREFIX)]
            lock = notes.pop(_LOCK_ANNOTATION, "")
            return cls(
                name=name,
                environment=notes.pop(ENVIRONMENT_LABEL),
                salt=notes.pop(_SALT_ANNOTATION),
                etag=secret.etag,
                rows=tuple(sorted(rows, key=lambda row: row.serial)),
                aliases=dict(secret.version_aliases),
                lock=Lock(**json.loads(lock)) if lock else None,
                labels=dict(secret.labels),
                foreign={key: text for key, text in notes.items() if key != NAME_ANNOTATION},
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise StoreIntegrityError(
                f"The annotations of '{name}' at Google are not what was written.",
                hint="Look in the audit log of the project who changed the secret; restore its annotations.",
            ) from exc

    # what it says

    def stage_of(self, row: Row) -> Stage:
        """Return where a version stands: the aliases say which one is current."""
        if row.retired:
            return Stage.RETIRED
        if self.aliases.get(CURRENT_ALIAS, 0) in row.numbers:
            return Stage.CURRENT
        return Stage.PREVIOUS if row.promoted else Stage.PENDING

    def in_stage(self, stage: Stage) -> Row | None:
        """Return the newest version that stands in ``stage``."""
        return next((row for row in reversed(self.rows) if self.stage_of(row) is stage), None)

    def row(self, version: str) -> Row:
        """Return the version with that id.

        Raises:
            VersionNotFoundError: There is none.
        """
        for row in self.rows:
            if row.id == version:
                return row
        raise VersionNotFoundError(f"'{self.name}' has no version '{version[:40]}'.")

    def numbered(self, number: int) -> Row | None:
        """Return the version that has Google's ``number`` in the secret."""
        return next((row for row in self.rows if number in row.numbers), None)

    def version(self, row: Row) -> SecretVersion:
        """Return what the contract tells of a version."""
        return row.as_version(self.name, self.stage_of(row))

    # how it changes

    def with_rows(self, rows: Iterable[Row], **changes: Any) -> Self:
        """Return a record in which each of ``rows`` stands in place of the one with its id, or is added."""
        known = {row.id: row for row in self.rows} | {row.id: row for row in rows}
        return replace(self, rows=tuple(sorted(known.values(), key=lambda row: row.serial)), **changes)

    def next_id(self) -> str:
        """Return an id for a new version: a serial number, and chance that tells it from one of a deleted secret."""
        return f"{max((row.serial for row in self.rows), default=0) + 1}-{secrets.token_hex(3)}"

    def with_promoted(self, row: Row, written: Iterable[int], now: datetime) -> Self:
        """Return a record in which ``row`` is current, and nothing is under way.

        Args:
            row: A version that is pending or previous.
            written: Google's numbers under which it was written just now, the newest last.
            now: When.
        """
        numbers = (*row.numbers, *written)
        current, previous = self.in_stage(Stage.CURRENT), self.in_stage(Stage.PREVIOUS)
        rows = [replace(row, promoted=microseconds(now), numbers=numbers)]
        if previous is not None and previous.id != row.id:
            rows.append(replace(previous, retired=microseconds(now)))
        aliases = {**self.aliases, CURRENT_ALIAS: numbers[-1]}
        aliases.pop(PREVIOUS_ALIAS, None)
        if current is not None:
            aliases[PREVIOUS_ALIAS] = self.aliases[CURRENT_ALIAS]
        return self.with_rows(rows, aliases=aliases, lock=None)

    def with_retired(self, row: Row, now: datetime) -> Self:
        """Return a record in which ``row`` is retired, and the alias for previous no longer leads to it."""
        aliases = {k: n for k, n in self.aliases.items() if k != PREVIOUS_ALIAS or n not in row.numbers}
        return self.with_rows([replace(row, retired=microseconds(now))], aliases=aliases)

    def annotations(self) -> dict[str, str]:
        """Return all annotations as they are written; the oldest retired versions are left out where room is short.

        Raises:
            StoreFullError: There is no room for those that are not retired.
        """
        fixed = {
            **self.foreign,
            NAME_ANNOTATION: str(self.name),
            ENVIRONMENT_LABEL: self.environment,
            _SALT_ANNOTATION: self.salt,
        }
        if self.lock is not None:
            fixed[_LOCK_ANNOTATION] = json.dumps(asdict(self.lock), separators=(",", ":"))
        rows = [(row, _ROW_PREFIX + row.id, _write_row(row)) for row in self.rows]
        size = _size(fixed.items()) + _size((key, text) for _row, key, text in rows)
        for entry in [entry for entry in rows if entry[0].retired]:
            if len(rows) <= HISTORY_COUNT_MAX and size <= ANNOTATION_BYTES_MAX:
                break
            rows.remove(entry)
            size -= _size([entry[1:]])
        if size > ANNOTATION_BYTES_MAX:
            raise StoreFullError(
                f"The annotations of '{self.name}' have no room left: Google takes 16 KiB a secret.",
                hint="Remove annotations of other tools from the secret, then run the same command again.",
            )
        return fixed | {key: text for _row, key, text in rows}


def has_versions(secret: Any) -> bool:
    """Return whether a ``Secret`` of the SDK has or had a version of ours."""
    return any(key.startswith(_ROW_PREFIX) for key in secret.annotations)


def microseconds(instant: datetime) -> int:
    """Return an instant as whole microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def labels(environment: str, kind: str) -> dict[str, str]:
    """Return the labels of a secret of ours; ``kind`` is ``secret`` or ``pending``."""
    written = re.sub(r"[^a-z0-9_-]", "-", environment.lower())[:63]
    return {LABEL: kind, ENVIRONMENT_LABEL: written}


def _instant(count: int) -> datetime | None:
    return _EPOCH + timedelta(microseconds=count) if count else None


def _size(entries: Iterable[tuple[str, str]]) -> int:
    return sum(len(key.encode()) + len(text.encode()) for key, text in entries)


def _write_row(row: Row) -> str:
    words = {key: value for key, value in asdict(row).items() if value and key != "id"}
    return json.dumps(words, separators=(",", ":"))


def _parse_row(key: str, text: str) -> Row:
    words = json.loads(text)
    numbers = tuple(int(number) for number in words.pop("numbers", ()))
    row = Row(key.removeprefix(_ROW_PREFIX), Shape(words.pop("shape")), numbers=numbers, **words)
    if not row.id.partition("-")[0].isdecimal() or not all(isinstance(n, int) for n in (row.created, row.promoted)):
        raise ValueError
    return row
