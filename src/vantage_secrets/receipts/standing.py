"""How far the consumers of a secret have moved to its current version. Rules only, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from vantage_secrets.receipts.holders import Holder


class Standing(NamedTuple):
    """One consumer of a secret.

    Attributes:
        service: Which one, as the manifest names it, or as it calls itself.
        left_a_receipt: Whether it ever left one for this secret.
        instance_count: Its processes and connections that hold a version.
        behind_count: Those of them that are known to hold another version than the current one.
        unknown_count: Those that held another version when they were last heard of, and were not heard of in time.
    """

    service: str
    left_a_receipt: bool
    instance_count: int
    behind_count: int
    unknown_count: int

    @property
    def has_moved(self) -> bool:
        """Whether nothing of it may still use another version; one that never left a receipt may."""
        return self.left_a_receipt and not self.behind_count and not self.unknown_count


def standings(
    holders: Iterable[Holder], *, current_id: str, consumers: Iterable[str], services: Collection[str]
) -> tuple[Standing, ...]:
    """Return how each consumer stands: the manifest's in its order, then others that hold a version.

    Args:
        holders: Who holds which version.
        current_id: The version that everybody should have.
        consumers: Whom the manifest names.
        services: Who ever left a receipt for this secret.
    """
    of_service: dict[str, list[Holder]] = {service: [] for service in consumers}
    for holder in holders:
        of_service.setdefault(holder.service, []).append(holder)
    found = []
    for service, held in of_service.items():
        others = [holder for holder in held if holder.version_id != current_id]
        known = sum(holder.is_known for holder in others)
        ever = bool(held) or service in services
        found.append(Standing(service, ever, len(held), known, len(others) - known))
    return tuple(found)
