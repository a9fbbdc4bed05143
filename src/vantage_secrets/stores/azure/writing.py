"""Reading and writing a secret's versions in the vault, in steps that any process may finish for another."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from vantage_secrets.errors import StoreBusyError, StoreError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.azure.answers import Kept, Nothing
from vantage_secrets.stores.azure.encoding import Content
from vantage_secrets.stores.azure.history import History
from vantage_secrets.stores.azure.records import (
    ANNOUNCED,
    ID,
    RETIRED_AT,
    SEQUENCE,
    Places,
    Record,
    absent,
    rivals_of_newest,
)

if TYPE_CHECKING:
    from vantage_secrets.stores.azure.vault import KeyVault

_FIRST_PAUSE_SECONDS: Final = 0.02
_PAUSE_SECONDS_MAX: Final = 1.0


def attempts(seconds: float) -> Iterator[None]:
    """Yield at once and again after pauses that grow and differ, until ``seconds`` have passed."""
    ends_at, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
    yield
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, pause * random.uniform(0.5, 1)))  # noqa: S311  # Spreads processes, no secret.
        pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
        yield


def load(vault: KeyVault, name: SecretName) -> History:
    """Return all versions of a secret: two calls, and one for each 25 versions more.

    Raises:
        SecretNotFoundError: There is no such secret, or one that is not ours.
    """
    history = load_anything(vault, name)
    if not history.is_ours:
        raise absent(name, history.records)
    return history


def load_anything(vault: KeyVault, name: SecretName) -> History:
    """Return all versions under the secret's two places, even if there are none, or they are not ours."""
    places = Places.of(name)
    # In this order: what a promotion disables under the pending name it has written under the main name before.
    staged = vault.versions(places.pending)
    main = vault.versions(places.main)
    return History(name, main, staged, _newest(vault, places.main, rivals_of_newest(main)))


def _newest(vault: KeyVault, place: str, rivals: Sequence[Record]) -> Record | None:
    """Return which of ``rivals`` is the newest; asks the vault where more than one may be."""
    if len(rivals) < 2:
        return rivals[0] if rivals else None
    found = vault.get(place)
    if isinstance(found, Kept):
        return next((one for one in rivals if one.version == found.record.version), rivals[0])
    # It is disabled, and the vault tells no more: one of those that are.
    return max(rivals, key=lambda one: (not one.enabled, one.created_at))


def write(vault: KeyVault, place: str, content: Content, tags: Mapping[str, str]) -> Record:
    """Write a version and return it; waits for a deletion of the name that is under way.

    Raises:
        StoreBusyError: The deletion is under way for longer than a call may take.
        StoreError: The name belongs to a deleted secret that the vault keeps.
    """
    found: Record | Nothing = Nothing.UNDER_WAY
    for _ in attempts(vault.seconds):
        found = vault.put(place, content, tags)
        if found is not Nothing.UNDER_WAY:
            break
    if isinstance(found, Record):
        return found
    if found is Nothing.UNDER_WAY:
        raise StoreBusyError(f"The vault is still deleting the secret that was '{place}'.")
    raise StoreError(
        f"'{place}' was deleted in the vault, which keeps it recoverable and gives its name to nobody.",
        hint=f"Run 'az keyvault secret recover --name {place}' or 'az keyvault secret purge --name {place}', each with "
        "--vault-name. Recovering brings the old value back. With purge protection only recovering is possible.",
    )


def disable(vault: KeyVault, record: Record, now: datetime, *, retired: bool) -> None:
    """Let the vault return a version's value no more; say in a tag since when its version is retired."""
    tags = {key: text for key, text in record.tags.items() if key != ANNOUNCED}
    if retired and ID in tags:  # Others' versions keep their tags, which may be as many as there can be.
        tags.setdefault(RETIRED_AT, now.isoformat())
    vault.change(record, tags, enabled=False)


def settle(vault: KeyVault, history: History, now: datetime) -> None:
    """Disable what is retired, or kept elsewhere, and still enabled: the end of a promotion, whoever began it."""
    current = history.current
    # Of versions of one second only the vault knows the order; one of another id may have come behind the current.
    if current and any(one.id != current.id and one.created_at >= current.created_at for one in history.main):
        restore_newest(vault, history)
    for record, retired in history.left_over():
        disable(vault, record, now, retired=retired)


def restore_newest(vault: KeyVault, history: History) -> None:
    """Write the current version once more if the vault's newest is an older one that came late.

    This ends what the two guards of a promotion let through: a request that reached the vault long after its sender
    had given up. Until then plain readers see what it wrote.
    """
    current = history.current
    if current is None or not current.enabled:
        return
    newest = vault.get(current.place)
    known = {one.version for one in history.main}
    if isinstance(newest, Kept) and (newest.record.id == current.id or newest.record.version not in known):
        return
    kept = vault.get(current.place, current.version)
    if isinstance(kept, Kept):
        tags = {**current.tags, SEQUENCE: str(history.next_sequence)}
        write(vault, current.place, kept.content, tags)
