"""The values a client holds: fetching them, replacing them, dropping them, and which may be served without a look."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vantage_secrets.client.changes import ChangeNotices
from vantage_secrets.client.flights import Flights
from vantage_secrets.client.freshness import CachedSecret, Freshness
from vantage_secrets.client.tally import Tally
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreError,
    StoreUnavailableError,
    ValueUnavailableError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.stores.contract import Store

if TYPE_CHECKING:
    from vantage_secrets.receipts.book import ReceiptBook


VERIFIER: Final = "verifier"
"""The connection under which a client leaves receipts for what it compares others' keys with."""


class SecretCache:
    """Holds what was fetched from one store, one fetch per secret at a time.

    The fast path shows only the version that was handed out last. One that was fetched meanwhile stays off it until
    the first read after that, which goes the slow way and is noted.

    Args:
        store: Where the secrets live.
        spellings: Every spelling of a secret's name besides its canonical one.
        freshness: The rules of age.
        tally: The counters.
        changes: Who is told of another version.
        receipts: Who is told of what was handed out, if anyone.

    Attributes:
        fresh_values: What may be served as it is, by every spelling; the same dictionary for ever.
        flights: The fetches under way.
    """

    def __init__(
        self,
        store: Store,
        spellings: dict[SecretName, tuple[str, ...]],
        freshness: Freshness,
        tally: Tally,
        changes: ChangeNotices,
        receipts: ReceiptBook | None = None,
    ) -> None:
        """Hold nothing yet."""
        self.fresh_values: dict[str, SecretValue] = {}
        self.flights: Flights[CachedSecret] = Flights()
        self._store = store
        self._spellings = spellings
        self._freshness = freshness
        self._tally = tally
        self._changes = changes
        self._receipts = receipts
        self._handed_out: dict[SecretName, str] = {}
        self._compared: dict[SecretName, str] = {}
        self._cached: dict[SecretName, CachedSecret] = {}
        self._last_versions: dict[SecretName, str] = {}
        self._with_previous: set[SecretName] = set()
        self._closed = False
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Take new locks and keep the values: for a forked child, whose threads are not there.

        Nothing is on the fast path then: the next read of each secret goes the slow way, where the child's own
        background thread is started, and puts it back.
        """
        self._lock = threading.Lock()
        self.flights.renew()
        self.fresh_values.clear()

    def close(self) -> None:
        """Forget all values and serve none any more."""
        with self._lock:
            self._closed = True
            self._cached.clear()
            self.fresh_values.clear()

    def names(self) -> list[SecretName]:
        """Return the secrets that are held, in order."""
        return sorted(self._cached)

    def last_version(self, name: SecretName) -> str | None:
        """Return the id of the version that was fetched last, also when its value was dropped since."""
        return self._last_versions.get(name)

    def want_previous(self, name: SecretName) -> None:
        """Fetch the version before along with the current one from now on."""
        self._with_previous.add(name)

    def servable(self, name: SecretName) -> CachedSecret | None:
        """Return what is held of the secret, unless it is too old to be served."""
        cached = self._cached.get(name)
        return None if cached is None or self._freshness.is_expired(self._freshness.age(cached)) else cached

    def obtain(self, name: SecretName) -> CachedSecret:
        """Return what is held of the secret, or fetch it.

        Raises:
            ValueUnavailableError: The store is away, and what is held is too old; or the cache is closed.
            VantageSecretsError: What the store said otherwise.
        """
        try:
            return self.servable(name) or self._fly(name, begun_now=False)
        except StoreUnavailableError as exc:
            held = self._cached.get(name)
            if held is None:
                raise
            raise ValueUnavailableError(
                f"The store is away, and the last good value of '{name}' is of {held.fetched_at:%Y-%m-%d %H:%M:%S} UTC."
            ) from exc

    def fetch(self, name: SecretName) -> CachedSecret:
        """Fetch the secret now, with a read that begins after this call.

        Raises:
            VantageSecretsError: What the store said. After an outage what is held stays.
        """
        return self._fly(name, begun_now=True)

    def note_use(self, cached: CachedSecret) -> bool:
        """Return whether ``cached`` is stale, and count it then."""
        stale = self._freshness.is_stale(cached, self._freshness.age(cached))
        if stale:
            self._tally.stale_read(cached.current.version.name, cached.current.version.id)
        return stale

    def hand_out(self, cached: CachedSecret) -> None:
        """Note that the application is given ``cached``; put it on the fast path where it may be."""
        name, version = cached.current.version.name, cached.current.version.id
        if self._handed_out.get(name) == version and str(name) in self.fresh_values:
            return
        with self._lock:
            self._note_hand_out(name, version)
            # A newer one may have come between: only the one that is held now is shown.
            if self._cached.get(name) is cached and self._freshness.needs_no_look(cached, self._freshness.age(cached)):
                self._show(name, cached.current.value)

    def confirm(self, name: SecretName, version: str, connection: str) -> None:
        """Note that the application, or one connection of it, uses a version that it took."""
        with self._lock:
            if not connection:
                self._note_hand_out(name, version)
            elif self._receipts is not None:
                self._receipts.hand_out(name, version, connection)

    def let_go(self, name: SecretName, connection: str) -> None:
        """Note that the application, or one connection of it, uses the secret no more."""
        with self._lock:
            if not connection:
                self._handed_out.pop(name, None)
                self._hide(name)
            if self._receipts is not None:
                self._receipts.let_go(name, connection)

    def note_comparison(self, cached: CachedSecret) -> None:
        """Note that others' keys are compared with ``cached``, and with whatever is fetched after it."""
        name, version = cached.current.version.name, cached.current.version.id
        if self._compared.get(name) != version:
            with self._lock:
                held = self._cached.get(name, cached)  # a newer one may have come between
                self._compare_with(name, held.current.version.id)

    def _note_hand_out(self, name: SecretName, version: str) -> None:
        if self._handed_out.get(name) != version:
            self._handed_out[name] = version
            self._hide(name)  # the fast path never shows one that has no receipt
        if self._receipts is not None:
            self._receipts.hand_out(name, version)

    def _compare_with(self, name: SecretName, version: str) -> None:
        self._compared[name] = version
        if self._receipts is not None:
            self._receipts.hand_out(name, version, VERIFIER)

    def run_due(self) -> timedelta | None:
        """Fetch what is due; return how long until something is due again, ``None`` when nothing is held.

        Never raises for a secret that cannot be fetched: that is counted and logged, and tried again later.
        """
        # All of them leave the fast path before the first is fetched: a store that hangs must not keep them there.
        for name in self._take_due():
            self._renew_in_background(name)
        waits = [self._freshness.until_look(cached) for cached in list(self._cached.values())]
        return min(waits, default=None)

    def renew_if_held(self, name: SecretName) -> None:
        """Fetch the secret now if it is held; never raises, as :meth:`run_due`."""
        if name in self._cached:
            self._renew_in_background(name)

    def _renew_in_background(self, name: SecretName) -> None:
        try:
            self._fly(name, begun_now=True)
        except Exception as exc:
            self._tally.background_failure(name, exc)

    def _take_due(self) -> Iterable[SecretName]:
        due = []
        with self._lock:
            for name, cached in self._cached.items():
                age = self._freshness.age(cached)
                if not self._freshness.needs_no_look(cached, age):
                    self._hide(name)
                if age >= cached.renew_after:
                    due.append(name)
        return due

    def _fly(self, name: SecretName, *, begun_now: bool) -> CachedSecret:
        def fetch() -> CachedSecret:
            # Between a look at the cache and the start of a flight another flight may have landed.
            return (not begun_now and self.servable(name)) or self._fetch(name)

        try:
            return self.flights.run(name, fetch, begun_now=begun_now)
        finally:
            self._changes.deliver()  # After the flight has landed, so that a callback may refresh the same secret.

    def _fetch(self, name: SecretName) -> CachedSecret:
        if self._closed:
            raise ValueUnavailableError("The client is closed.", hint="Make a new SecretClient.")
        began_at, began_monotonic = self._freshness.clock(), self._freshness.monotonic()
        knows_previous = name in self._with_previous
        try:
            current, previous = self._read_versions(name) if knows_previous else (self._read(name), None)
        except Exception as exc:
            self._tally.refresh_failure(name, exc)
            if isinstance(exc, StoreError) and not isinstance(exc, StoreUnavailableError):
                self._drop(name)
            else:
                self._keep_failing(name)
            raise
        return self._adopt(
            name,
            CachedSecret(current, previous, knows_previous, began_at, began_monotonic, self._freshness.first_renewal()),
        )

    def _read_versions(self, name: SecretName) -> tuple[SecretReading, SecretReading | None]:
        current, previous = self._read(name), self._read_previous(name)
        if previous is not None and previous.version.id == current.version.id:
            # A promotion came between the two reads, and what was current a moment ago is previous now.
            current = self._read(name)
        return current, previous

    def _read_previous(self, name: SecretName) -> SecretReading | None:
        try:
            return self._read(name, Stage.PREVIOUS)
        except (SecretNotFoundError, StoreAccessDeniedError):
            # SECURITY: who may read only the current version accepts only the current version.
            return None

    def _read(self, name: SecretName, stage: Stage = Stage.CURRENT) -> SecretReading:
        self._tally.count("store_reads")
        return self._store.read(name, stage=stage)

    def _adopt(self, name: SecretName, cached: CachedSecret) -> CachedSecret:
        version = cached.current.version.id
        with self._lock:
            if self._closed:
                raise ValueUnavailableError("The client was closed meanwhile.", hint="Make a new SecretClient.")
            before = self._last_versions.get(name)
            self._cached[name] = cached
            self._last_versions[name] = version
            if self._handed_out.get(name) == version:
                self._show(name, cached.current.value)
            else:
                self._hide(name)
            if name in self._compared:
                self._compare_with(name, version)
        if before not in (None, version):
            self._tally.version_change(name, version)
            self._changes.put(cached.current)
        return cached

    def _keep_failing(self, name: SecretName) -> None:
        with self._lock:
            cached = self._cached.get(name)
            if cached is None:
                return
            age = self._freshness.age(cached)
            failing = cached._replace(failing=True, renew_after=self._freshness.next_attempt(age))
            self._cached[name] = failing
            if not self._freshness.needs_no_look(failing, age):
                self._hide(name)

    def _drop(self, name: SecretName) -> None:
        with self._lock:
            self._cached.pop(name, None)
            self._hide(name)

    def _show(self, name: SecretName, value: SecretValue) -> None:
        for spelling in (str(name), *self._spellings.get(name, ())):
            self.fresh_values[spelling] = value

    def _hide(self, name: SecretName) -> None:
        for spelling in (str(name), *self._spellings.get(name, ())):
            self.fresh_values.pop(spelling, None)
