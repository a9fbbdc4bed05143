"""Values come out of a store with a verdict, and one that was retired is still recognised; nothing of them is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.canary import canary, leaks_in, planted
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401  # Fixtures.
from vantage_secrets.audit.event import Action
from vantage_secrets.audit.search import search as search_audit
from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.clock import utc_now
from vantage_secrets.database import Database, value_fingerprints_table
from vantage_secrets.errors import StoreAccessDeniedError, VersionRetiredError
from vantage_secrets.leaks.finding import Coverage, KnownVersion
from vantage_secrets.leaks.fingerprint import KEY_VARIABLE, FingerprintKey, load_key
from vantage_secrets.leaks.known import FingerprintBook, KnownValues, RetiredLookup, collect
from vantage_secrets.leaks.known.retired import alphabet_of
from vantage_secrets.leaks.known.words import WordSearch
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.testing import FakeClock, MemoryStore

KEY_TEXT = "5e" * 32
KEY = FingerprintKey(bytes.fromhex(KEY_TEXT))


@pytest.fixture(autouse=True)
def fingerprint_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY_TEXT)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(utc_now())


@pytest.fixture(params=["embedded", "vault"])
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    url = None
    if request.param == "vault":
        engine: Engine = request.getfixturevalue("engine")
        monkeypatch.setenv("VAULT_TOKEN", engine.server.token)
        url = f"{engine.url()}?tls=off"
    made = Workspace(initialise(tmp_path, environment="test", store_url=url), actor="test@here", clock=clock)
    yield made
    made.close()


@pytest.fixture
def spec(workspace: Workspace) -> SecretSpec:
    return workspace.manifest.find("VANTAGE_API_KEY")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/control.db")
    yield database
    database.close()


def known(workspace: Workspace, coverage: Coverage | None = None) -> KnownValues:
    return workspace.known_values(coverage or Coverage(), load_key(None, {KEY_VARIABLE: KEY_TEXT}))


def verdict_on(value: str, found: KnownValues) -> KnownVersion | None:
    hits = found.search.find(b"leak=" + value.encode())
    return found.search.version_of(hits[0]) if hits else found.retired.of(value.encode())


def text_of(reading: SecretReading) -> str:
    return reading.value.reveal_text()


# verdicts


def test_a_value_is_current_then_in_overlap_then_retired(
    workspace: Workspace, spec: SecretSpec, clock: FakeClock
) -> None:
    old = canary()
    first = workspace.introduce(spec, SecretValue(old))
    told = verdict_on(old, known(workspace))
    assert told == KnownVersion(spec.key, first.id, "current", "CURRENT", spec.owner, spec.consumers, "raw")
    workspace.reconcile(spec, begin=True)
    new = workspace.store.read(spec.name)
    found = known(workspace)
    in_overlap = verdict_on(old, found)
    assert in_overlap is not None
    assert new.version.promoted_at is not None
    assert in_overlap.verdict == f"IN OVERLAP until {new.version.promoted_at + spec.grace:%Y-%m-%d %H:%M} UTC"
    assert in_overlap.is_dangerous
    clock.advance(spec.grace + timedelta(days=1))
    workspace.reconcile(spec)
    with pytest.raises(VersionRetiredError):
        workspace.store.read(spec.name, version=first.id)
    retired = verdict_on(old, known(workspace))
    assert retired is not None
    assert (retired.secret, retired.version_id, retired.spelling) == (spec.key, first.id, "fingerprint")
    assert re.fullmatch(r"RETIRED since \d{4}-\d\d-\d\d \d\d:\d\d UTC", retired.verdict)
    assert not retired.is_dangerous
    current = verdict_on(text_of(new), known(workspace))
    assert current is not None
    assert current.verdict == "CURRENT"


def test_a_value_that_no_scan_ever_saw_is_recognised_after_its_rotation(
    workspace: Workspace, spec: SecretSpec, clock: FakeClock
) -> None:
    old = canary()
    workspace.introduce(spec, SecretValue(old))
    clock.advance(timedelta(minutes=1))  # the store has the real one
    generated = []
    for _ in range(2):
        workspace.reconcile(spec, begin=True, grace=timedelta(0))
        generated.append(text_of(workspace.store.read(spec.name)))
    coverage = Coverage()
    found = known(workspace, coverage)
    assert [
        version.stage if version else None for value in (old, *generated) if (version := verdict_on(value, found))
    ] == [
        "retired",
        "retired",
        "current",
    ]
    assert coverage.is_complete
    assert coverage.notes == []
    assert coverage.counts == {"secret value": 1}


def test_a_pending_value_is_told_as_one(workspace: Workspace, spec: SecretSpec) -> None:
    workspace.introduce(spec, SecretValue(canary()))
    value = canary()
    workspace.store.stage(spec.name, SecretValue(value), token="left by a run that was killed")
    told = verdict_on(value, known(workspace))
    assert told is not None
    assert told.verdict == "PENDING"


def test_a_rotation_given_up_leaves_a_retired_value(workspace: Workspace, spec: SecretSpec) -> None:
    workspace.introduce(spec, SecretValue(canary()))
    value = canary()
    workspace.store.stage(spec.name, SecretValue(value), token="left by a run that was killed")
    workspace.abandon(spec)
    told = verdict_on(value, known(workspace))
    assert told is not None
    assert told.stage == "retired"


def test_a_secret_that_was_deleted_is_retired_since_that_was_seen(
    workspace: Workspace, spec: SecretSpec, clock: FakeClock
) -> None:
    value = canary()
    workspace.introduce(spec, SecretValue(value))
    known(workspace)
    workspace.store.delete(spec.name)
    seen_at = clock.advance(timedelta(hours=1))
    for _ in range(2):
        told = verdict_on(value, known(workspace))
        assert told is not None
        assert told.verdict == f"RETIRED since {seen_at:%Y-%m-%d %H:%M} UTC"
        clock.advance(timedelta(hours=1))


def test_a_value_that_comes_back_is_not_retired(workspace: Workspace) -> None:
    spec, value = workspace.manifest.find("KAFKA_SASL_PASSWORD"), canary()
    for each in (value, canary(), canary(), value):
        workspace.introduce(spec, SecretValue(each))
    told = verdict_on(value, known(workspace))
    assert told is not None
    assert told.verdict == "CURRENT"


def test_every_read_is_on_record_and_no_value_on_disk(workspace: Workspace, spec: SecretSpec, tmp_path: Path) -> None:
    workspace.introduce(spec, SecretValue(canary()))
    workspace.reconcile(spec, begin=True)
    before = len(list(search_audit(workspace.manifest.audit.folder)))
    known(workspace)
    events = [record.event for record in search_audit(workspace.manifest.audit.folder)][before:]
    assert sorted((event.action, event.subject) for event in events) == [(Action.SECRET_READ, str(spec.name))] * 2
    with workspace.database.transaction(writes=False) as connection:
        rows = connection.execute(value_fingerprints_table.select()).all()
    assert len(rows) == 2
    assert not leaks_in(repr(rows).encode(), planted())


# what cannot be read


def put(store: MemoryStore, *names: str) -> dict[str, str]:
    values = {name: canary() for name in names}
    for name, value in values.items():
        store.put(name, value)
    return values


def spec_of(tmp_path: Path, *keys: str) -> list[SecretSpec]:
    manifest = initialise(tmp_path, environment="test")
    return [manifest.find(key) for key in keys]


def test_a_value_that_is_denied_is_missing_and_the_others_are_read(tmp_path: Path, database: Database) -> None:
    store, coverage = MemoryStore(), Coverage()
    values = put(store, "vantage/api-key", "vantage/query-api-key", "others/thing", "others/denied")
    specs = spec_of(tmp_path, "VANTAGE_API_KEY", "API_KEY")
    values |= {str(spec.name): canary() for spec in specs}
    for spec in specs:
        store.put(spec.name, values[str(spec.name)])
    store.denied = {specs[0].name, SecretName("others/denied")}
    found = collect(store, lambda key: FingerprintBook(database, key), key=KEY, secrets=specs, coverage=coverage)
    assert [(unread.place.source, unread.place.path) for unread in coverage.unread] == [("memory:", specs[0].key)]
    assert any(note.startswith("OTHERS_DENIED may not be read") for note in coverage.notes)
    read = {known.version.secret for known in found.search.values}
    assert {specs[1].key, "OTHERS_THING"} <= read
    assert not read & {specs[0].key, "OTHERS_DENIED"}


def test_a_store_that_is_away_leaves_every_secret_unread(tmp_path: Path, database: Database) -> None:
    store, coverage = MemoryStore(), Coverage()
    specs = spec_of(tmp_path, "VANTAGE_API_KEY", "API_KEY")
    with store.outage():
        found = collect(store, lambda key: FingerprintBook(database, key), key=KEY, secrets=specs, coverage=coverage)
    assert sorted(unread.place.path for unread in coverage.unread) == ["API_KEY", "VANTAGE_API_KEY"]
    assert not coverage.is_complete
    assert len(found.search) == 0


def test_a_database_that_is_away_is_told_and_stops_no_rotation(
    workspace: Workspace, spec: SecretSpec, clock: FakeClock
) -> None:
    value = canary()
    clock.advance(timedelta(minutes=1))

    def refuse(_key: FingerprintKey) -> FingerprintBook:
        raise StoreAccessDeniedError("no such right")

    workspace.__dict__["_memory"] = type(workspace._memory)(lambda: KEY, refuse)
    workspace.introduce(spec, SecretValue(value))
    workspace.reconcile(spec, begin=True, grace=timedelta(0))
    coverage = Coverage()
    found = known(workspace, coverage)
    assert verdict_on(value, found) is None
    assert coverage.notes == [
        f"Retired versions of which nothing was remembered under the key {KEY.key_id}, so that a leak of them is not "
        "recognised: VANTAGE_API_KEY (1)."
    ]


def test_short_values_are_noted(tmp_path: Path, database: Database) -> None:
    store, coverage = MemoryStore({"vantage/pin": "1234"}), Coverage()
    collect(store, lambda key: FingerprintBook(database, key), key=KEY, secrets=(), coverage=coverage)
    assert coverage.notes == ["Values, or fields of them, shorter than 8 bytes are not searched for: VANTAGE_PIN."]


# fingerprints


def test_another_key_tells_nothing(database: Database) -> None:
    name, value = SecretName("a/b"), canary()
    book = FingerprintBook(database, KEY)
    book.remember(name, "1", SecretValue(value))
    book.retire(name, "1")
    other = FingerprintBook(database, FingerprintKey(b"o" * 32))
    assert len(other.lookup({})) == 0
    assert book.lookup({}).of(value.encode()) is not None
    assert book.lookup({}).of(value.encode()[:-1] + b"!") is None


def test_the_fields_of_a_value_are_remembered_each(database: Database) -> None:
    name, password = SecretName("a/b"), canary()
    book = FingerprintBook(database, KEY)
    book.record([reading(name, "1", SecretValue({"username": "vantage_worker", "password": password}))])
    book.record([reading(name, "2", SecretValue(json.dumps({"password": password[::-1]})))])
    for version in ("1", "2"):
        book.retire(name, version)
    lookup = book.lookup({})
    assert lookup.of(b"vantage_worker") is None
    assert [told.version_id for text in (password, password[::-1]) if (told := lookup.of(text.encode()))] == ["1", "2"]


def test_the_first_retirement_counts_and_a_new_sight_of_the_value_ends_it(database: Database) -> None:
    clock, name, value = FakeClock(datetime(2026, 1, 31, 12, 0, tzinfo=UTC)), SecretName("a/b"), canary()
    book = FingerprintBook(database, KEY, clock=clock)
    book.remember(name, "1", SecretValue(value))
    assert book.lookup({}).of(value.encode()) is None
    for _ in range(2):
        book.retire(name, "1")
        clock.advance(timedelta(days=1))
    told = book.lookup({}).of(value.encode())
    assert told is not None
    assert told.verdict == "RETIRED since 2026-01-31 12:00 UTC"
    book.record([reading(name, "1", SecretValue(value))])
    assert book.lookup({}).of(value.encode()) is None


def reading(name: SecretName, version_id: str, value: SecretValue) -> SecretReading:
    store = MemoryStore()
    store.put(name, value)
    found = store.read(name)
    return found._replace(version=found.version._replace(id=version_id, stage=Stage.CURRENT))


@pytest.mark.parametrize(
    ("value", "alphabet"),
    [
        (b"00ffee00", "hex"),
        (b"00ffeeg0", "alnum"),
        (b"some_word-1", "word"),
        (b"c29tZQ+/==", "base64"),
        (b"p@ss~w0rd!", "token"),
        (b"two words", "other"),
    ],
)
def test_words_worth_a_try_are_as_long_as_a_retired_value_and_of_its_alphabet(value: bytes, alphabet: str) -> None:
    assert alphabet_of(value) == alphabet
    version = KnownVersion("KEY", "1", "retired", "RETIRED")
    lookup = RetiredLookup([retired_row(value, version)], KEY)
    text = b"token: <" + value + b">, or " + value + b"00"
    search = WordSearch(lookup)
    words = [text[slice(*search.span_of(found))] for found in search.ends_in(text)]
    assert words == ([] if alphabet == "other" else [value])
    assert [lookup.of(word) for word in words] == [version] * len(words)
    assert WordSearch(RetiredLookup([], KEY)).ends_in(text) == []
    at_the_edges = [value[slice(*search.span_of(found))] for found in search.edges_of(value)]
    assert set(at_the_edges) == set(words)


def retired_row(value: bytes, version: KnownVersion):
    from vantage_secrets.leaks.known.retired import Remembered

    return Remembered(KEY.fingerprint(value), len(value), alphabet_of(value), version)


def test_a_lookup_has_the_digest_of_its_values() -> None:
    version = KnownVersion("KEY", "1", "retired", "RETIRED")
    digests = {RetiredLookup([retired_row(value, version)], KEY).digest for value in (b"one value", b"other value")}
    assert len(digests | {RetiredLookup([], KEY).digest}) == 3
