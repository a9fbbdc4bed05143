"""The store in Azure Key Vault: the contract's verbs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    NameCollisionError,
    PendingVersionExistsError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.azure.answers import Kept, Nothing
from vantage_secrets.stores.azure.deletion import delete_secret
from vantage_secrets.stores.azure.encoding import Content, decoded, digest_of, encoded, is_digest_of
from vantage_secrets.stores.azure.examining import examine_vault
from vantage_secrets.stores.azure.history import History
from vantage_secrets.stores.azure.promotion import Promotion
from vantage_secrets.stores.azure.records import (
    DIGEST,
    ENVIRONMENT,
    ID,
    NAME,
    STAGED_AT,
    TOKEN,
    Places,
    absent,
    as_version,
    name_of,
)
from vantage_secrets.stores.azure.writing import disable, load, load_anything, settle, write
from vantage_secrets.stores.contract import Capability, Examination, Store

if TYPE_CHECKING:
    from vantage_secrets.stores.azure.vault import KeyVault

_READERS_MAX: Final = 10  # As many as the connections that the SDK's transport keeps open.


class AzureStore(Store):
    """A store in Azure Key Vault: current is the newest version, pending lives under a sibling name.

    Key Vault has no compare-and-set. Of two rivals that promote at the same moment one wins in practice, and
    ADR 0011 says what remains. Made by :func:`~vantage_secrets.stores.azure.open_azure`.

    Args:
        url: As it was opened.
        vault: The vault's calls.
        environment: Stands on everything written; secrets of another one are not written over.
        clock: Tells the time that versions bear.
    """

    scheme = "azure"
    capabilities = frozenset({Capability.READ_BY_VERSION, Capability.HISTORY, Capability.BINARY_VALUES})

    def __init__(self, url: str, vault: KeyVault, *, environment: str, clock: Clock = utc_now) -> None:
        self.url = url
        self.environment = environment
        self._vault = vault
        self._clock = clock

    def __repr__(self) -> str:
        return f"AzureStore({self.url!r})"

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`. The current one takes one call, others three."""
        self.refuse_packed(name)
        if version is None and stage is Stage.CURRENT:
            return self._read_current(name)
        history = load(self._vault, name)
        if version is not None:
            record = history.version(version)
        elif stage is Stage.RETIRED:
            raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
        elif (found := history.in_stage(stage)) is None:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        else:
            record = found
        stage = history.stage_of(record.id)
        kept = None if stage is Stage.RETIRED else self._vault.get(record.place, record.version)
        if isinstance(kept, Kept):
            return SecretReading(decoded(kept.content), history.as_version(record.id))
        if stage is Stage.CURRENT:
            raise _disabled(name, record.place)
        raise VersionRetiredError(f"Version {record.id} of '{name}' was retired; the vault returns it no more.")

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first, retired ones too; see :meth:`Store.describe`."""
        self.refuse_packed(name)
        return load(self._vault, name).as_versions()

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order; see :meth:`Store.list`.

        The vault orders by its own spelling and both places of a secret are listed, so all pages come first.
        """
        names = {name for record in self._vault.secrets() if (name := name_of(record))}
        yield from sorted(name for name in names if str(name).startswith(prefix))

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; see :meth:`Store.stage`.

        One write, under the pending name. Two that stage different values in the same moment both write, look
        again, and all keep the same one of the two; the other is retired.

        Raises:
            NameCollisionError: Under the secret's name in the vault stands another secret.
            EnvironmentMismatchError: The secret belongs to another environment.
            InvalidSecretValueError: Written for Key Vault, the value is larger than 25,600 bytes.
        """
        self.refuse_packed(name)
        self.refuse_token(token)
        content = encoded(value)
        token_digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        history = load_anything(self._vault, name)
        if (sent := self._sent_before(history, token_digest, content)) is not None:
            return sent
        if history.pending is not None:
            raise _pending_exists(history)
        settle(self._vault, history, self._clock())
        tags = {
            NAME: str(name),
            ENVIRONMENT: self.environment,
            ID: secrets.token_hex(16),
            STAGED_AT: (created_at or self._clock()).isoformat(),
            TOKEN: token_digest,
            DIGEST: digest_of(content),
        }
        write(self._vault, Places.of(name).pending, content, tags)
        history = load(self._vault, name)
        settle(self._vault, history, self._clock())
        if history.stage_of(tags[ID]) is not Stage.RETIRED:
            return history.as_version(tags[ID])
        if (sent := self._sent_before(history, token_digest, content)) is not None and sent.id != tags[ID]:
            return sent
        raise _pending_exists(history)

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Make a version current; see :meth:`Store.promote`, and :mod:`.promotion` for the order of the calls.

        Raises:
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        return Promotion(
            self._vault,
            name,
            version,
            expect_current=expect_current,
            environment=self.environment,
            clock=self._clock,
        ).run()

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Disable a version, which neither we nor the vault return any more; see :meth:`Store.retire`.

        SECURITY: Key Vault erases no single version. Whoever may change the secret can enable it again; only
        :meth:`delete` ends the value. What this library disabled it refuses to read even then.

        Raises:
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        history = load(self._vault, name)
        record = history.version(version)
        history.check_environment(self.environment)
        if history.stage_of(version) not in (Stage.CURRENT, Stage.RETIRED):
            copies = [one for one in history.records if one.id == version and one is not record and one.enabled]
            for one in (record, *copies):  # The one that stands for the version first: from then on it is retired.
                disable(self._vault, one, self._clock(), retired=True)
            history = load(self._vault, name)
        if history.stage_of(version) is Stage.CURRENT:
            raise VersionConflictError(
                f"Version {version} of '{name}' is current.",
                hint="Promote another version first, or delete the secret.",
            )
        settle(self._vault, history, self._clock())
        return history.as_version(version)

    def delete(self, name: SecretName) -> bool:
        """Delete and purge the secret with all versions; see :meth:`Store.delete`, and :mod:`.deletion`.

        Raises:
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        return delete_secret(self._vault, name, self.environment)

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield the current value of each of ``names`` that has one, ten at a time; see :meth:`Store.read_many`."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        pool = ThreadPoolExecutor(_READERS_MAX, thread_name_prefix="azure-reader")
        try:
            for done in as_completed([pool.submit(self._read_if_there, name) for name in names]):
                if (reading := done.result()) is not None:
                    yield reading
        finally:
            pool.shutdown(cancel_futures=True)

    def examine(self) -> Iterator[Examination]:
        """Yield what works at the vault, what is missing and what to do; see :meth:`Store.examine`."""
        yield from examine_vault(self._vault)

    def close(self) -> None:
        """Close the connections; see :meth:`Store.close`."""
        self._vault.close()

    def _read_current(self, name: SecretName) -> SecretReading:
        place = Places.of(name).main
        kept = self._vault.get(place)
        if not (isinstance(kept, Kept) and kept.record.belongs_to(name)):
            history = load(self._vault, name)  # Ours at all? Someone may have written a newer version without tags.
            if kept is Nothing.ABSENT:
                raise self._no_current(history, place)
            if not isinstance(kept, Kept):
                raise _disabled(name, place)
        return SecretReading(decoded(kept.content), as_version(name, kept.record, Stage.CURRENT))

    def _no_current(self, history: History, place: str) -> VersionNotFoundError:
        if isinstance(self._vault.deleted(place), Nothing):
            return VersionNotFoundError(f"'{history.name}' has no current version.")
        return VersionNotFoundError(
            f"'{history.name}' was deleted in the vault by someone else, and can be recovered.",
            hint=f"Run 'az keyvault secret recover --vault-name VAULT --name {place}'.",
        )

    def _read_if_there(self, name: SecretName) -> SecretReading | None:
        try:
            return self.read(name)
        except SecretNotFoundError:
            return None

    def _sent_before(self, history: History, token_digest: str, content: Content) -> SecretVersion | None:
        """Return the version that was staged under a token, or ``None``; refuse what is not ours to write."""
        if not history.is_ours and any(history.records):
            found = absent(history.name, history.records)
            raise NameCollisionError(found.message, hint=found.hint)
        history.check_environment(self.environment)
        record = history.sent_with(token_digest)
        if record is None:
            return None
        if not is_digest_of(record.tags.get(DIGEST, ""), content):
            raise VersionConflictError(
                f"This token was used for another value of '{history.name}', version {record.id}.",
                hint="Use a new token for a new value.",
            )
        return history.as_version(record.id)


def _pending_exists(history: History) -> PendingVersionExistsError:
    found = f" {history.pending.id}" if history.pending else ""
    return PendingVersionExistsError(f"'{history.name}' has the pending version{found}.")


def _disabled(name: SecretName, place: str) -> StoreAccessDeniedError:
    return StoreAccessDeniedError(
        f"The newest version of '{name}' was disabled in the vault; no older one is served in its place.",
        hint=f"Enable it ('az keyvault secret set-attributes --name {place} --vault-name VAULT --enabled true'), or "
        "promote another version.",
    )
