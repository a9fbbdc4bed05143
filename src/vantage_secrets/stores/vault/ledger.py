"""The ledger of a path: which versions there are and in which stage. It stands at a sibling of the path.

``NAME--pending`` holds the ledger of a secret that has its path to itself, ``PATH--fields`` that of the secrets packed
at one path; neither is a name of ours, so they collide with nothing. The ledger is one JSON object, written with
check-and-set and never otherwise, which makes every change of stages atomic. It also holds the values that no plain
reader may see: the pending one, and for packed secrets the previous one, because a version of KV that holds it also
holds its neighbours' retired values and has to be destroyed with them.

Pure values and rules; who reads and writes it is :mod:`vantage_secrets.stores.vault.writing`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.vault.encoding import Encoded, Shape

RETIRED_COUNT_MAX: Final = 100
"""How many retired versions of a secret are remembered; the oldest are forgotten first, and their tokens with them."""

_SCRYPT: Final = {"n": 4096, "r": 8, "p": 1, "maxmem": 8 * 1024 * 1024}
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Record:
    """One version.

    Attributes:
        id: Ours; random, or ``kv-NUMBER`` for a version that somebody else wrote.
        token: The idempotence token that it was staged with; empty for somebody else's.
        digest: Salted digest of its value, hexadecimal; see :func:`digest_of`.
        shape: What kind of value it is.
        created_at: When it was staged.
        promoted_at: When it became current.
        retired_at: When it was retired.
        first: Number of the version of KV in which it became current, the last time.
        until: Number of the last one that still held it; ``None`` while it is current or was never.
    """

    id: str
    token: str
    digest: str
    shape: Shape | None
    created_at: datetime
    promoted_at: datetime | None = None
    retired_at: datetime | None = None
    first: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All versions of one secret, the oldest first, and which is in which stage."""

    records: tuple[Record, ...] = ()
    pending: str | None = None
    current: str | None = None
    previous: str | None = None
    values: Mapping[str, Encoded] = field(default_factory=dict, repr=False)

    def record(self, version_id: str | None) -> Record | None:
        """Return the version with that id, or ``None``."""
        return next((record for record in self.records if record.id == version_id), None)

    def sent_with(self, token: str) -> Record | None:
        """Return the version that was staged with ``token``, or ``None``."""
        return next((record for record in self.records if record.token == token), None)

    def stage_of(self, record: Record) -> Stage:
        """Return where ``record`` stands."""
        places = {self.pending: Stage.PENDING, self.current: Stage.CURRENT, self.previous: Stage.PREVIOUS}
        return places.get(record.id, Stage.RETIRED)

    def version(self, name: SecretName, record: Record) -> SecretVersion:
        """Return ``record`` as the contract tells of it."""
        times = (record.created_at, record.promoted_at, record.retired_at)
        return SecretVersion(name, record.id, self.stage_of(record), *times)

    def with_pending(self, record: Record, value: Encoded) -> History:
        """Return this with ``record`` as the pending version."""
        values = {**self.values, record.id: value}
        return replace(self, records=(*self.records, record), pending=record.id, values=values)

    def with_current(self, record: Record, number: int, at: datetime, kept: Encoded | None = None) -> History:
        """Return this with ``record`` current from version ``number`` of KV on: current is previous, previous retired.

        Args:
            record: One of this history's, pending or previous, or :meth:`with_foreign`.
            number: Of the version of KV that holds it.
            at: When.
            kept: The value of what was current, where it is to be kept here.
        """
        promoted = replace(record, promoted_at=at, first=number, until=None)
        changed = self
        if record.id != self.previous:
            changed = changed.without(self.previous, at)
        records = tuple(
            _until(promoted if one.id == record.id else one, self.current, number) for one in changed.records
        )
        values = {version_id: value for version_id, value in changed.values.items() if version_id != record.id}
        if kept is not None and self.current is not None:
            values[self.current] = kept
        pending = None if self.pending == record.id else self.pending
        return replace(
            changed, records=records, pending=pending, current=record.id, previous=self.current, values=values
        )

    def with_foreign(self, record: Record) -> History:
        """Return this with a version that somebody else wrote, in no stage yet; it stands before a pending one.

        Numbers of versions of KV from before the path was removed and written anew mean nothing any more.
        """
        number = max((one.first or 0 for one in self.records), default=0)
        others = [one for one in self.records if one.id != record.id]
        if record.first is not None and number > record.first:
            others = [replace(one, first=None, until=None) for one in others]
        place = len(others) - (bool(others) and others[-1].id == self.pending)
        return replace(self, records=(*others[:place], record, *others[place:]))

    def emptied(self) -> History:
        """Return this with the note that the versions of KV with retired values are destroyed."""
        records = (
            replace(one, first=None, until=None) if self.stage_of(one) is Stage.RETIRED else one for one in self.records
        )
        return replace(self, records=tuple(records))

    def without(self, version_id: str | None, at: datetime) -> History:
        """Return this with a version retired; the same where there is none with that id, or it is retired already."""
        record = self.record(version_id)
        if record is None or self.stage_of(record) is Stage.RETIRED:
            return self
        stages = {name: None for name in ("pending", "current", "previous") if getattr(self, name) == version_id}
        return replace(
            self,
            records=tuple(replace(one, retired_at=at) if one.id == version_id else one for one in self.records),
            values={one: value for one, value in self.values.items() if one != version_id},
            **stages,
        )

    def shortened(self) -> History:
        """Return this with no more than the newest retired versions."""
        retired = [record.id for record in self.records if self.stage_of(record) is Stage.RETIRED]
        forgotten = {*retired[:-RETIRED_COUNT_MAX]}
        return replace(self, records=tuple(record for record in self.records if record.id not in forgotten))


