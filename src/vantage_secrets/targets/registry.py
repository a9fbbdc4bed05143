"""Targets by kind: a secret of kind ``api-key`` is served by the target that registered ``api-key``."""

from __future__ import annotations

from importlib.metadata import entry_points

from vantage_secrets.targets.contract import Target, TargetContext

ENTRY_POINT_GROUP = "vantage_secrets.targets"
"""Packages that bring a target register its opener here under the secret's kind: ``(context) -> Target``."""


def open_target(context: TargetContext) -> Target | None:
    """Return the target that serves the secret, opened, or ``None`` when nothing that is installed does.

    Raises:
        MissingExtraError: The target's client is not installed.
        RotationError: The settings cannot be used.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=context.spec.kind):
        target: Target = entry.load()(context)
        return target
    return None
