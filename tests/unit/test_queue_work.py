"""What a job of the workers' queue does, without the queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vantage_secrets.bootstrap import Workspace, initialise, open_workspace
from vantage_secrets.drivers.queue import Pace, do_work, find_work
from vantage_secrets.errors import TargetUnavailableError
from vantage_secrets.rotation.pauses import ALL, Pauses
from vantage_secrets.rotation.sightings import Sightings
from vantage_secrets.rotation.tick import BRAKE, Ticker, Work
from vantage_secrets.secret import Stage
from vantage_secrets.targets.api_key import ApiKeyTarget

_REST = """
[schedule]
failures = 1

[notifications]
secrets = ["people/mail"]

[secrets.DUE]
name = "vantage/due"
kind = "api-key"
purpose = "It is due"
owner = "platform team"
max_age = "20d"
grace = "0s"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with one secret that is due, and people to be told whose address is not in the store."""
    path = initialise(tmp_path, environment="test").path
    text = path.read_text()
    path.write_text(text[: text.index("\n# Collector authentication")] + _REST)
    workspace = open_workspace(path)
    spec = workspace.manifest.find("DUE")
    target = workspace.target(spec)
    assert target is not None
    long_ago = datetime.now(UTC) - timedelta(days=30)
    version = workspace.store.stage(spec.name, target.generate(None), token="first", created_at=long_ago)
    target.install(workspace.store.read(spec.name, version=version.id), keep=None)
    workspace.store.promote(spec.name, version.id, expect_current=None)
    yield workspace
    workspace.close()


def stages_of(workspace: Workspace) -> list[Stage]:
    return sorted(version.stage for version in workspace.store.describe(workspace.manifest.find("DUE").name))


def test_a_job_that_is_done_twice_rotates_once(workspace: Workspace) -> None:
    (work,) = find_work(workspace, tell=lambda _line: None)
    first, second = (do_work(workspace, work, tell=lambda _line: None) for _ in range(2))
    assert first.report is not None
    assert first.report.steps[0] == "create"
    assert (second.report, second.error) == (None, None)
    assert stages_of(workspace) == [Stage.CURRENT, Stage.RETIRED]


def test_a_job_that_goes_well_looks_at_no_other_secret(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of secrets, one look at all of them costs more than the rotation."""
    (work,) = find_work(workspace, tell=lambda _line: None)
    monkeypatch.setattr(Ticker, "plans", lambda _self: pytest.fail("it looked at all secrets"))
    assert do_work(workspace, work, tell=lambda _line: None).error is None


def test_a_job_for_a_version_that_is_no_longer_current_begins_nothing(workspace: Workspace) -> None:
    work = Work(workspace.manifest.find("DUE"), True, "0" * 8)
    assert do_work(workspace, work, tell=lambda _line: None).report is None
    assert stages_of(workspace) == [Stage.CURRENT]


def test_a_failure_is_counted_puts_on_the_brake_and_is_told_to_people(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    (work,) = find_work(workspace, tell=said.append)
    with monkeypatch.context() as patch:
        patch.setattr(ApiKeyTarget, "verify", _away)
        done = do_work(workspace, work, tell=said.append)
    assert isinstance(done.error, TargetUnavailableError)
    assert Sightings(workspace.database).all()[work.spec.name].failure_count == 1
    assert Pauses(workspace.database).all()[ALL].actor == BRAKE
    assert any("people/mail" in line for line in said), "who could not be told is said"
    assert find_work(workspace, tell=said.append) == [], "it is tried again later"


def test_what_the_brake_holds_back_begins_nothing_though_it_is_in_the_queue_already(workspace: Workspace) -> None:
    (work,) = find_work(workspace, tell=lambda _line: None)
    Pauses(workspace.database).pause(None, actor=BRAKE, reason="too much has failed", now=workspace.clock())
    assert do_work(workspace, work, tell=lambda _line: None).report is None
    assert stages_of(workspace) == [Stage.CURRENT]


def test_by_default_a_worker_that_lives_has_several_chances_to_say_so() -> None:
    assert Pace().stalled >= 3 * Pace().heartbeat


def _away(*_args: object, **_kwargs: object) -> None:
    raise TargetUnavailableError("The target did not answer.")
