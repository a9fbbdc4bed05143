"""The function of AWS Secrets Manager's own rotation: AWS decides when, and calls it once for each of four steps.

Give the function ``vantage_secrets.drivers.aws_lambda.handler`` as its handler, and the manifest's path in
``VANTAGE_SECRETS_MANIFEST``. A second function with :func:`finish_overlaps`, called on a schedule, ends each overlap.
The events are those of the AWS Secrets Manager user guide, "Lambda rotation functions".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from vantage_secrets.audit.event import Action
from vantage_secrets.audited_store import AuditedStore
from vantage_secrets.bootstrap import Workspace, open_workspace
from vantage_secrets.errors import InvalidInputError, RotationError, UnsupportedOperationError, VantageSecretsError
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretReading

if TYPE_CHECKING:
    from vantage_secrets.stores.aws import AwsStore
    from vantage_secrets.stores.aws.rotation import AwsRotation

_log = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda passes it
    """Do the step that ``event`` names; each one is safe to repeat.

    Args:
        event: ``SecretId``, ``ClientRequestToken`` and ``Step``: ``createSecret``, ``setSecret``, ``testSecret`` or
            ``finishSecret``; ``RotationToken`` where the function is of another account.
        context: Lambda's own; not used.

    Raises:
        InvalidInputError: The event is not of that form.
        RotationError: AWS is not rotating that secret to that version, or the last overlap is not over yet.
        VantageSecretsError: The store or the target failed. AWS calls again.
    """
    step = str(event.get("Step"))
    with closing(open_workspace(why=f"AWS rotation: {step[:40]}")) as workspace:
        do_step(workspace, event)


def finish_overlaps(event: object, context: object) -> dict[str, list[str]]:  # noqa: ARG001 - Lambda passes them
    """End each overlap whose time has come: revoke the old credential, see it refused, forget it. Begins nothing.

    Args:
        event: Whatever calls it, such as a schedule of EventBridge; not used.
        context: Lambda's own; not used.

    Returns:
        Names of secrets: under ``ended`` those at rest now, under ``open`` those whose overlap goes on.

    Raises:
        RotationError: It failed for some secrets, each of which is in the function's log; the others were done.
    """
    with closing(open_workspace(why="AWS rotation: finish overlaps")) as workspace:
        return end_overlaps(workspace)


def do_step(workspace: Workspace, event: Mapping[str, Any]) -> None:
    """Do one step in an open workspace; arguments and errors are those of :func:`handler`."""
    secret_id, token, step = (event.get(key) for key in ("SecretId", "ClientRequestToken", "Step"))
    do = _STEPS.get(step) if isinstance(step, str) else None
    if do is None or not isinstance(secret_id, str) or not isinstance(token, str):
        raise InvalidInputError(
            "The event is not one of AWS's rotation.",
            hint=f"It has SecretId, ClientRequestToken, and as Step one of: {', '.join(_STEPS)}.",
        )
    rotation = _aws_store(workspace).rotation_by_aws(secret_id, token, str(event.get("RotationToken") or ""))
    do(_Invocation(workspace, rotation, token))
    _log.info("%s of '%s': done", step, rotation.name)


def end_overlaps(workspace: Workspace) -> dict[str, list[str]]:
    """End overlaps in an open workspace; result and errors are those of :func:`finish_overlaps`."""
    found: dict[str, list[str]] = {"ended": [], "open": []}
    failed = []
    names = {spec.name: spec for spec in workspace.manifest.secrets}
    for versions in workspace.store.describe_many(names):
        situation, name = Situation.of(versions), versions[0].name if versions else None
        if name is None or situation.previous is None or situation.pending is not None:
            continue  # AWS is in the middle of a rotation, and ends the overlap before it begins one
        try:
            report = workspace.reconcile(names[name])
        except VantageSecretsError as error:
            _log.error("'%s': %s", name, error.message)
            failed.append(str(name))
        else:
            found["ended" if report.situation.previous is None else "open"].append(str(name))
    if failed:
        raise RotationError(f"The overlap could not be ended of: {', '.join(failed)}.", hint="See the function's log.")
    return found


class _Invocation:
    """One call of the function: which secret, which version, and the target that its credentials open."""

    def __init__(self, workspace: Workspace, rotation: AwsRotation, token: str) -> None:
        self.rotation = rotation
        self._workspace = workspace
        self._store = workspace.store
        self._spec = workspace.manifest.find(str(rotation.name))
        self._target = workspace.rotator(self._spec).target
        self._token = token

    def create(self) -> None:
        """Give the version that AWS has named a value that nobody has seen."""
        if self.rotation.is_done or self._situation().pending is not None:
            return
        self._end_last_overlap()
        value = self._target.generate(self._current())
        self._during(Action.VERSION_STAGE, lambda: self.rotation.stage(value))

    def install(self) -> None:
        """Make the target accept the new credential beside the current one."""
        if not self.rotation.is_done:
            pending, current = self._pending(), self._current()
            self._during(Action.TARGET_INSTALL, lambda: self._target.install(pending, keep=current))

    def verify(self) -> None:
        """Log in afresh with the new credential."""
        if not self.rotation.is_done:
            pending = self._pending()
            self._during(Action.TARGET_VERIFY, lambda: self._target.verify(pending))

    def finish(self) -> None:
        """Make the version current, and tell the target when the old credential ends."""
        if not self.rotation.is_done:
            self._during(Action.VERSION_PROMOTE, self.rotation.promote)
        self._workspace.reconcile(self._spec)

    def _end_last_overlap(self) -> None:
        """End the overlap of the last rotation: with three credentials one of them would stop working too early."""
        if self._situation().previous is None:
            return
        report = self._workspace.reconcile(self._spec)
        if report.situation.previous is not None:
            until = f" until {report.waits_until:%Y-%m-%d %H:%M} UTC" if report.waits_until else ""
            raise RotationError(
                f"'{self.rotation.name}' is in the overlap of its last rotation{until}.",
                hint="AWS tries again later. End it now: vantage-secrets rotate NAME --finish --grace 0s",
            )

    def _situation(self) -> Situation:
        return Situation.of(self._store.describe(self.rotation.name))

    def _pending(self) -> SecretReading:
        return self._store.read(self.rotation.name, version=self._token)

    def _current(self) -> SecretReading:
        return self._store.read(self.rotation.name)

    def _during(self, action: Action, call: Callable[[], object]) -> None:
        self._workspace.recorder.during(action, str(self.rotation.name), call, version_id=self._token)


_STEPS: Final[Mapping[str, Callable[[_Invocation], None]]] = {
    "createSecret": _Invocation.create,
    "setSecret": _Invocation.install,
    "testSecret": _Invocation.verify,
    "finishSecret": _Invocation.finish,
}


def _aws_store(workspace: Workspace) -> AwsStore:
    """Return the store inside the workspace's: what AWS's own rotation writes, its verbs refuse to write.

    Raises:
        UnsupportedOperationError: It is another vendor's.
        MissingExtraError: ``boto3`` is not installed.
    """
    from vantage_secrets.stores.aws import AwsStore

    store = workspace.store.inside if isinstance(workspace.store, AuditedStore) else workspace.store
    if not isinstance(store, AwsStore):
        raise UnsupportedOperationError(
            f"AWS rotates secrets of its own store, and the manifest's is {workspace.manifest.store.url}.",
            hint='Write url = "aws://REGION/PREFIX" under [store], or let another driver rotate.',
        )
    return store
