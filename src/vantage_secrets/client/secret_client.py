"""The client: how an application reads secrets, without asking the store each time and without going down with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from vantage_secrets.client.cache import SecretCache
from vantage_secrets.client.changes import ChangeCallback, ChangeNotices
from vantage_secrets.client.freshness import CachedSecret, Freshness, random_fraction
from vantage_secrets.client.readings import ClientEvent, ClientReading, ClientStats
from vantage_secrets.client.refresher import Refresher
from vantage_secrets.client.tally import Tally
from vantage_secrets.client.validation import JOIN_SECONDS, LookGate, RecentFailures, accepts
from vantage_secrets.client.watching import Watching
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import InvalidInputError, StoreUnavailableError, UnknownSecretError, VantageSecretsError
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.contract import Store

if TYPE_CHECKING:
    from vantage_secrets.credential import Credential
    from vantage_secrets.receipts.book import ReceiptBook

REFRESH_INTERVAL: Final = timedelta(seconds=300)
MAX_STALE: Final = timedelta(hours=1)


class SecretClient:
    """Reads secrets from one store, keeps them fresh in the background, and serves the last good value in an outage.

    Safe to use from many threads and after ``os.fork``: a child keeps the values and starts its own refresh with
    its first read. A read of a fresh value is one dictionary look-up: no I/O, no lock, no clock.

    A store that can be watched tells of a new version as it comes, and the value is fetched then; polling goes on
    beside that. Only an outage is bridged, for at most ``max_stale`` after the last good fetch. Absence, refusal and
    damage are the store's answers: the value is dropped, and the read raises what the store said.

    With ``receipts``, it is on record which version the application was handed last. A version that was fetched in
    the background counts only from the first read after that: who reads once at its start is on record with what it
    got then, for as long as it runs.

    Args:
        store: Where the secrets live; it stays the caller's to close.
        aliases: Other spellings, such as ``{"VANTAGE_API_KEY": SecretName("vantage/api-key")}``.
        accounts: Whose password a secret is, where its value does not say so itself.
        receipts: Takes the receipts; it is closed with this client.
        grace: How long the version before stays valid after a promotion, for each secret; no time where not given.
        refresh_interval: How long a value is served before it is fetched anew, give or take a tenth.
        max_stale: How long after its last fetch a value may be served while the store is away.
        clock: The wall clock.
        on_event: Called with every :class:`ClientEvent`, in the thread where it happened; for metrics.
        background: Whether a daemon thread refreshes; without it, call :meth:`run_due`.
        monotonic: Seconds that never run backwards.
        fraction: A random number from 0 to 1 for the jitter.

    Attributes:
        fresh_values: What may be served as it is, by every spelling of the names; for reading only. One and the
            same dictionary for the life of the client, empty once it is closed.

    Raises:
        InvalidInputError: ``refresh_interval`` is not positive, or ``max_stale`` is shorter.
    """

    def __init__(
        self,
        store: Store,
        *,
        aliases: Mapping[str, SecretName] | None = None,
        accounts: Mapping[SecretName, str] | None = None,
        receipts: ReceiptBook | None = None,
        grace: Mapping[SecretName, timedelta] | None = None,
        refresh_interval: timedelta = REFRESH_INTERVAL,
        max_stale: timedelta = MAX_STALE,
        clock: Clock = utc_now,
        on_event: Callable[[ClientEvent], object] | None = None,
        background: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random_fraction,
    ) -> None:
        """Read nothing and start nothing yet."""
        self.aliases: Mapping[str, SecretName] = dict(aliases or {})
        self._accounts = dict(accounts or {})
        self._receipts = receipts
        self._grace = dict(grace or {})
        self._clock = clock
        self._freshness = Freshness(refresh_interval, max_stale, clock, monotonic, fraction)
        self._tally = Tally(clock, on_event)
        self._changes = ChangeNotices(self._tally.callback_failure)
        self._cache = SecretCache(
            store, _spellings(self.aliases), self._freshness, self._tally, self._changes, receipts
        )
        self.fresh_values = self._cache.fresh_values
        self._looks = LookGate(monotonic)
        self._failures = RecentFailures(monotonic)
        self._is_background = background
        self._store = store
        self._refresher = Refresher(self)
        self._watching = Watching(store, self)
        self._is_closed = False

    def get(self, name: str | SecretName) -> SecretValue:
        """Return the current value of the secret.

        Args:
            name: Its canonical name or one of its other spellings.

        Raises:
            SecretNotFoundError: The store holds no such secret.
            StoreAccessDeniedError: The store refuses to read it.
            StoreUnavailableError: The store is away, and the secret was never read before.
            ValueUnavailableError: The store is away for longer than ``max_stale``, or the client is closed.
            UnknownSecretError: No secret has this spelling.
            StoreError: The store answered in another way that is no value.
        """
        try:
            return self.fresh_values[name]  # type: ignore[index]  # A SecretName is not found, and goes on below.
        except KeyError:
            return self.read(name).value

    def read(self, name: str | SecretName, *, max_age: timedelta | None = None) -> ClientReading:
        """Return the current value with its version, and whether it is stale.

        Args:
            name: Its canonical name or one of its other spellings.
            max_age: Ask the store first when the value is older, at most once a second; while the store is away the
                last good value still serves.

        Raises:
            VantageSecretsError: As :meth:`get`.
        """
        canonical = self._canonical(name)
        self._renew_if_older(canonical, max_age)
        return self._handed_out(self._obtain(canonical))

    def account(self, name: str | SecretName) -> str:
        """Return whose password the secret is where its value does not say so, as the manifest has it, or ``""``.

        Raises:
            UnknownSecretError: No secret has this spelling.
        """
        return self._accounts.get(self._canonical(name), "")

    def credential(self, name: str | SecretName, *, account: str = "") -> Credential:
        """Return the current value as user name and password, which belong together.

        Args:
            name: Its canonical name or one of its other spellings.
            account: Whose password it is, where neither the value nor the manifest says so.

        Raises:
            InvalidInputError: Nothing says whose password it is.
            InvalidSecretValueError: The value has named fields, but not ``username`` and ``password``.
            VantageSecretsError: As :meth:`get`.
        """
        from vantage_secrets.credential import Credential

        found = Credential.of(self.get(name), account=account or self.account(name))
        if not found.username:
            raise InvalidInputError(
                f"Nothing says whose password '{name}' is.",
                hint='Give account=…, or write account = "…" under the secret in vantage-secrets.toml.',
            )
        return found

    def take(self, name: str | SecretName, *, max_age: timedelta | None = None) -> ClientReading:
        """Return what :meth:`read` would, without a receipt: :meth:`confirm` leaves it once the value is in use.

        For long-lived connections, which go on with the old version for a while after the new one was read.

        Args:
            name: Its canonical name or one of its other spellings.
            max_age: As for :meth:`read`.

        Raises:
            VantageSecretsError: As :meth:`get`.
        """
        canonical = self._canonical(name)
        self._renew_if_older(canonical, max_age)
        return self._served(self._obtain(canonical))

    def confirm(self, name: str | SecretName, version_id: str, connection: str = "") -> None:
        """Leave a receipt: the application, or one connection of it, uses that version from now on.

        Does no I/O. Safe to repeat, and from any thread.

        Args:
            name: The secret's canonical name or one of its other spellings.
            version_id: The version, as :meth:`take` returned it.
            connection: Any name that is the connection's own within the process; each one has a receipt of its own.

        Raises:
            UnknownSecretError: No secret has this spelling.
        """
        self._cache.confirm(self._canonical(name), version_id, connection)

    def let_go(self, name: str | SecretName, connection: str = "") -> None:
        """End a receipt: the connection is closed, or the application uses the secret no more. Safe to repeat.

        Raises:
            UnknownSecretError: No secret has this spelling.
        """
        self._cache.let_go(self._canonical(name), connection)

    def read_cached(self, name: str | SecretName) -> ClientReading | None:
        """Return what :meth:`read` would, or ``None`` where it would have to ask the store: never does I/O.

        Raises:
            UnknownSecretError: No secret has this spelling.
        """
        cached = self._cache.servable(self._canonical(name))
        return None if cached is None else self._handed_out(cached)

    def refresh(self, name: str | SecretName | None = None) -> tuple[SecretName, ...]:
        """Ask the store now for one secret, or for all that are cached; return the names that have another version.

        Where an error stops one secret, the others are refreshed all the same.

        Raises:
            VantageSecretsError: What the store said of the first that failed. After an outage the old value stays.
        """
        changed: list[SecretName] = []
        first_error: VantageSecretsError | None = None
        for each in self._cache.names() if name is None else [self._canonical(name)]:
            before = self._cache.last_version(each)
            try:
                now = self._cache.fetch(each).current.version.id
            except VantageSecretsError as exc:
                first_error = first_error or exc
            else:
                changed += [each] if before not in (None, now) else []
        self._start_refreshing()
        if first_error is not None:
            raise first_error
        return tuple(changed)

    def validate(self, name: str | SecretName, candidate: str | None, *, max_age: timedelta | None = None) -> bool:
        """Return whether ``candidate`` is the current value, or the one before while the overlap lasts.

        The one before counts while the store calls it previous, until the secret's grace after the promotion has
        passed. Both are always compared, in constant time. A candidate that matches neither makes the client ask
        the store, at most once a second for each secret: a key promoted a moment ago is accepted at once, and a
        flood of wrong keys costs no calls. Anything but text that is not empty is refused.

        Who checks others' keys leaves a receipt too, as the connection ``verifier``. No value is handed out here, so
        that it moves as soon as the client itself has the new version.

        Args:
            name: The secret's canonical name or one of its other spellings.
            candidate: What was presented.
            max_age: As for :meth:`read`.

        Raises:
            VantageSecretsError: As :meth:`get`; nothing that is wrong with the candidate is an error.
        """
        canonical = self._canonical(name)
        if not isinstance(candidate, str) or not candidate:
            return self._judged(False)
        self._cache.want_previous(canonical)
        self._renew_if_older(canonical, max_age)
        cached = self._obtain_to_validate(canonical)
        self._cache.note_use(cached)
        self._cache.note_comparison(cached)
        return self._judged(self._accepts(cached, candidate) or self._accepts_after_a_look(cached, candidate))

    def validate_cached(self, name: str | SecretName, candidate: str | None) -> bool | None:
        """Return what :meth:`validate` would, or ``None`` where it would have to ask the store: never does I/O.

        Raises:
            UnknownSecretError: No secret has this spelling.
        """
        canonical = self._canonical(name)
        if not isinstance(candidate, str) or not candidate:
            return self._judged(False)
        cached = self._cache.servable(canonical)
        if cached is None or not cached.knows_previous:
            return None
        accepted = self._accepts(cached, candidate)
        if not accepted and (self._looks.is_open(canonical) or self._cache.flights.is_open(canonical)):
            return None
        self._cache.note_use(cached)
        self._cache.note_comparison(cached)
        return self._judged(accepted)

    def on_change(self, name: str | SecretName, callback: ChangeCallback) -> Callable[[], None]:
        """Call ``callback`` with the new reading once for each version that comes; return what ends that.

        Reads the secret if it is not cached: there must be a version to differ from. ``callback`` runs in the
        background thread, or in the thread whose read or refresh found the change. What it raises is logged by its
        class and counted, and stops nothing. Being called leaves no receipt: a callback that puts the value to use
        calls :meth:`confirm`.

        Raises:
            VantageSecretsError: As :meth:`get`.
        """
        canonical = self._canonical(name)
        unsubscribe = self._changes.subscribe(canonical, callback)
        try:
            self._obtain(canonical)
        except BaseException:
            unsubscribe()
            raise
        return unsubscribe

    def stats(self) -> ClientStats:
        """Return the counters as they are now."""
        return self._tally.stats(
            one_flight_waits=self._cache.flights.wait_count,
            receipt_failures=0 if self._receipts is None else self._receipts.failure_count,
        )

    def run_due(self) -> timedelta | None:
        """Fetch what is due; return how long until something is due again, ``None`` when nothing is cached.

        This is what the background thread calls. Never raises for a secret that cannot be fetched: that is
        counted and logged, and tried again later.
        """
        return self._cache.run_due()

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._is_closed

    def close(self) -> None:
        """End the background thread, end the receipts, forget all values; reads raise from now on. Safe to repeat."""
        self._is_closed = True
        self._watching.stop()
        self._cache.close()
        self._refresher.stop()
        if self._receipts is not None:
            self._receipts.close()

    def renew_after_fork(self) -> None:
        """Take new locks, forget the parent's threads and keep the values; called in the child by Python itself."""
        self._cache.renew()
        self._looks.renew()
        self._changes.renew()
        self._tally.renew()
        self._refresher = Refresher(self)
        self._watching = Watching(self._store, self)

    def note_change(self, name: SecretName) -> None:
        """Fetch a secret that has another current version, if it is held; called by a store that is watched."""
        self._cache.renew_if_held(name)

    def stop_refreshing(self, timeout_seconds: float) -> None:
        """End the background thread, waiting at most ``timeout_seconds``; called when the interpreter ends."""
        self._watching.stop()
        self._refresher.stop(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _canonical(self, name: str | SecretName) -> SecretName:
        if isinstance(name, SecretName):
            return name
        known = self.aliases.get(name)
        if known is None and ("_" in name or name.isupper()):
            raise UnknownSecretError(f"No secret is spelled '{name}'.")
        return known or SecretName(name)

    def _obtain(self, name: SecretName) -> CachedSecret:
        cached = self._cache.obtain(name)
        self._start_refreshing()
        return cached

    def _obtain_to_validate(self, name: SecretName) -> CachedSecret:
        self._failures.raise_recent(name)
        try:
            return self._obtain(name)
        except VantageSecretsError as exc:
            self._failures.remember(name, exc)
            raise

    def _start_refreshing(self) -> None:
        if self._is_background:
            self._refresher.start()
            self._watching.start()

    def _handed_out(self, cached: CachedSecret) -> ClientReading:
        reading = self._served(cached)
        self._cache.hand_out(cached)
        return reading

    def _served(self, cached: CachedSecret) -> ClientReading:
        stale = self._cache.note_use(cached)
        return ClientReading(cached.current.value, cached.current.version, stale, cached.fetched_at)

    def _renew_if_older(self, name: SecretName, max_age: timedelta | None) -> None:
        cached = self._cache.servable(name)
        if max_age is None or cached is None or self._freshness.age(cached) < max_age:
            return
        if self._looks.enter(name):
            self._fetch_or_keep(name)

    def _fetch_or_keep(self, name: SecretName) -> CachedSecret | None:
        try:
            return self._cache.fetch(name)
        except StoreUnavailableError:
            return self._cache.servable(name)

    def _accepts(self, cached: CachedSecret, candidate: str) -> bool:
        grace = self._grace.get(cached.current.version.name, timedelta(0))
        return accepts(cached, candidate, self._clock(), grace)

    def _accepts_after_a_look(self, cached: CachedSecret, candidate: str) -> bool:
        """Return whether ``candidate`` is accepted by what the store says now, where it may be asked."""
        name = cached.current.version.name
        if not cached.failing and self._cache.flights.join(name, JOIN_SECONDS):
            landed = self._cache.servable(name)
            if landed is not None and self._accepts(landed, candidate):
                return True
        # A flight that is still open is a store that is slow: to queue behind it would hold this thread for long.
        if self._cache.flights.is_open(name) or not self._looks.enter(name):
            return False
        self._tally.count("forced_refreshes")
        seen = self._fetch_or_keep(name)
        return seen is not None and self._accepts(seen, candidate)

    def _judged(self, accepted: bool) -> bool:
        self._tally.count("validations_accepted" if accepted else "validations_refused")
        return accepted


def _spellings(aliases: Mapping[str, SecretName]) -> dict[SecretName, tuple[str, ...]]:
    found: dict[SecretName, tuple[str, ...]] = {}
    for spelling, name in aliases.items():
        found[name] = (*found.get(name, ()), spelling)
    return found
