"""Contracts and fakes for people who add a store or a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vantage_secrets.testing.clock import FakeClock
from vantage_secrets.testing.store import MemoryStore

if TYPE_CHECKING:
    from vantage_secrets.testing.store_contract import StoreContract, StoreOutageContract
    from vantage_secrets.testing.target_contract import TargetContract, TargetOutageContract

__all__ = [
    "FakeClock",
    "MemoryStore",
    "StoreContract",
    "StoreOutageContract",
    "TargetContract",
    "TargetOutageContract",
]


def __getattr__(name: str) -> Any:
    """Import what needs pytest only when it is asked for, so that the fakes work without it."""
    if name in ("StoreContract", "StoreOutageContract"):
        from vantage_secrets.testing import store_contract

        return getattr(store_contract, name)
    if name in ("TargetContract", "TargetOutageContract"):
        from vantage_secrets.testing import target_contract

        return getattr(target_contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
