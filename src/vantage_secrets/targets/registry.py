"""Targets by kind: a secret of kind ``api-key`` is served by the target that registered ``api-key``."""

from __future__ import annotations

from importlib.metadata import entry_points

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.targets.contract import Target

ENTRY_POINT_GROUP = "vantage_secrets.targets"
"""Packages that bring a target register its opener here: ``(*, database_url, clock) -> Target``."""


def open_target(kind: str, *, database_url: str, clock: Clock = utc_now) -> Target | None:
    """Return the target that serves ``kind``, opened, or ``None`` when no installed target does.

    Args:
        kind: The manifest's ``kind`` of a secret.
        database_url: The control database, for targets that keep their own verifiers.
        clock: The present.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=kind):
        target: Target = entry.load()(database_url=database_url, clock=clock)
        return target
    return None
