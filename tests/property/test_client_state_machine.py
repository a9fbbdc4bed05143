"""A client against a model that says what every call returns, through rotations, outages and moves of both clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.secret import SecretName, Stage
from vantage_secrets.testing import FakeClock, MemoryStore

NAMES = [SecretName("vantage/api-key"), SecretName("vantage/collector-token")]
INTERVAL = timedelta(seconds=300)
RENEWAL = timedelta(seconds=330)  # the interval and the pause after a failure, stretched by the whole jitter
RETRY = timedelta(seconds=33)
MAX_STALE = timedelta(hours=1)
GRACE = timedelta(hours=2)
SECOND = timedelta(seconds=1)
names = st.sampled_from(NAMES)
lengths = st.sampled_from([0.5, 1, 33, 299, 300, 330, 3600, 7200]).map(lambda s: timedelta(seconds=s))


@dataclass
class Held:
    """What the model believes the client to hold of one secret."""

    value: str
    version: str
    promoted_at: datetime
    previous: str | None
    wall: datetime
    steady: datetime
    renew_after: timedelta = RENEWAL
    failing: bool = False


class RefusalError(Exception):
    """The code of the error that the model expects."""


class Notes:
    """Takes receipts as a book does, and writes them nowhere."""

    failure_count = 0

    def __init__(self) -> None:
        self.held: dict[tuple[SecretName, str], str] = {}

    def hand_out(self, secret: SecretName, version_id: str, connection: str = "") -> None:
        self.held[secret, connection] = version_id

    def let_go(self, secret: SecretName, connection: str = "") -> None:
        self.held.pop((secret, connection), None)

    def close(self) -> None:
        self.held.clear()


class ClientMachine(RuleBasedStateMachine):
    """The client has no thread here, and always the longest jitter, so that the model can say everything exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.wall, self.steady = FakeClock(), FakeClock()
        self.store = MemoryStore(clock=self.wall)
        self.notes = Notes()
        self.client = SecretClient(
            self.store,
            receipts=self.notes,  # type: ignore[arg-type]
            grace=dict.fromkeys(NAMES, GRACE),
            refresh_interval=INTERVAL,
            max_stale=MAX_STALE,
            clock=self.wall,
            monotonic=lambda: self.steady().timestamp(),
            fraction=lambda: 1.0,
            background=False,
        )
        self.values: dict[str, str] = {}  # by version id; what is read is compared, never printed
        self.held: dict[SecretName, Held] = {}
        self.fresh: set[SecretName] = set()
        self.handed: dict[SecretName, str] = {}
        self.receipts: dict[tuple[SecretName, str], str] = {}
        self.last_version: dict[SecretName, str] = {}
        self.validated: set[SecretName] = set()
        self.failed: dict[SecretName, tuple[datetime, str]] = {}
        self.no_look_until: dict[SecretName, datetime] = {}
        self.subscribed: set[SecretName] = set()
        self.told: list[str] = []
        self.expected_told: list[str] = []
        self.stale_reads = 0
        self.store_reads = 0

    def teardown(self) -> None:
        self.client.close()

    # The model

    def _age(self, held: Held) -> timedelta:
        return max(self.wall() - held.wall, self.steady() - held.steady)

    def _needs_no_look(self, held: Held) -> bool:
        return self._age(held) < (min(held.renew_after, INTERVAL) if held.failing else held.renew_after)

    def _servable(self, name: SecretName) -> Held | None:
        held = self.held.get(name)
        return held if held is not None and self._age(held) < MAX_STALE else None

    def _fetch(self, name: SecretName) -> Held:
        self.store_reads += 1
        if self.store.away:
            if (held := self.held.get(name)) is not None:
                held.failing = True
                held.renew_after = self._age(held) + RETRY
                if not self._needs_no_look(held):
                    self.fresh.discard(name)
            raise RefusalError("store_unavailable")
        if name in self.store.denied or name not in list(self.store.list()):
            self.held.pop(name, None)
            self.fresh.discard(name)
            raise RefusalError("store_access_denied" if name in self.store.denied else "secret_not_found")
        versions = {version.stage: version for version in self.store.describe(name)}
        current, previous = versions[Stage.CURRENT], versions.get(Stage.PREVIOUS)
        assert current.promoted_at is not None
        self.store_reads += name in self.validated
        known = self.values[previous.id] if previous and name in self.validated else None
        held = Held(self.values[current.id], current.id, current.promoted_at, known, self.wall(), self.steady())
        self.held[name] = held
        # What the application was not handed yet stays off the fast path until it reads.
        (self.fresh.add if self.handed.get(name) == current.id else self.fresh.discard)(name)
        if self.last_version.get(name, current.id) != current.id and name in self.subscribed:
            self.expected_told.append(current.id)
        self.last_version[name] = current.id
        if (name, "verifier") in self.receipts:
            self.receipts[name, "verifier"] = current.id
        return held

    def _obtain(self, name: SecretName) -> Held:
        servable = self._servable(name)
        if servable is not None:
            return servable
        try:
            return self._fetch(name)
        except RefusalError as exc:
            if str(exc) == "store_unavailable" and name in self.held:
                raise RefusalError("value_unavailable") from None
            raise

    def _use(self, name: SecretName, held: Held) -> bool:
        stale = self._age(held) >= 2 * INTERVAL or (held.failing and self._age(held) >= INTERVAL)
        self.stale_reads += stale
        return stale

    def _hand_out(self, name: SecretName, held: Held) -> bool:
        stale = self._use(name, held)
        self.handed[name] = self.receipts[name, ""] = held.version
        if self._needs_no_look(held):
            self.fresh.add(name)
        return stale

    def _accepts(self, held: Held, candidate: str) -> bool:
        return candidate == held.value or (candidate == held.previous and self.wall() < held.promoted_at + GRACE)

    def _validate(self, name: SecretName, candidate: str) -> bool:
        since, code = self.failed.get(name, (self.steady(), ""))
        if code and self.steady() < since + SECOND:
            raise RefusalError(code)
        self.validated.add(name)
        try:
            held = self._obtain(name)
        except RefusalError as exc:
            self.failed[name] = (self.steady(), str(exc))
            raise
        self._use(name, held)
        self.receipts[name, "verifier"] = held.version
        if self._accepts(held, candidate):
            return True
        if self.steady() < self.no_look_until.get(name, self.steady()):
            return False
        self.no_look_until[name] = self.steady() + SECOND
        try:
            return self._accepts(self._fetch(name), candidate)
        except RefusalError as exc:
            if str(exc) != "store_unavailable":
                raise
            kept = self._servable(name)
            return kept is not None and self._accepts(kept, candidate)

    def _run_due(self) -> None:
        due = [name for name, held in self.held.items() if self._age(held) >= held.renew_after]
        self.fresh -= {name for name, held in self.held.items() if not self._needs_no_look(held)}
        for name in due:
            try:
                self._fetch(name)
            except RefusalError:
                continue

    # What happens to the store

    @initialize()
    def begin_with_two_rotated_secrets(self) -> None:
        for name in NAMES * 2:
            self.rotate(name)

    @rule(name=names)
    def rotate(self, name: SecretName) -> None:
        if not self.store.away and name not in self.store.denied:
            value = canary()
            self.values[self.store.put(name, value).id] = value

    @rule(name=names)
    def retire_the_previous_version(self, name: SecretName) -> None:
        if not self.store.away and name not in self.store.denied and name in list(self.store.list()):
            for version in self.store.describe(name):
                if version.stage is Stage.PREVIOUS:
                    self.store.retire(name, version.id)

    @rule(name=names)
    def delete(self, name: SecretName) -> None:
        if not self.store.away and name not in self.store.denied:
            self.store.delete(name)

    @rule(away=st.booleans())
    def switch(self, away: bool) -> None:
        self.store.away = away

    @rule(name=names)
    def deny_or_allow(self, name: SecretName) -> None:
        self.store.denied ^= {name}

    # What happens to time; the background thread looks when it is told to

    @rule(length=lengths, wall=st.sampled_from([1, 1, 1, 0, -1]), steady=st.sampled_from([1, 1, 1, 0]))
    def pass_time(self, length: timedelta, wall: int, steady: int) -> None:
        self.wall.advance(wall * length)
        self.steady.advance(steady * length)
        self._run_due()
        wait = self.client.run_due()
        assert (wait is None) == (not self.held)
        assert wait is None or wait > timedelta(0)

    # What the application does

    def _both(self, expected: object, actual: object) -> object:
        """Call the model and the client; return what both return, or ``None`` where both refuse alike."""
        codes: list[str] = []
        results: list[object] = []
        for call in (expected, actual):
            try:
                results.append(call())  # type: ignore[operator]
            except RefusalError as exc:
                codes.append(str(exc))
            except VantageSecretsError as exc:
                codes.append(exc.code)
        assert len(results) != 1, f"one of model and client refused: {codes}"
        if not results:
            assert codes[0] == codes[1]
            return None
        assert (results[0] == results[1]) is True
        return results[0]

    @rule(name=names)
    def read(self, name: SecretName) -> None:
        def expected() -> tuple[str, str, bool]:
            held = self._obtain(name)
            return held.value, held.version, self._hand_out(name, held)

        def actual() -> tuple[str, str, bool]:
            reading = self.client.read(name)
            return reading.value.reveal_text(), reading.version.id, reading.stale

        self._both(expected, actual)

    @rule(name=names)
    def get(self, name: SecretName) -> None:
        def expected() -> str:
            if name in self.fresh:
                return self.held[name].value
            held = self._obtain(name)
            self._hand_out(name, held)
            return held.value

        self._both(expected, lambda: self.client.get(str(name)).reveal_text())

    @rule(name=names)
    def take(self, name: SecretName) -> None:
        def expected() -> tuple[str, str, bool]:
            held = self._obtain(name)
            return held.value, held.version, self._use(name, held)

        def actual() -> tuple[str, str, bool]:
            reading = self.client.take(name)
            return reading.value.reveal_text(), reading.version.id, reading.stale

        self._both(expected, actual)

    @rule(name=names, connection=st.sampled_from(["", "tcp-1"]), pick=st.integers(0, 2))
    def confirm(self, name: SecretName, connection: str, pick: int) -> None:
        version = list(self.values)[-1 - pick]
        self.client.confirm(name, version, connection)
        self.receipts[name, connection] = version
        if not connection and self.handed.get(name) != version:
            self.handed[name] = version
            self.fresh.discard(name)

    @rule(name=names, connection=st.sampled_from(["", "tcp-1"]))
    def let_go(self, name: SecretName, connection: str) -> None:
        self.client.let_go(name, connection)
        self.receipts.pop((name, connection), None)
        if not connection:
            self.handed.pop(name, None)
            self.fresh.discard(name)

    @rule(name=names)
    def refresh(self, name: SecretName) -> None:
        def expected() -> bool:
            before = self.last_version.get(name)
            return before not in (None, self._fetch(name).version)

        self._both(expected, lambda: bool(self.client.refresh(name)))

    @rule(name=names, pick=st.integers(0, 5))
    def validate(self, name: SecretName, pick: int) -> None:
        candidates = ["wrong", *list(self.values.values())[::-1]]
        candidate = candidates[pick % len(candidates)]
        self._both(lambda: self._validate(name, candidate), lambda: self.client.validate(name, candidate))

    @rule(name=names)
    def subscribe(self, name: SecretName) -> None:
        if name in self.subscribed:
            return
        self.subscribed.add(name)

        def actual() -> bool:
            self.client.on_change(name, lambda reading: self.told.append(reading.version.id))
            return True

        if self._both(lambda: bool(self._obtain(name)), actual) is None:
            self.subscribed.discard(name)

    # What holds always

    @invariant()
    def the_counters_the_fast_path_and_the_notices_are_the_model_s(self) -> None:
        stats = self.client.stats()
        assert (stats.store_reads, stats.stale_reads) == (self.store_reads, self.stale_reads)
        assert self.client.fresh_values.keys() == {str(name) for name in self.fresh}
        assert self.told == self.expected_told

    @invariant()
    def every_receipt_names_what_was_handed_out_last_and_the_fast_path_shows_nothing_else(self) -> None:
        assert self.notes.held == self.receipts
        for name in self.fresh:
            assert (self.client.fresh_values[str(name)].reveal_text() == self.values[self.receipts[name, ""]]) is True


TestClientMachine = ClientMachine.TestCase
TestClientMachine.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
