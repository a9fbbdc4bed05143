# ruff: noqa: F811 - fixtures of another module
"""AWS's own rotation, its function called with the events that AWS documents, on moto and a real API-key verifier."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.aws import ENVIRONMENT, PREFIX, URL, MotoServer
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto  # noqa: F401 - fixtures
from vantage_secrets.audit.event import Action
from vantage_secrets.bootstrap import Workspace, open_workspace
from vantage_secrets.drivers.aws_lambda import do_step, end_overlaps, finish_overlaps, handler
from vantage_secrets.errors import (
    CredentialRefusedError,
    RotationError,
    SecretNotFoundError,
    TargetUnavailableError,
    UnknownSecretError,
    VersionNotFoundError,
)
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretName, SecretReading, SecretValue
from vantage_secrets.targets.api_key import ApiKeyTarget
from vantage_secrets.targets.api_key.verifier import ApiKeyVerifier

NAME = SecretName("vantage/api-key")
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
LAMBDA = "arn:aws:lambda:eu-central-1:123456789012:function:rotate"

MANIFEST = """\
environment = "{environment}"

[store]
url = "{url}?endpoint_url={address}"

[secrets.VANTAGE_API_KEY]
name = "vantage/api-key"
kind = "api-key"
purpose = "Collector authentication"
owner = "platform team"
grace = "24h"

[secrets.BY_HAND]
name = "vantage/by-hand"
kind = "static"
purpose = "No target"
owner = "platform team"
"""


class Clock:
    """The present, which a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manifest(empty_moto: MotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "vantage-secrets.toml"
    path.write_text(MANIFEST.format(environment=ENVIRONMENT, url=URL, address=empty_moto.address))
    monkeypatch.setenv("VANTAGE_SECRETS_MANIFEST", str(path))
    return path


@pytest.fixture
def workspace(manifest: Path, clock: Clock) -> Iterator[Workspace]:
    """A workspace whose secret has a current value already, as AWS wants before it rotates."""
    workspace = open_workspace(manifest, clock=clock)
    workspace.reconcile(workspace.manifest.find(str(NAME)), begin=True)
    yield workspace
    workspace.close()


@pytest.fixture
def rotation(workspace: Workspace, aws: Plain) -> Callable[..., dict[str, Any]]:
    """Begins a rotation as AWS does: an empty version gets AWSPENDING. Returns the event, its step still to fill in."""

    def begin(name: SecretName = NAME) -> dict[str, Any]:
        token = str(uuid.uuid4())
        aws.call("rotate_secret", name, ClientRequestToken=token, RotationLambdaARN=LAMBDA)
        arn = aws.call("describe_secret", name)["ARN"]
        return {"SecretId": arn, "ClientRequestToken": token, "RotationToken": str(uuid.uuid4())}

    return begin


def situation_of(workspace: Workspace) -> Situation:
    return Situation.of(workspace.store.describe(NAME))


def opens(workspace: Workspace, reading: SecretReading) -> bool:
    """Whether a verifier that remembers nothing lets that key in."""
    verifier = ApiKeyVerifier(workspace.database, clock=workspace.clock)
    return verifier.verify(NAME, reading.value.reveal_text()) is not None


def test_the_four_steps_rotate_and_both_keys_work_until_the_overlap_is_finished(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], aws: Plain, clock: Clock
) -> None:
    old = workspace.store.read(NAME)
    event = rotation()
    for step in STEPS:
        handler({**event, "Step": step}, None)
        expected = old.version.id if step != "finishSecret" else event["ClientRequestToken"]
        assert aws.call("get_secret_value", NAME)["VersionId"] == expected
    new = workspace.store.read(NAME)
    labels = aws.labels(NAME)
    assert "AWSPENDING" not in [label for all_of_one in labels.values() for label in all_of_one]
    assert opens(workspace, old)
    assert opens(workspace, new)
    assert situation_of(workspace).previous is not None

    assert end_overlaps(workspace) == {"ended": [], "open": [str(NAME)]}
    clock.ahead = timedelta(hours=25)
    assert not opens(workspace, old), "the target itself ends the old key, whether or not anybody calls"
    assert end_overlaps(workspace) == {"ended": [str(NAME)], "open": []}
    assert situation_of(workspace).is_at_rest
    assert opens(workspace, new)


