"""What a finding says of one of our values: which secret's, and whether it still opens the door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from vantage_secrets.leaks.finding import KnownVersion
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.secret import SecretName, SecretVersion, Spelling, Stage

Specs = dict[SecretName, SecretSpec]
"""What the manifest says of the secrets that it has."""


def specs_by_name(specs: Iterable[SecretSpec]) -> Specs:
    """Return them by their names in the store."""
    return {spec.name: spec for spec in specs}


def key_of(specs: Specs, name: SecretName) -> str:
    """Return the environment variable of a secret: the manifest's, else what its name would be as one."""
    return specs[name].key if name in specs else name.spelled(Spelling.ENVIRONMENT)


def known_version(specs: Specs, version: SecretVersion, current: SecretVersion | None) -> KnownVersion:
    """Return what a finding says of a version that can be read.

    Args:
        specs: What the manifest says.
        version: Which one.
        current: The current version of the same secret.
    """
    verdict = {Stage.PENDING: "PENDING", Stage.CURRENT: "CURRENT"}.get(version.stage)
    return _of(specs, version.name, version.id, version.stage, verdict or _overlap(specs.get(version.name), current))


def retired_version(specs: Specs, name: SecretName, version_id: str, retired_at: datetime) -> KnownVersion:
    """Return what a finding says of a version that no store can return any more."""
    verdict = f"RETIRED since {_instant(retired_at)}"
    return _of(specs, name, version_id, Stage.RETIRED, verdict)._replace(spelling="fingerprint")


def _overlap(spec: SecretSpec | None, current: SecretVersion | None) -> str:
    """Return the words for a previous version; its end is known where the grace ends it whatever consumers say."""
    if spec is None or spec.at_grace_end == "hold" or current is None or current.promoted_at is None:
        return "IN OVERLAP"
    return f"IN OVERLAP until {_instant(current.promoted_at + spec.grace)}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _of(specs: Specs, name: SecretName, version_id: str, stage: Stage, verdict: str) -> KnownVersion:
    spec = specs.get(name)
    owner, consumers = (spec.owner, spec.consumers) if spec else ("", ())
    return KnownVersion(key_of(specs, name), version_id, stage.value, verdict, owner, consumers)
