"""Looking at a store for a person: what works, what is missing, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vantage_secrets.stores.contract import Examination, Health
from vantage_secrets.stores.gcp.calls import Calls
from vantage_secrets.stores.gcp.place import Place


def examine(calls: Calls, place: Place, endpoint: str, environment: str) -> Iterator[Examination]:
    """Yield."""
    from vantage_secrets.errors import StoreError
    from vantage_secrets.stores.gcp.record import LABEL

    try:
        found: list[Any] = [*calls.list(place.parent, f"labels.{LABEL}=secret", "listing secrets")]
    except StoreError as exc:
        yield Examination("listing names", Health.BROKEN, exc.message, exc.hint)
        return
    yield Examination("listing names", Health.WORKS, f"{len(found)} secret(s) can be listed.")
