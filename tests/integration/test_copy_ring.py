"""Secrets go around all six stores, embedded -> Vault -> AWS -> Kubernetes -> Azure -> Google -> embedded, unharmed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from tests.servers.aws import MotoServer
from tests.servers.aws import open_store as open_aws_store
from tests.servers.aws_fixtures import empty_moto, moto  # noqa: F401
from tests.servers.google_clients import open_at
from tests.servers.google_secret_manager import FakeSecretManager
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.migration.copying import CopyOutcome, copy_secrets
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.stores.azure import AzureStore
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded
from vantage_secrets.stores.kubernetes import KubernetesStore

pytest_plugins = (
    "tests.servers.azure",
    "tests.servers.google_fixtures",
    "tests.servers.kube_fixtures",
)

LIVING = (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)
MEASURES = ("values", "shapes", "stages", "ages")


def _contents() -> dict[SecretName, list[str | bytes | dict[str, str]]]:
    """Values for each secret, the oldest first; the last one of ``rotating`` is pending."""
    return {
        SecretName("vantage/api-key"): [canary("text")],
        SecretName("vantage/query-api-key"): [canary("previous"), canary("current")],
        SecretName("vantage/rotating"): [canary("previous"), canary("current"), canary("pending")],
        SecretName("vantage/first"): [canary("pending")],
        SecretName("vantage/bytes"): [canary("bytes").encode() + b"\x00\xff"],
        SecretName("vantage/kafka"): [{"username": "worker-a", "password": canary("field")}],
        SecretName("vantage/umlauts"): [f"{canary()} ä € 漢 \U0001f511\n"],
    }


_PENDING = {SecretName("vantage/rotating"), SecretName("vantage/first")}


def _fill(store: Store) -> None:
    written_at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)
    for name, contents in _contents().items():
        current = None
        for number, content in enumerate(contents, 1):
            version = store.stage(
                name, SecretValue(content), f"fill-{number}", created_at=written_at + timedelta(days=number)
            )
            if number < len(contents) or name not in _PENDING:
                store.promote(name, version.id, expect_current=current)
                current = version.id


@pytest.fixture
def ring(
    tmp_path: Path,
    engine: Engine,
    empty_moto: MotoServer,  # noqa: F811
    kube_store: KubernetesStore,
    open_azure_store: Callable[..., AzureStore],
    google: FakeSecretManager,
) -> Iterator[list[tuple[str, Store]]]:
    with ExitStack() as stack:

        def embedded(file: str) -> Store:
            path = tmp_path / file
            store = create_embedded(path, environment="test", key_file=path.with_suffix(".key"))
            return stack.enter_context(store)

        yield [
            ("embedded", embedded("first.db")),
            ("Vault", stack.enter_context(engine.open())),
            ("AWS", stack.enter_context(open_aws_store(empty_moto.address))),
            ("Kubernetes", kube_store),
            ("Azure", open_azure_store()),
            ("Google", stack.enter_context(open_at(google.address))),
            ("embedded", embedded("last.db")),
        ]


def _living(store: Store) -> dict[tuple[SecretName, Stage], SecretReading]:
    found = {}
    for name in store.list():
        for version in store.describe(name):
            if version.stage in LIVING:
                found[name, version.stage] = store.read(name, version=version.id)
    return found


def _kept(before: Store, after: Store) -> dict[str, str]:
    """How many of the values, shapes, stages and ages of ``before`` are the same in ``after``."""
    old, new = _living(before), _living(after)
    pairs = [(reading, new[place]) for place, reading in old.items() if place in new]
    same = {
        "values": sum(one.value == other.value for one, other in pairs),
        "shapes": sum(type(one.value.reveal()) is type(other.value.reveal()) for one, other in pairs),
        "stages": len(pairs) - len(new.keys() - old.keys()),
        "ages": sum(
            abs(one.version.created_at - other.version.created_at) <= timedelta(milliseconds=1) for one, other in pairs
        ),
    }
    return {measure: f"{count} of {len(old)}" for measure, count in same.items()}


def test_every_value_shape_stage_and_age_goes_around_the_ring(ring: list[tuple[str, Store]]) -> None:
    _fill(ring[0][1])
    whole = dict.fromkeys(MEASURES, "10 of 10")
    table = [f"{'hop':<26}" + "".join(f"{measure:<12}" for measure in MEASURES)]
    for (source_name, source), (name, destination) in itertools.pairwise(ring):
        results = list(copy_secrets(source, destination, list(source.list())))
        assert {result.outcome for result in results} == {CopyOutcome.COPIED}
        kept = _kept(source, destination)
        table.append(f"{f'{source_name} -> {name}':<26}" + "".join(f"{kept[measure]:<12}" for measure in MEASURES))
        assert kept == whole, "\n".join(table)
        again = list(copy_secrets(source, destination, list(source.list())))
        assert {result.outcome for result in again} == {CopyOutcome.UNCHANGED}
    print("\n".join(table))
    assert _kept(ring[0][1], ring[-1][1]) == whole


def test_a_hop_that_was_interrupted_after_any_secret_is_finished_by_running_it_again(
    ring: list[tuple[str, Store]],
) -> None:
    _fill(ring[0][1])
    for (_, source), (_, destination) in itertools.pairwise(ring):
        names = list(source.list())
        first = next(copy_secrets(source, destination, names))
        assert first.outcome is CopyOutcome.COPIED
        outcomes = [result.outcome for result in copy_secrets(source, destination, names)]
        assert outcomes == [CopyOutcome.UNCHANGED, *[CopyOutcome.COPIED] * (len(names) - 1)]
        assert _kept(source, destination)["values"] == "10 of 10"


def test_the_source_of_a_hop_is_not_changed(ring: list[tuple[str, Store]]) -> None:
    _fill(ring[0][1])
    for (_, source), (_, destination) in itertools.pairwise(ring):
        before = {name: source.describe(name) for name in source.list()}
        list(copy_secrets(source, destination, list(source.list())))
        assert {name: source.describe(name) for name in source.list()} == before
    with pytest.raises(SecretNotFoundError):
        next(copy_secrets(ring[0][1], ring[1][1], [SecretName("vantage/unknown")]))
