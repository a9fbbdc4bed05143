"""Whether an API key opens the door, as a collector asks for each request; and what the target does about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.canary import canary, leaks_in, planted
from tests.rotation_bench import GRACE, NAME, RotationBench
from vantage_secrets.database import api_keys_table
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    DatabaseError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.rotation.convergence import OverlapRules
from vantage_secrets.secret import SecretName, SecretReading, SecretValue
from vantage_secrets.targets.api_key import ApiKeyVerifier
from vantage_secrets.targets.api_key import verifier as verifier_module
from vantage_secrets.targets.api_key.verifier import digest_of
from vantage_secrets.targets.contract import LastUse


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RotationBench]:
    bench = RotationBench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def verifier(bench: RotationBench) -> ApiKeyVerifier:
    return ApiKeyVerifier(bench.database, clock=bench.clock)


def _installed(bench: RotationBench, value: str | None = None, name: SecretName = NAME) -> SecretReading:
    secret = SecretValue(value or canary())
    version = bench.store.stage(name, secret, canary("token"))
    reading = SecretReading(secret, version)
    bench.target.install(reading, keep=None)
    bench.store.retire(name, version.id)  # makes room for the next one; the verifier does not look at the store
    return reading


def _stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every snapshot too old to be believed."""
    monkeypatch.setattr(verifier_module, "SNAPSHOT_SECONDS", -1.0)


def test_an_installed_key_is_accepted_at_once_and_named(bench: RotationBench, verifier: ApiKeyVerifier) -> None:
    first = _installed(bench)
    assert verifier.verify(NAME, first.value.reveal_text()) is not None
    second = _installed(bench, bench.target.generate(None).reveal_text())
    found = verifier.verify(NAME, second.value.reveal_text())
    assert found is not None, "a key that the snapshot does not know yet is looked up"
    assert (found.lineage, found.version_id) == (NAME, second.version.id)
    assert second.value.reveal_text().startswith(f"vsk_{found.key_id}_")


def test_nothing_empty_missing_wrong_or_of_another_lineage_is_accepted(
    bench: RotationBench, verifier: ApiKeyVerifier
) -> None:
    key = _installed(bench).value.reveal_text()
    other = _installed(bench, name=SecretName("other")).value.reveal_text()
    wrong: list[Any] = ["", None, key + "x", key[:-1], key.upper(), " " + key, "\udcff", other]
    assert [verifier.verify(NAME, candidate) for candidate in wrong] == [None] * len(wrong)
    assert verifier.verify(SecretName("unknown"), key) is None


