"""Promotion: one wins the right to write, writes, and moves the aliases; see ADR 0012."""

from __future__ import annotations

import hmac
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreBusyError,
    VersionConflictError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.gcp.calls import Newest
from vantage_secrets.stores.gcp.errors import ChangedMeanwhileError
from vantage_secrets.stores.gcp.record import CURRENT_ALIAS, Lock, Record, Row, microseconds
from vantage_secrets.stores.gcp.writing import Writer, pause

LOCK_SECONDS: Final = 60
"""How long a promotion may be under way before somebody else finishes it: several times what its calls may take."""

_TRIES: Final = 40
_LOOKED_AT: Final = 10  # How many of the newest versions a promotion that goes on looks at.
_POLITE_TRIES: Final = 4  # How often we look again whether the same promotion, begun elsewhere, comes to its end.


class Promotion:
    """One call of ``promote``.

    Order, each step under the etag of what was read before:

    1. write into the annotations that this version is being promoted, and by whom: of two rivals one succeeds;
    2. add the value to the secret: from now on ``latest`` is the new value, and the alias ``current`` the old one,
       both of which the target accepts;
    3. move both aliases, write the new stages and take back what step 1 wrote: all in one call;
    4. destroy what nobody may read any more.

    Killed in between, the same call goes on: it takes over what step 1 wrote, finds what step 2 wrote, or repeats it.

    Args:
        writer: Reads and writes the secret.
        name: The secret.
        version: Which version to promote.
        expect_current: Which one the caller believes to be current.
    """

    def __init__(self, writer: Writer, name: SecretName, version: str, expect_current: str | None) -> None:
        self._writer = writer
        self._calls = writer.calls
        self._name = name
        self._secret = writer.place.secret(name)
        self._version = version
        self._expect = expect_current
        self._by = secrets.token_hex(8)
        self._added: tuple[str, int] | None = None  # Which version was written, and under which number.
        self._polite = 0

    def run(self) -> SecretVersion:
        """Return the version, current.

        Raises:
            VersionConflictError: As :meth:`Store.promote`.
            StoreBusyError: Others kept changing the secret.
        """
        for _ in range(_TRIES):
            try:
                record = self._step()
            except ChangedMeanwhileError as exc:
                if exc.state:
                    raise
                record = None
            if record is not None:
                self._writer.tidy(record)
                return record.version(record.row(self._version))
            pause()
        raise StoreBusyError(f"Others keep changing '{self._name}'.", hint="Run the same command again.")

    def _step(self) -> Record | None:
        """Go as far as one reading of the secret allows; return it when the version is current."""
        record = self._writer.record(self._name)
        lock = record.lock
        if lock is None:
            if self._added is not None:
                record = self._superseded(record, *self._added)
            row = record.row(self._version)
            if record.stage_of(row) is Stage.CURRENT:
                return record
            self._check(record, row)
            record, base = self._settled(record)
            return self._finish(self._locked(record, row.id, base), is_fresh=True)
        if lock.by != self._by:
            if not self._may_take_over(lock):
                return None
            record = self._locked(record, lock.id, lock.base)
        return self._finish(record, is_fresh=False)

    def _locked(self, record: Record, version: str, base: int) -> Record:
        """Return the record after it was written that we promote ``version``: of several who try, one succeeds."""
        lock = Lock(version, self._by, microseconds(self._writer.clock()), base)
        return self._writer.save(replace(record, lock=lock))

    def _check(self, record: Record, row: Row) -> None:
        """Raise unless the version may be promoted as things stand."""
        current = record.in_stage(Stage.CURRENT)
        found = None if current is None else current.id
        if found != self._expect:
            raise VersionConflictError(
                f"The current version of '{self._name}' is {found or 'none'}, not {self._expect or 'none'}."
            )
        if row.retired:
            raise VersionRetiredError(f"Version {row.id} of '{self._name}' was retired; its value is gone for good.")

    def _may_take_over(self, lock: Lock) -> bool:
        """Return whether to finish what somebody else began: the same promotion soon, another one when it is old."""
        age = timedelta(microseconds=abs(microseconds(self._writer.clock()) - lock.at))
        if age >= timedelta(seconds=LOCK_SECONDS):
            return True
        if lock.id != self._version:
            raise VersionConflictError(
                f"The promotion of version {lock.id} of '{self._name}' is under way.",
                hint=f"Look at it again in a minute; a run that was killed is finished then by promoting {lock.id}.",
            )
        self._polite += 1
        return self._polite > _POLITE_TRIES

    def _finish(self, record: Record, *, is_fresh: bool) -> Record | None:
        """Write the value, unless that was done, and move the aliases; return the record when it is our version's."""
        lock = record.lock
        if lock is None:
            return None
        row = record.row(lock.id)
        data = self._data(record, row)
        written = [] if is_fresh else self._written(record, data, lock.base)
        if not written:
            written = [self._calls.add(self._secret, data, f"promoting '{self._name}'")]
        self._added = (row.id, written[-1])
        record = self._writer.save(record.with_promoted(row, written, self._writer.clock()))
        self._added = None
        if row.id == self._version:
            return record
        self._writer.tidy(record)
        return None

    def _data(self, record: Record, row: Row) -> bytes:
        """Return a version's payload: from beside the secret, or for a roll-back from the secret itself."""
        place = f"{self._writer.place.pending(self._name)}/versions/{row.pending}"
        if row.numbers:
            place = f"{self._secret}/versions/{row.numbers[-1]}"
        with suppress(SecretNotFoundError, ChangedMeanwhileError):
            return self._access(place)
        self._writer.save(replace(record, lock=None))
        raise VersionRetiredError(
            f"The value of version {row.id} of '{self._name}' was disabled or destroyed at Google by somebody else.",
            hint=f"Enable it at Google, or retire version {row.id} and stage another value.",
        )

    def _written(self, record: Record, data: bytes, base: int) -> list[int]:
        """Return the numbers under which the value was written since the promotion began, the newest last.

        Raises:
            VersionConflictError: Somebody else added the newest version meanwhile; the promotion is called off.
        """
        found = self._newest(_LOOKED_AT)
        new = [one.number for one in found if one.number > base and one.state == "ENABLED"]
        ours = [number for number in new if hmac.compare_digest(self._numbered(number), data)]
        if new and new[0] not in ours:
            self._writer.save(replace(record, lock=None))
            raise self._foreign(new[0])
        return ours[::-1]

    def _settled(self, record: Record) -> tuple[Record, int]:
        """Return the record with its newest number known, and that number.

        An unknown one with the value of a version of ours was written by a run that was killed, and is that
        version's.

        Raises:
            VersionConflictError: Somebody else added it, and plain readers read it now.
        """
        newest = next(iter(self._newest(1)), None)
        if newest is None:
            return record, 0
        if newest.state != "ENABLED" or record.numbered(newest.number) is not None:
            return record, newest.number
        data = self._numbered(newest.number)
        for stage in (Stage.CURRENT, Stage.PREVIOUS):
            row = record.in_stage(stage)
            if row is not None and hmac.compare_digest(self._numbered(row.numbers[-1]), data):
                return record.with_rows([replace(row, numbers=(newest.number, *row.numbers))]), newest.number
        raise self._foreign(newest.number)

    def _superseded(self, record: Record, version: str, number: int) -> Record:
        """Return the record after what we wrote, and somebody else finished for us, is in nobody's way.

        When it is the newest and its value current, ``current`` moves to it. When another value is current, that is
        written once more, so that ``latest`` is what ``current`` is.
        """
        row, current = record.row(version), record.in_stage(Stage.CURRENT)
        changed = {} if number in row.numbers else {row.id: replace(row, numbers=(number, *row.numbers))}
        aliases = dict(record.aliases)
        if current is not None and number > aliases[CURRENT_ALIAS]:
            newest = number
            if current.id != row.id:
                data = self._access(f"{self._secret}/versions/{CURRENT_ALIAS}")
                newest = self._calls.add(self._secret, data, f"making latest of '{self._name}' what current is")
            known = changed.get(current.id, current).numbers
            changed[current.id] = replace(current, numbers=(*(n for n in known if n != newest), newest))
            aliases[CURRENT_ALIAS] = newest
        if changed:
            record = self._writer.save(record.with_rows(changed.values(), aliases=aliases))
        self._added = None
        return record

    def _newest(self, count: int) -> list[Newest]:
        return self._calls.newest(self._secret, f"looking at '{self._name}'", count)

    def _numbered(self, number: int) -> bytes:
        return self._access(f"{self._secret}/versions/{number}")

    def _access(self, version: str) -> bytes:
        return self._calls.access(version, f"promoting '{self._name}'").data

    def _foreign(self, number: int) -> VersionConflictError:
        secret_id = self._secret.rpartition("/")[2]
        return VersionConflictError(
            f"Somebody else added version {number} to the secret '{secret_id}' at Google; plain readers read it.",
            hint=f"If it is not wanted: gcloud secrets versions destroy {number} --secret={secret_id}; "
            "then run the same command again at once, plain readers fail in between.",
        )
