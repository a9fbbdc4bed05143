"""Deleting a secret in a vault that keeps what is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vantage_secrets.errors import StoreAccessDeniedError, StoreBusyError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.azure.answers import Nothing
from vantage_secrets.stores.azure.records import Places, Record
from vantage_secrets.stores.azure.writing import attempts, load_anything

if TYPE_CHECKING:
    from vantage_secrets.stores.azure.vault import KeyVault


def delete_secret(vault: KeyVault, name: SecretName, environment: str) -> bool:
    """Delete both places of a secret and purge them; return whether there was anything.

    The pending place goes first, so that until the secret itself is deleted it is whole for its readers. Killed in
    between, the same call again deletes and purges what is left.

    Where the vault lets nobody purge, or not this login, the deleted secret stays recoverable for the vault's
    retention period. That is said in the log as a warning: the secret is gone for every reader, not for good.
    """
    places = Places.of(name)
    history = load_anything(vault, name)
    there = history.is_ours
    if there:
        history.check_environment(environment)
        for place in reversed(places):
            vault.delete(place)
    for place, records in ((places.pending, history.staged), (places.main, history.main)):
        _purge(vault, place, name, was_deleted=there and bool(records))
    return there


def _purge(vault: KeyVault, place: str, name: SecretName, *, was_deleted: bool) -> None:
    found: Record | Nothing = Nothing.ABSENT
    for _ in attempts(vault.seconds if was_deleted else 0):  # The vault deletes in the background, for some seconds.
        found = vault.deleted(place)
        if isinstance(found, Record):
            break
    if isinstance(found, Nothing) and was_deleted:
        raise StoreBusyError(f"The vault is still deleting '{place}'; what is left is to purge it.")
    if isinstance(found, Nothing) or not (was_deleted or found.belongs_to(name)):
        return
    if "Purgeable" not in found.recovery_level:
        _say_that_it_is_kept(place, "purge protection is on")
        return
    try:
        vault.purge(place)
    except StoreAccessDeniedError:
        _say_that_it_is_kept(place, "this login may not purge")


def _say_that_it_is_kept(place: str, why: str) -> None:
    import logging

    logging.getLogger("vantage_secrets.stores.azure").warning(
        "'%s' was deleted, and the vault keeps it recoverable for its retention period: %s.", place, why
    )
