"""One manifest becomes a workspace; each part is opened when it is first used, and closed once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from vantage_secrets import bootstrap
from vantage_secrets.audit.verify import verify
from vantage_secrets.bootstrap import Workspace, default_client, initialise, open_workspace
from vantage_secrets.errors import (
    EncryptionKeyNotFoundError,
    InvalidInputError,
    ManifestError,
    ManifestNotFoundError,
    RotationError,
    StoreUnavailableError,
    UnsupportedOperationError,
)
from vantage_secrets.manifest import FILE_NAME, Manifest
from vantage_secrets.secret import SecretValue, Stage
from vantage_secrets.stores.registry import open_store
from vantage_secrets.testing import MemoryStore


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return initialise(tmp_path, environment="test")


@pytest.fixture
def workspace(manifest: Manifest) -> Iterator[Workspace]:
    workspace = Workspace(manifest, actor="test@here", why="a reason")
    yield workspace
    workspace.close()


def test_a_failed_initialise_leaves_nothing_that_stops_the_next(tmp_path: Path) -> None:
    with pytest.raises(EncryptionKeyNotFoundError):
        initialise(tmp_path, environment="test", key_source="passphrase")
    with pytest.raises(InvalidInputError):
        initialise(tmp_path, environment="test", key_source="nowhere")
    assert initialise(tmp_path, environment="test").environment == "test"


def test_a_mistake_in_the_environment_is_found_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="'environment' is 'not a name'"):
        initialise(tmp_path, environment="not a name")
    assert list(tmp_path.iterdir()) == []


def test_initialise_replaces_neither_a_manifest_nor_a_store(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="exists already"):
        initialise(tmp_path, environment="test")
    manifest.path.unlink()
    with pytest.raises(InvalidInputError, match="no manifest for it"):
        initialise(tmp_path, environment="test")


def test_the_new_log_is_signed_with_the_key_that_the_manifest_names(workspace: Workspace) -> None:
    settings = workspace.manifest.audit
    workspace.introduce(workspace.manifest.find("KAFKA_SASL_PASSWORD"), SecretValue(canary()))
    workspace.close()
    found = verify(settings.folder, public_key=settings.public_key)
    assert found.problem is None
    assert found.records_count >= 2
    assert found.checkpoints_count >= 1


def test_nothing_is_opened_before_it_is_used(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("opened too early")

    monkeypatch.setattr(bootstrap, "open_store", refuse)
    monkeypatch.setattr("vantage_secrets.targets.registry.open_target", refuse)
    monkeypatch.setattr("vantage_secrets.audit.log.AuditLog", refuse)
    workspace = Workspace(manifest)
    workspace.close()
    workspace.close()


def test_a_closed_workspace_opens_its_parts_again_when_they_are_used(workspace: Workspace) -> None:
    first = workspace.store
    workspace.close()
    with pytest.raises(StoreUnavailableError):
        first.describe(workspace.manifest.secrets[0].name)
    assert list(workspace.store.list()) == []


def test_a_kind_without_a_target_is_brought_current_without_one(workspace: Workspace) -> None:
    spec = workspace.manifest.find("KAFKA_SASL_PASSWORD")
    assert workspace.target(spec) is None
    assert workspace.introduce(spec, SecretValue(canary())).stage is Stage.CURRENT
    with pytest.raises(RotationError, match="nothing here can change it at its target") as caught:
        workspace.rotator(spec)
    assert caught.value.hint.endswith("vantage-secrets set KAFKA_SASL_PASSWORD")


def test_a_kind_with_a_target_goes_through_it_and_the_target_is_opened_once(workspace: Workspace) -> None:
    first, second = workspace.manifest.find("VANTAGE_API_KEY"), workspace.manifest.find("API_KEY")
    target = workspace.target(first)
    assert target is not None
    assert workspace.target(first) is target
    assert workspace.target(second) is not target
    workspace.introduce(first, SecretValue(canary()))
    assert target.probe().accepted_count == 1


def test_a_client_knows_names_and_variables(workspace: Workspace) -> None:
    value = canary()
    workspace.introduce(workspace.manifest.find("KAFKA_SASL_PASSWORD"), SecretValue(value))
    with workspace.client() as client:
        assert client.get("vantage/kafka-sasl-password").matches(value)
        assert client.get("KAFKA_SASL_PASSWORD").matches(value)


def test_the_key_of_a_store_that_is_not_embedded_is_not_ours(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "open_store", lambda *_, **__: MemoryStore())
    with pytest.raises(UnsupportedOperationError, match="not ours to replace"):
        workspace.rotate_store_key()


def test_a_rotated_store_key_is_on_record_and_opens_the_store(workspace: Workspace) -> None:
    settings = workspace.manifest.store
    key_id = workspace.rotate_store_key()
    workspace.close()
    assert f'"store:key:rotate","subject":"{settings.url}","outcome":"success"' in _log(workspace)
    options = {"key_file": str(settings.key_file)}
    with open_store(settings.url, environment="test", options=options) as store:
        assert list(store.list()) == []
    assert len(key_id) == 16


def _log(workspace: Workspace) -> str:
    return "".join(path.read_text() for path in workspace.manifest.audit.folder.glob("0*.jsonl"))


def test_another_store_is_opened_with_the_key_of_its_own_url_only(workspace: Workspace, tmp_path: Path) -> None:
    from vantage_secrets.stores.embedded import create_embedded

    create_embedded(tmp_path / "other.db", environment="test", key_file=tmp_path / "other.key").close()
    with pytest.raises(EncryptionKeyNotFoundError):
        workspace.open_store(f"embedded://{tmp_path}/other.db")
    with workspace.open_store(f"embedded://{tmp_path}/other.db?key_file={tmp_path}/other.key") as store:
        assert list(store.list()) == []


def test_a_manifest_is_found_by_name_by_variable_and_above_here(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_workspace(manifest.path).manifest == manifest
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert open_workspace().manifest.path == manifest.path
    monkeypatch.chdir("/")
    with pytest.raises(ManifestNotFoundError):
        open_workspace()
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(tmp_path / FILE_NAME))
    assert open_workspace().manifest.path == manifest.path


def test_the_process_has_one_default_client_however_many_threads_ask(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(manifest.path))
    monkeypatch.setattr(bootstrap, "_default_client", None)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(default_client())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(client) for client in found}) == 1
    found[0].close()