def test_a_revoked_key_is_refused_by_the_next_snapshot(
    bench: RotationBench, verifier: ApiKeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = _installed(bench)
    assert verifier.verify(NAME, reading.value.reveal_text())
    bench.target.revoke(reading, keep=None)
    _stale(monkeypatch)
    assert verifier.verify(NAME, reading.value.reveal_text()) is None
    bench.target.verify_refused(reading)


def test_expiry_holds_at_the_moment_even_inside_a_snapshot(bench: RotationBench, verifier: ApiKeyVerifier) -> None:
    reading = _installed(bench)
    bench.target.limit(reading, until=bench.clock() + GRACE, keep=None)
    assert verifier.verify(NAME, reading.value.reveal_text())
    bench.clock.advance(GRACE)
    assert verifier.verify(NAME, reading.value.reveal_text()) is None


def test_a_limit_is_never_lengthened(bench: RotationBench) -> None:
    reading = _installed(bench)
    near, far = bench.clock() + GRACE, bench.clock() + 10 * GRACE
    assert bench.target.limit(reading, until=near, keep=None) == near
    assert bench.target.limit(reading, until=far, keep=None) == near


def test_a_database_that_is_away_accepts_nothing_and_says_so(
    bench: RotationBench, verifier: ApiKeyVerifier, tmp_path: Path
) -> None:
    reading = _installed(bench)
    bench.database.close()
    bench.target.close()
    for path in tmp_path.glob("control.db*"):
        path.write_bytes(b"\xff" * 4096)
    with pytest.raises(DatabaseError):
        verifier.verify(NAME, reading.value.reveal_text())
    for call in (bench.target.verify, bench.target.verify_refused, bench.target.last_used):
        with pytest.raises(TargetUnavailableError):
            call(reading)


def test_uses_are_written_by_flush_and_never_turned_back(bench: RotationBench, verifier: ApiKeyVerifier) -> None:
    reading = _installed(bench)
    key = reading.value.reveal_text()
    assert bench.target.last_used(reading) == LastUse(is_known=True)
    verifier.verify(NAME, key)
    late = bench.clock()
    verifier.flush()
    assert bench.target.last_used(reading).at == late
    bench.clock.advance(-timedelta(hours=1))
    verifier.verify(NAME, key)
    verifier.flush()
    assert bench.target.last_used(reading).at == late


def test_only_a_salted_digest_of_a_key_is_kept(bench: RotationBench) -> None:
    value = canary()
    _installed(bench, value)
    _installed(bench, value)
    with bench.database.transaction(writes=False) as connection:
        rows = connection.execute(select(api_keys_table)).all()
    assert len({row.digest for row in rows}) == len({row.salt for row in rows}) == 2, "equal keys do not look equal"
    assert rows[0].digest == digest_of(value.encode(), rows[0].salt)
    assert not leaks_in(repr(rows).encode(), planted())


def test_installing_again_changes_nothing_and_a_revoked_version_does_not_come_back(bench: RotationBench) -> None:
    reading = _installed(bench)
    bench.target.install(reading, keep=None)
    assert bench.target.probe().accepted_count == 1
    bench.target.revoke(reading, keep=None)
    with pytest.raises(RotationError, match="was revoked before") as caught:
        bench.target.install(reading, keep=None)
    assert "--abandon" in caught.value.hint
    assert bench.target.probe().accepted_count == 0


def test_a_version_from_before_the_first_rotation_is_taken_in_beside_the_new_one(
    bench: RotationBench, verifier: ApiKeyVerifier
) -> None:
    old = SecretReading(SecretValue(canary()), bench.store.stage(NAME, SecretValue(canary()), "old"))
    bench.store.promote(NAME, old.version.id, expect_current=None)
    new_value = SecretValue(canary())
    new = SecretReading(new_value, bench.store.stage(NAME, new_value, "new"))
    bench.target.install(new, keep=old)
    assert verifier.verify(NAME, old.value.reveal_text())
    assert verifier.verify(NAME, new.value.reveal_text())


def test_the_target_tries_the_door_itself(bench: RotationBench) -> None:
    reading = _installed(bench)
    bench.target.verify(reading)
    with pytest.raises(CredentialAcceptedError):
        bench.target.verify_refused(reading)
    stranger = SecretReading(SecretValue(canary()), reading.version)
    with pytest.raises(CredentialRefusedError):
        bench.target.verify(stranger)
    bench.target.verify_refused(stranger)


def test_threads_that_ask_during_a_rotation_are_never_refused(
    bench: RotationBench, verifier: ApiKeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stale(monkeypatch)
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    refused: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            value = bench.current()
            if verifier.verify(NAME, value.reveal_text()) is None and bench.current() == value:
                refused.append("a current key")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
        bench.clock.advance(GRACE)
        bench.rotator().reconcile(NAME, overlap=OverlapRules(GRACE))
    done.set()
    for thread in threads:
        thread.join()
    assert not refused


def test_the_newest_version_that_is_accepted_is_told_for_a_receipt(
    bench: RotationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    verifier = ApiKeyVerifier(
        bench.database, clock=bench.clock, on_version=lambda name, version: told.append((str(name), version))
    )
    first = _installed(bench)
    verifier.verify(NAME, first.value.reveal_text())
    assert told == [(str(NAME), first.version.id)]
    bench.clock.advance(timedelta(hours=1))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    bench.rotator().rotate(NAME, overlap=OverlapRules(GRACE))
    _stale(monkeypatch)
    verifier.verify(NAME, "vk_nothing")
    assert told[-1] == (str(NAME), bench.store.read(NAME).version.id)