def test_every_step_may_come_twice_and_an_earlier_one_may_come_again(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]]
) -> None:
    event = rotation()
    for count, step in enumerate(STEPS, start=1):
        for again in (*STEPS[:count], step):
            handler({**event, "Step": again}, None)
    versions = [version for version in workspace.store.describe(NAME) if version.stage != "retired"]
    assert [version.stage for version in versions] == ["current", "previous"]
    assert versions[0].id == event["ClientRequestToken"]


def test_rotations_one_after_the_other_leave_one_key_that_works(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], clock: Clock
) -> None:
    seen = [workspace.store.read(NAME)]
    for _ in range(3):
        event = rotation()
        for step in STEPS:
            do_step(workspace, {**event, "Step": step})
        seen.append(workspace.store.read(NAME))
        clock.ahead += timedelta(hours=25)
    end_overlaps(workspace)
    assert [opens(workspace, reading) for reading in seen] == [False, False, False, True]


def test_a_rotation_within_the_overlap_of_the_last_one_is_put_off(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], clock: Clock
) -> None:
    event = rotation()
    for step in STEPS:
        do_step(workspace, {**event, "Step": step})
    old, later = workspace.store.read(NAME), rotation()
    with pytest.raises(RotationError, match="in the overlap of its last rotation until"):
        do_step(workspace, {**later, "Step": "createSecret"})
    clock.ahead = timedelta(hours=25)
    for step in STEPS:  # AWS calls again, with the same token
        do_step(workspace, {**later, "Step": step})
    assert workspace.store.read(NAME).version.id == later["ClientRequestToken"]
    assert not opens(workspace, old)
    assert opens(workspace, workspace.store.read(NAME))


def test_a_target_that_is_away_after_the_promotion_is_told_of_the_end_when_aws_calls_again(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    old, event = workspace.store.read(NAME), rotation()
    for step in STEPS[:3]:
        do_step(workspace, {**event, "Step": step})
    with monkeypatch.context() as patch:
        patch.setattr(ApiKeyTarget, "limit", _away)
        with pytest.raises(TargetUnavailableError):
            do_step(workspace, {**event, "Step": "finishSecret"})
    assert workspace.store.read(NAME).version.id == event["ClientRequestToken"]
    do_step(workspace, {**event, "Step": "finishSecret"})
    clock.ahead = timedelta(hours=25)
    assert not opens(workspace, old)


def test_a_new_key_that_the_target_refuses_is_not_promoted(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, event = workspace.store.read(NAME), rotation()
    do_step(workspace, {**event, "Step": "createSecret"})
    monkeypatch.setattr(ApiKeyTarget, "install", lambda *_args, **_kwargs: None)  # says yes, and does no
    do_step(workspace, {**event, "Step": "setSecret"})
    with pytest.raises(CredentialRefusedError):
        do_step(workspace, {**event, "Step": "testSecret"})
    assert workspace.store.read(NAME).version.id == old.version.id


def test_two_that_create_at_once_leave_one_value(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {**rotation(), "Step": "createSecret"}
    generate = ApiKeyTarget.generate

    def overtaken(self: ApiKeyTarget, current: SecretReading | None) -> SecretValue:
        monkeypatch.setattr(ApiKeyTarget, "generate", generate)
        handler(event, None)
        return generate(self, current)

    monkeypatch.setattr(ApiKeyTarget, "generate", overtaken)
    do_step(workspace, event)
    first = workspace.store.read(NAME, version=event["ClientRequestToken"])
    do_step(workspace, event)
    assert workspace.store.read(NAME, version=event["ClientRequestToken"]) == first


def test_a_step_before_its_value_is_there_is_refused(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]]
) -> None:
    event = rotation()
    for step in STEPS[1:]:
        with pytest.raises(VersionNotFoundError):
            do_step(workspace, {**event, "Step": step})
    assert situation_of(workspace).is_at_rest


def test_a_secret_that_aws_does_not_rotate_is_left_alone(workspace: Workspace, aws: Plain) -> None:
    found = workspace.store.read(NAME).version.id
    with pytest.raises(RotationError, match="AWS does not rotate"):
        do_step(workspace, {"SecretId": f"{PREFIX}/{NAME}", "ClientRequestToken": found, "Step": "createSecret"})


@pytest.mark.parametrize("step", STEPS)
def test_a_token_that_is_not_pending_is_refused(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], step: str
) -> None:
    event = rotation() | {"ClientRequestToken": str(uuid.uuid4()), "Step": step}
    with pytest.raises(RotationError, match="AWS is not rotating"):
        do_step(workspace, event)


