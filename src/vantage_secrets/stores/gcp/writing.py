"""What changes a secret: each write under the etag of what was read, each order of calls fit to be cut anywhere."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from vantage_secrets.clock import Clock
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    NameCollisionError,
    PendingVersionExistsError,
    SecretNotFoundError,
    StoreBusyError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.gcp.calls import Calls
from vantage_secrets.stores.gcp.encoding import encode_value, token_digest, value_digest
from vantage_secrets.stores.gcp.errors import AlreadyThereError, ChangedMeanwhileError
from vantage_secrets.stores.gcp.place import PENDING_SUFFIX, Place
from vantage_secrets.stores.gcp.record import LABEL, Record, Row, labels, microseconds

_TRIES: Final = 12
_SWEPT_COUNT: Final = 10
"""How many of the newest versions beside a secret are looked at when it is tidied: two are there at most, unless
several runs were cut short one after another."""

_T = TypeVar("_T")


class Writer:
    """Stages, retires and deletes secrets of one place.

    Args:
        calls: Google's methods.
        place: Where the secrets are.
        environment: Whose they are.
        template: What new secrets begin with: replication, key.
        clock: Tells the time that versions bear.
    """

    def __init__(self, calls: Calls, place: Place, *, environment: str, template: dict[str, Any], clock: Clock) -> None:
        self.calls = calls
        self.place = place
        self.clock = clock
        self._environment = environment
        self._template = template

    def record(self, name: SecretName) -> Record:
        """Return the record of a secret that has versions, or had some.

        Raises:
            SecretNotFoundError: There is no such secret, or one that is not ours.
            EnvironmentMismatchError: It belongs to another environment.
        """
        record = self.find(name)
        if record is None or not record.rows:
            raise absent(name)
        return record

    def find(self, name: SecretName) -> Record | None:
        """Return the record of a secret, or ``None`` when there is none of ours.

        Raises:
            EnvironmentMismatchError: It belongs to another environment.
        """
        secret = self._fetch(name)
        return None if secret is None or self.place.name_of(secret) != name else self._parse(name, secret)

    def _fetch(self, name: SecretName) -> Any:
        """Return Google's secret with the id of ``name``, whosever it is; ``None`` when there is none."""
        try:
            return self.calls.get(self.place.secret(name), f"looking at '{name}'")
        except SecretNotFoundError:
            return None

    def _parse(self, name: SecretName, secret: Any) -> Record:
        record = Record.parse(name, secret)
        if record.environment != self._environment:
            raise EnvironmentMismatchError(
                f"'{name}' belongs to the environment '{record.environment}', not to '{self._environment}'."
            )
        return record

    def save(self, record: Record) -> Record:
        """Write a record, all at once.

        Raises:
            ChangedMeanwhileError: Somebody wrote since it was read.
        """
        secret = {
            "name": self.place.secret(record.name),
            "etag": record.etag,
            "labels": {**record.labels, **labels(self._environment, "secret")},
            "annotations": record.annotations(),
            "version_aliases": record.aliases,
        }
        return replace(record, etag=self.calls.update(secret, f"writing '{record.name}'").etag)

    def stage(
        self, name: SecretName, value: SecretValue, token: str, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; see :meth:`Store.stage`.

        Order: make the two secrets where they are missing; add the value beside the secret; write its row under
        the etag. Until the row is there nothing refers to the value; what a killed run left there is destroyed once
        a row is written.
        """
        shape, payload = encode_value(value)
        beside = self.place.pending(name)

        def attempt() -> SecretVersion:
            record = self._find_or_make(name)
            digests = token_digest(record.salt, token), value_digest(record.salt, token, shape, payload)
            sent = _sent_before(record, *digests)
            if sent is not None:
                return record.version(sent)
            pending = record.in_stage(Stage.PENDING)
            if pending is not None:
                raise PendingVersionExistsError(f"'{name}' has the pending version {pending.id}.")
            record = self._without_doomed(record)
            number = self._add_beside(name, payload)
            at = microseconds(created_at or self.clock())
            row = Row(record.next_id(), shape, *digests, created=at, pending=number)
            try:
                record = self.save(record.with_rows([row]))
            except ChangedMeanwhileError:
                self.calls.destroy(beside, number, f"undoing a write of '{name}'")
                raise
            self._sweep(name, number)
            return record.version(row)

        return self.until_unchanged(name, attempt)

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Destroy a version's payloads; see :meth:`Store.retire`.

        Order: destroy, then write that it is retired, so that what is called retired is gone.
        """

        def attempt() -> SecretVersion:
            record = self.record(name)
            row = record.row(version)
            stage = record.stage_of(row)
            if stage is Stage.CURRENT:
                raise VersionConflictError(
                    f"Version {version} of '{name}' is current.",
                    hint="Promote another version first, or delete the secret.",
                )
            if record.lock is not None and record.lock.id == version:
                raise VersionConflictError(
                    f"The promotion of version {version} of '{name}' is under way.",
                    hint="Promote it again, which finishes what was begun; then go back to the other version.",
                )
            self._destroy(name, row)
            if stage is not Stage.RETIRED:
                record = self.save(record.with_retired(row, self.clock()))
            return record.version(record.row(version))

        return self.until_unchanged(name, attempt)

    def delete(self, name: SecretName) -> bool:
        """Delete the secret and the one beside it; see :meth:`Store.delete`.

        Order: the one beside it first, so that what is left of a killed run is found by the next.
        """
        secret = self._fetch(name)
        if secret is not None and self.place.name_of(secret) != name:
            return False
        had_versions = secret is not None and bool(self._parse(name, secret).rows)
        beside = self.calls.delete(self.place.pending(name), f"deleting what is pending for '{name}'")
        if secret is None:
            return beside
        return self.calls.delete(self.place.secret(name), f"deleting '{name}'") and had_versions

    def tidy(self, record: Record) -> None:
        """Destroy what nobody may read any more: retired versions, and the copy beside of the current one."""
        for row in record.rows:
            if row.retired:
                self._destroy(record.name, row)
            elif row.pending and record.stage_of(row) is Stage.CURRENT:
                self._destroy(record.name, replace(row, numbers=()))

    def _sweep(self, name: SecretName, number: int) -> None:
        """Destroy every value beside a secret that is older than ``number``: what killed runs left there.

        Only for whoever made ``number`` the pending one just now: another run that had put an older value there, and
        not yet written its row, fails at that and puts it there again.
        """
        beside, what = self.place.pending(name), f"tidying beside '{name}'"
        for found in self.calls.newest(beside, what, _SWEPT_COUNT):
            if found.number < number and found.state != "DESTROYED":
                self.calls.destroy(beside, found.number, what)

    def until_unchanged(self, name: SecretName, attempt: Callable[[], _T]) -> _T:
        """Return what ``attempt`` returns, called anew as long as somebody else writes in between.

        Raises:
            StoreBusyError: Somebody always did.
        """
        for _ in range(_TRIES):
            try:
                return attempt()
            except ChangedMeanwhileError as exc:
                if exc.state:
                    raise
            pause()
        raise StoreBusyError(f"Others keep changing '{name}'.", hint="Run the same command again.")

    def _find_or_make(self, name: SecretName) -> Record:
        """Return the record of a secret, which is made, or taken over when somebody made it and put nothing in."""
        secret = self._fetch(name)
        if secret is None:
            secret = self._make(name)
        if self.place.name_of(secret) == name:
            return self._parse(name, secret)
        if LABEL in secret.labels or self.calls.newest(self.place.secret(name), f"looking at '{name}'"):
            raise NameCollisionError(
                f"Google has a secret '{self.place.secret_id(name)}' that is not ours and holds something.",
                hint="Use another prefix in the URL, or move what it holds and delete it.",
            )
        kept = {"labels": dict(secret.labels), "foreign": dict(secret.annotations)}
        return Record.new(name, self._environment, etag=secret.etag, **kept)

    def _make(self, name: SecretName) -> Any:
        secret = {
            **self._template,
            "labels": labels(self._environment, "secret"),
            "annotations": Record.new(name, self._environment).annotations(),
        }
        try:
            return self.calls.create(self.place.parent, self.place.secret_id(name), secret, f"making '{name}'")
        except AlreadyThereError:
            raise ChangedMeanwhileError(f"'{name}' was made by somebody else meanwhile.") from None

    def _add_beside(self, name: SecretName, payload: bytes) -> int:
        beside, what = self.place.pending(name), f"staging '{name}'"
        try:
            return self.calls.add(beside, payload, what)
        except SecretNotFoundError:
            pass
        secret = {**self._template, "labels": labels(self._environment, "pending")}
        with suppress(AlreadyThereError):
            self.calls.create(self.place.parent, self.place.secret_id(name) + PENDING_SUFFIX, secret, what)
        return self.calls.add(beside, payload, what)

    def _without_doomed(self, record: Record) -> Record:
        """Destroy what a killed run may have left of retired versions, and forget their numbers."""
        doomed = [row for row in record.rows if row.retired and (row.numbers or row.pending)]
        for row in doomed:
            self._destroy(record.name, row)
        return record.with_rows([replace(row, numbers=(), pending=0) for row in doomed])

    def _destroy(self, name: SecretName, row: Row) -> None:
        what = f"destroying version {row.id} of '{name}'"
        for number in row.numbers:
            self.calls.destroy(self.place.secret(name), number, what)
        if row.pending:
            self.calls.destroy(self.place.pending(name), row.pending, what)


def absent(name: SecretName) -> SecretNotFoundError:
    """Return the error that says there is no such secret."""
    return SecretNotFoundError(f"There is no secret '{name}'.")


def pause() -> None:
    """Wait a moment of random length, so that two who met do not meet again."""
    time.sleep(random.uniform(0.02, 0.15))  # noqa: S311  # No secret is made of it.


def _sent_before(record: Record, token: str, digest: str) -> Row | None:
    for row in record.rows:
        if row.token == token:
            if row.digest != digest:
                raise VersionConflictError(
                    f"This token was used for another value of '{record.name}', version {row.id}.",
                    hint="Use a new token for a new value.",
                )
            return row
    return None
