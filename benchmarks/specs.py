"""What a manifest would say of a secret that a benchmark makes."""

from __future__ import annotations

from datetime import timedelta

from vantage_secrets.manifest import SecretSpec
from vantage_secrets.secret import SecretName


def static_spec(name: SecretName) -> SecretSpec:
    """Return a required static secret of 90 days."""
    return SecretSpec(
        key=str(name),
        name=name,
        kind="static",
        purpose="benchmark",
        owner="benchmark",
        consumers=(),
        max_age=timedelta(days=90),
        grace=timedelta(days=1),
        required=True,
        feature=None,
    )