def test_a_secret_of_somebody_else_is_refused(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], aws: Plain
) -> None:
    event = rotation() | {"Step": "createSecret"}
    aws.client.create_secret(Name="elsewhere/key", SecretString="of another program")
    with pytest.raises(RotationError, match="no secret of the manifest's store"):
        do_step(workspace, {**event, "SecretId": "elsewhere/key"})
    with pytest.raises(SecretNotFoundError):
        do_step(workspace, {**event, "SecretId": f"{PREFIX}/vantage/none"})
    aws.call("create_secret", "vantage/not-in-the-manifest", SecretString=canary("not listed"))
    other = rotation(SecretName("vantage/not-in-the-manifest"))
    with pytest.raises(UnknownSecretError):
        do_step(workspace, {**other, "Step": "createSecret"})


def test_a_secret_without_a_target_is_refused_before_anything_is_written(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], aws: Plain
) -> None:
    name = SecretName("vantage/by-hand")
    aws.call("create_secret", name, SecretString=canary("by hand"))
    with pytest.raises(RotationError, match="nothing here can change it"):
        do_step(workspace, {**rotation(name), "Step": "createSecret"})


def test_a_value_that_another_program_wrote_is_rotated_too(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], aws: Plain, clock: Clock
) -> None:
    """No label of ours is on it, and it has made ours the previous one."""
    target = workspace.target(workspace.manifest.find(str(NAME)))
    assert target is not None
    value = target.generate(None).reveal_text()
    aws.call("put_secret_value", NAME, SecretString=value, ClientRequestToken=str(uuid.uuid4()))
    clock.ahead = timedelta(hours=25)
    event = rotation()
    for step in STEPS:
        do_step(workspace, {**event, "Step": step})
    assert workspace.store.read(NAME).version.id == event["ClientRequestToken"]


def test_every_step_is_in_the_audit_log_under_the_versions_id(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]]
) -> None:
    from vantage_secrets.audit.search import search

    event = rotation()
    for step in STEPS:
        handler({**event, "Step": step}, None)
    workspace.audit.close()
    found = [
        record.event.action
        for record in search(workspace.manifest.audit.folder)
        if record.event.version_id == event["ClientRequestToken"]
    ]
    for action in (Action.VERSION_STAGE, Action.TARGET_INSTALL, Action.TARGET_VERIFY, Action.VERSION_PROMOTE):
        assert action in found


def test_an_overlap_that_cannot_be_ended_is_named_and_does_not_keep_others_from_ending(
    workspace: Workspace, rotation: Callable[..., dict[str, Any]], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = rotation()
    for step in STEPS:
        do_step(workspace, {**event, "Step": step})
    clock.ahead = timedelta(hours=25)
    with monkeypatch.context() as patch:
        patch.setattr(ApiKeyTarget, "revoke", _away)
        with pytest.raises(RotationError, match=f"could not be ended of: {NAME}"):
            end_overlaps(workspace)
    assert end_overlaps(workspace) == {"ended": [str(NAME)], "open": []}


def test_the_second_function_begins_nothing(workspace: Workspace) -> None:
    before = workspace.store.describe(NAME)
    assert finish_overlaps({"source": "aws.scheduler"}, None) == {"ended": [], "open": []}
    assert workspace.store.describe(NAME) == before


def _away(*_args: object, **_kwargs: object) -> None:
    raise TargetUnavailableError("The target did not answer.")
