"""Promotion in a store without compare-and-set: announce, look, write, look again.

1. Announce: the version gets a tag with the number that its promotion will bear, one more than the current one's.
2. Look: two rivals that announced the same number cannot both have seen nobody. The one with the lower id stays and
   waits for the other to withdraw; the other withdraws and waits for it to be done.
3. Write: one new version under the main name. This is the commit; its tags say which version it replaced.
4. Look again: a higher number than the written one means that this write came late. What is current is written once
   more, and this promotion has lost.
5. Settle: the copy under the pending name and the version that was previous are disabled.

Killed anywhere, the same promotion called again goes on from there. An announcement whose process died holds up a
promotion of *another* version once, for :func:`lease_seconds`. ADR 0011 says which windows remain.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from vantage_secrets.clock import Clock
from vantage_secrets.errors import StoreBusyError, StoreError, VersionConflictError, VersionRetiredError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.azure.answers import Kept
from vantage_secrets.stores.azure.history import History
from vantage_secrets.stores.azure.records import (
    ANNOUNCED,
    DIGEST,
    ENVIRONMENT,
    ID,
    NAME,
    PREVIOUS,
    PROMOTED_AT,
    SEQUENCE,
    STAGED_AT,
    TOKEN,
    Places,
    Record,
)
from vantage_secrets.stores.azure.writing import attempts, load, restore_newest, settle, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vantage_secrets.stores.azure.vault import KeyVault


def lease_seconds(call_seconds: float) -> float:
    """Return how long an announcement counts without a sign of life: longer than a look and the write after it."""
    return 2 * call_seconds + 1


class Promotion:
    """One call of ``promote``; see :meth:`run`.

    Args:
        vault: Where the secret is.
        name: The secret.
        version: Id of the version to promote.
        expect_current: Id of the version that the caller believes to be current.
        environment: Which environment the secret must belong to.
        clock: Tells when the version became current.
    """

    def __init__(
        self,
        vault: KeyVault,
        name: SecretName,
        version: str,
        *,
        expect_current: str | None,
        environment: str,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._name = name
        self._version = version
        self._expect_current = expect_current
        self._environment = environment
        self._clock = clock
        self._lease_seconds = lease_seconds(vault.seconds)

    def run(self) -> SecretVersion:
        """Make the version current and return it; see :meth:`Store.promote`.

        Raises:
            StoreBusyError: Others announce again and again, and none of them comes to an end.
        """
        gives_up_at = time.monotonic() + 3 * self._lease_seconds
        looked_at = time.monotonic()
        history = load(self._vault, self._name)
        history.version(self._version)
        history.check_environment(self._environment)
        while time.monotonic() < gives_up_at:
            if history.current_id == self._version:
                settle(self._vault, history, self._clock())
                return history.as_version(self._version)
            self._check(history)
            record, wanted = history.version(self._version), str(history.next_sequence)
            rivals = history.announced(history.next_sequence, besides=self._version)
            if record.tags.get(ANNOUNCED) != wanted:
                self._vault.change(record, {**record.tags, ANNOUNCED: wanted})
            elif rivals:
                self._give_way(history, rivals)
            elif time.monotonic() - looked_at < self._vault.seconds:  # Else what was seen is too old to act on.
                kept = self._vault.get(record.place, record.version)
                if isinstance(kept, Kept):
                    return self._commit(history, record, kept)
            looked_at = time.monotonic()
            history = load(self._vault, self._name)
        self._withdraw(history)
        raise StoreBusyError(f"Others promote versions of '{self._name}' without an end.")

    def _check(self, history: History) -> None:
        """Return when the version may become current."""
        found = history.current_id
        wrong: StoreError | None = None
        if found != self._expect_current:
            words = f"The current version of '{self._name}' is {found or 'none'}, not {self._expect_current or 'none'}."
            wrong = VersionConflictError(words)
        elif history.stage_of(self._version) is Stage.RETIRED:
            wrong = VersionRetiredError(f"Version {self._version} of '{self._name}' was retired.")
        if wrong is not None:
            self._withdraw(history)
            raise wrong

    def _withdraw(self, history: History) -> None:
        """Take the announcement back, so that it holds up nobody; who is held up notices by itself if this fails."""
        record = history.version(self._version)
        if ANNOUNCED in record.tags and not record.is_retired:
            with suppress(StoreError):
                self._unannounce(record)

    def _unannounce(self, record: Record) -> None:
        self._vault.change(record, {key: text for key, text in record.tags.items() if key != ANNOUNCED})

    def _give_way(self, history: History, rivals: Sequence[Record]) -> None:
        """Return when none of ``rivals`` is announced any more; those that show no sign of life are taken back."""
        sequence = history.next_sequence
        if any(rival.id < self._version for rival in rivals):
            self._unannounce(history.version(self._version))
        waited_for = {rival.id for rival in rivals}
        found: Sequence[Record] = rivals
        for _ in attempts(self._lease_seconds):
            history = load(self._vault, self._name)
            found = [one for one in history.announced(sequence, self._version) if one.id in waited_for]
            if not found or history.current_id != self._expect_current:
                return
        for rival in found:
            self._unannounce(rival)

    def _commit(self, history: History, record: Record, kept: Kept) -> SecretVersion:
        sequence = history.next_sequence
        tags = {key: record.tags[key] for key in (TOKEN, DIGEST) if key in record.tags} | {
            NAME: str(self._name),
            ENVIRONMENT: self._environment,
            ID: self._version,
            STAGED_AT: (record.time(STAGED_AT) or record.created_at).isoformat(),
            SEQUENCE: str(sequence),
            PROMOTED_AT: self._clock().isoformat(),
        }
        if self._expect_current is not None:
            tags[PREVIOUS] = self._expect_current
        write(self._vault, Places.of(self._name).main, kept.content, tags)
        history = load(self._vault, self._name)
        won = history.current_id == self._version
        if not won:
            restore_newest(self._vault, history)
        settle(self._vault, history, self._clock())
        followed = any(one.tags.get(PREVIOUS) == self._version and one.sequence > sequence for one in history.main)
        if won or followed:
            return history.as_version(self._version)
        raise VersionConflictError(f"Another version of '{self._name}' was promoted in the same moment.")