def _until(record: Record, current: str | None, number: int) -> Record:
    """Return ``record`` with its end noted when it is the one that was current until version ``number`` of KV."""
    return replace(record, until=number - 1) if record.id == current and record.first != number else record


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion that was decided: whoever sees it finishes it before anything else.

    Attributes:
        part: Which of the secrets packed at the path; empty for the only one.
        version_id: What becomes current.
        number: Number that the version of KV will have.
        at: When it was decided.
        value: What is written.
        kept: The value of what was current, for packed secrets.
    """

    part: str
    version_id: str
    number: int
    at: datetime
    value: Encoded
    kept: Encoded | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What stands at the sibling of a path.

    Attributes:
        environment: Whose secrets these are.
        histories: By packed part; under the empty text that of a secret that has its path to itself.
        promotion: One that was decided and may not be finished.
        mark: Random, new in every writing: tells a writer whose answer was lost that the writing was its own.
        swept: Versions of the sibling below this number are destroyed.
        sweep: Those below this number held a value that is gone from the ledger, and must be destroyed.
    """

    environment: str
    histories: Mapping[str, History] = field(default_factory=dict)
    promotion: Promotion | None = None
    mark: str = ""
    swept: int = 1
    sweep: int = 1

    def history(self, part: str) -> History:
        """Return what is known of one secret; nothing for one that is not there."""
        return self.histories.get(part, History())

    def with_history(self, part: str, history: History) -> Ledger:
        """Return this with another history of one secret."""
        return replace(self, histories={**self.histories, part: history.shortened()})


def digest_of(value: Encoded, salt: bytes | None = None) -> str:
    """Return salt and digest of a value: what remains of a retired one, to know the same token with the same value.

    SECURITY: scrypt (RFC 7914) with a salt of its own, 4 MiB and 10 to 20 ms. Who may read the ledger can try
    guesses against it at that price; against a generated value that is hopeless, against a word it is not.
    """
    salt = salt or secrets.token_bytes(_DIGEST_BYTES)
    parts = [value.shape.value, *(text for pair in sorted(value.data.items()) for text in pair)]
    raw = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return (salt + hashlib.scrypt(raw, salt=salt, dklen=_DIGEST_BYTES, **_SCRYPT)).hex()


def is_digest_of(digest: str, value: Encoded) -> bool:
    """Return whether ``digest`` was made of ``value``."""
    return hmac.compare_digest(digest, digest_of(value, bytes.fromhex(digest)[:_DIGEST_BYTES]))
