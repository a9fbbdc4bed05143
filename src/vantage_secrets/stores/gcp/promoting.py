"""Promotion: one wins the right to write, writes, and moves the aliases; see ADR 0012."""

from __future__ import annotations

import hmac
import secrets
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
from vantage_secrets.stores.gcp.errors import ChangedMeanwhileError
from vantage_secrets.stores.gcp.record import CURRENT_ALIAS, Lock, Record, Row, microseconds
from vantage_secrets.stores.gcp.writing import Writer, pause

LOCK_SECONDS: Final = 60
"""How long a promotion may be under way before somebody else finishes it: several times what its calls may take."""

_TRIES: Final = 40
_POLITE_TRIES: Final = 8  # How often we look again whether the same promotion, begun elsewhere, comes to its end.


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
        row = record.row(self._version)
        if record.lock is None:
            record = self._superseded(record)
            if record.stage_of(row) is Stage.CURRENT:
                return record
            self._check(record, row)
            record = self._writer.save(replace(record, lock=self._lock(self._version, self._base(record))))
            return self._finish(record, is_fresh=True)
        if record.lock.by == self._by:
            return self._finish(record, is_fresh=False)
        if not self._may_take_over(record.lock):
            return None
        record = self._writer.save(replace(record, lock=self._lock(record.lock.id, record.lock.base)))
        return self._finish(record, is_fresh=False)

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

    def _lock(self, version: str, base: int) -> Lock:
        return Lock(version, self._by, microseconds(self._writer.clock()), base)

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
        number = 0 if is_fresh else self._written(record, data, lock.base)
        if not number:
            number = self._calls.add(self._secret, data, f"promoting '{self._name}'")
        self._added = (row.id, number)
        record = self._writer.save(record.with_promoted(row, number, self._writer.clock()))
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
        try:
            return self._calls.access(place, f"promoting '{self._name}'").data
        except (SecretNotFoundError, ChangedMeanwhileError):
            pass
        self._writer.save(replace(record, lock=None))
        raise VersionRetiredError(
            f"The value of version {row.id} of '{self._name}' was disabled or destroyed at Google by somebody else.",
            hint=f"Enable it at Google, or retire version {row.id} and stage another value.",
        )

    def _base(self, record: Record) -> int:
        """Return the newest number in the secret.

        Raises:
            VersionConflictError: Somebody else added a version, which plain readers read now.
        """
        newest = self._calls.newest(self._secret, f"looking at '{self._name}'")
        if not newest:
            return 0
        number, state = newest[0]
        if record.numbered(number) is None and state == "ENABLED" and not self._is_current(record, number):
            raise self._foreign(number)
        return number

    def _written(self, record: Record, data: bytes, base: int) -> int:
        """Return the number under which the value was written since the promotion began, or 0."""
        newest = self._calls.newest(self._secret, f"looking at '{self._name}'")
        if not newest or newest[0].number <= base or newest[0].state != "ENABLED":
            return 0
        number = newest[0].number
        found = self._calls.access(f"{self._secret}/versions/{number}", f"promoting '{self._name}'").data
        if not hmac.compare_digest(found, data):
            self._writer.save(replace(record, lock=None))
            raise self._foreign(number)
        return number

    def _is_current(self, record: Record, number: int) -> bool:
        """Return whether an unknown version has the current value: then a killed run wrote it twice."""
        if CURRENT_ALIAS not in record.aliases:
            return False
        what = f"looking at '{self._name}'"
        ours, found = (
            self._calls.access(f"{self._secret}/versions/{version}", what).data for version in (CURRENT_ALIAS, number)
        )
        return hmac.compare_digest(ours, found)

    def _foreign(self, number: int) -> VersionConflictError:
        secret_id = self._secret.rpartition("/")[2]
        return VersionConflictError(
            f"Somebody else added version {number} to the secret '{secret_id}' at Google; plain readers read it.",
            hint=f"If it is not wanted: gcloud secrets versions destroy {number} --secret={secret_id}; "
            "then run the same command again at once, plain readers fail in between.",
        )

    def _superseded(self, record: Record) -> Record:
        """Return the record after what we wrote and somebody else finished for us is no longer in the way.

        Our number may be the newest: when its value is current, ``current`` moves to it, else the current value is
        written once more, so that ``latest`` is what ``current`` is.
        """
        if self._added is None:
            return record
        version, number = self._added
        row, current = record.row(version), record.in_stage(Stage.CURRENT)
        if number in row.numbers:
            self._added = None
            return record
        changed = [replace(row, numbers=(*row.numbers, number))]
        aliases = dict(record.aliases)
        if current is not None and number > aliases[CURRENT_ALIAS]:
            newest = number
            if current.id != row.id:
                data = self._calls.access(f"{self._secret}/versions/{CURRENT_ALIAS}", f"repairing '{self._name}'").data
                newest = self._calls.add(self._secret, data, f"repairing '{self._name}'")
                changed.append(replace(current, numbers=(*current.numbers, newest)))
            aliases[CURRENT_ALIAS] = newest
        record = self._writer.save(record.with_rows(changed, aliases=aliases))
        self._added = None
        return record
