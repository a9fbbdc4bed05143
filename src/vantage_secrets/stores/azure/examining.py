"""What works at a vault, what is missing, and the next command; reads no value and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.stores.azure.answers import Nothing
from vantage_secrets.stores.azure.records import Record, name_of
from vantage_secrets.stores.contract import Examination, Health

if TYPE_CHECKING:
    from vantage_secrets.stores.azure.vault import KeyVault

_NOBODYS_NAME: Final = "vantage-secrets--examination"
"""Two hyphens: no secret of ours can have it, and nobody else has a reason to."""

_READS_MAX: Final = 4_000
"""Requests that a vault answers in ten seconds, writes of secrets apart (Azure Key Vault service limits)."""


def examine_vault(vault: KeyVault) -> Iterator[Examination]:
    """Yield what is found; ends early where the rest depends on what is broken."""
    try:
        listed = list(vault.secrets())
    except VantageSecretsError as exc:
        yield Examination("login and listing names", Health.BROKEN, exc.message, exc.hint)
        return
    ours = {name for record in listed if (name := name_of(record))}
    words = f"{len(ours)} secret(s) of {len(listed)} names in the vault can be listed; the certificate is trusted."
    yield Examination("login and listing names", Health.WORKS, words)
    yield _reading(vault)
    yield Examination(
        "permission to write",
        Health.WARNING,
        "Key Vault has no call that tells whether a login may write without writing.",
        "az role assignment list --assignee LOGIN --scope VAULT_ID --include-inherited --output table",
    )
    yield from _deletion(listed)
    yield _limits(len(ours))


def _reading(vault: KeyVault) -> Examination:
    """Ask for a secret that is not there: the vault looks at the permission first, and no value comes."""
    try:
        found = vault.get(_NOBODYS_NAME)
    except VantageSecretsError as exc:
        words = f"{exc.message} Single secrets may still be allowed."
        return Examination("permission to read", Health.MISSING, words, exc.hint)
    if found is Nothing.ABSENT:
        return Examination("permission to read", Health.WORKS, "Values of every secret in the vault can be read.")
    words = f"There is a secret '{_NOBODYS_NAME}', so this cannot be told."
    return Examination("permission to read", Health.WARNING, words, f"az keyvault secret delete --name {_NOBODYS_NAME}")


def _deletion(listed: list[Record]) -> Iterator[Examination]:
    """Tell from any listed secret what becomes of deleted ones."""
    part = "deleting"
    for record in listed[:1]:
        if "Purgeable" in record.recovery_level:
            yield Examination(part, Health.WORKS, "Deleted secrets can be purged at once, and their names used again.")
        else:
            yield Examination(
                part,
                Health.WARNING,
                "Purge protection is on: a deleted secret stays recoverable, and its name taken, for 7 to 90 days.",
                "az keyvault show --name VAULT --query properties.softDeleteRetentionInDays",
            )


def _limits(count: int) -> Examination:
    calls = 2 * count
    if calls <= _READS_MAX:
        words = f"A look at all versions takes {calls:,} requests or more; the vault answers {_READS_MAX:,} in 10 s."
        return Examination("limits", Health.WORKS, words)
    words = (
        f"A look at all versions takes {calls:,} requests, more than the {_READS_MAX:,} that a vault answers in 10 s."
    )
    return Examination("limits", Health.WARNING, words, "Spread the secrets over several vaults, one a service.")
