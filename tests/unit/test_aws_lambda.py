"""The function of AWS's own rotation, before it comes to AWS: what it is called with, and for which store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.drivers.aws_lambda import finish_overlaps, handler
from vantage_secrets.errors import InvalidInputError, ManifestNotFoundError, UnsupportedOperationError
from vantage_secrets.secret import SecretValue

EVENT = {"SecretId": "vantage/api-key", "ClientRequestToken": "b8a4a2d6-7c0c-4b52-9e0c-0d1a2f1f7f01"}


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = initialise(tmp_path, environment="test").path
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(path))
    return path


@pytest.mark.parametrize(
    "event",
    [
        {},
        EVENT,
        EVENT | {"Step": "deleteSecret"},
        EVENT | {"Step": ["createSecret"]},
        EVENT | {"Step": "createSecret", "SecretId": None},
        EVENT | {"Step": "createSecret", "ClientRequestToken": 1},
    ],
)
def test_an_event_of_another_form_is_refused_with_the_form_that_is_expected(
    manifest: Path, event: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match="not one of AWS's rotation") as caught:
        handler(event, None)
    assert "createSecret, setSecret, testSecret, finishSecret" in caught.value.hint


@pytest.mark.parametrize("step", ["createSecret", "setSecret", "testSecret", "finishSecret"])
def test_another_vendors_store_is_refused_and_nothing_is_written(manifest: Path, step: str) -> None:
    with pytest.raises(UnsupportedOperationError, match="the manifest's is embedded:"):
        handler(EVENT | {"Step": step}, None)
    with open_workspace(manifest).store as store:
        assert list(store.list()) == []


def test_the_manifest_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(tmp_path / "none.toml"))
    with pytest.raises(ManifestNotFoundError):
        handler(EVENT | {"Step": "createSecret"}, None)


def test_overlaps_are_finished_whatever_the_store(manifest: Path) -> None:
    workspace = open_workspace(manifest)
    spec = workspace.manifest.find("VANTAGE_API_KEY")
    for value in ("one", "two"):
        version = workspace.store.stage(spec.name, SecretValue(canary(value)), token=value)
        current = next((each.id for each in workspace.store.describe(spec.name) if each.stage == "current"), None)
        workspace.store.promote(spec.name, version.id, expect_current=current)
    workspace.close()
    assert finish_overlaps({}, None) == {"ended": [], "open": [str(spec.name)]}
