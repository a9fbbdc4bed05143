"""The contract of a store: a place that holds secrets.

Every sentence of these docstrings is a test in :class:`vantage_secrets.testing.StoreContract`, which runs
unchanged against every store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Final, NamedTuple, Self

from vantage_secrets.errors import (
    InvalidInputError,
    SecretNotFoundError,
    UnsupportedOperationError,
    VantageSecretsError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage

TOKEN_LENGTH_MAX: Final = 64
"""Longest idempotence token, in characters."""


class Capability(StrEnum):
    """What a store can do beyond the verbs that all have; what it cannot do it does not declare."""

    COMPARE_AND_SET = "compare-and-set"
    """``promote`` is atomic: of two rivals exactly one wins, at every moment."""
    READ_BY_VERSION = "read-by-version"
    """``read`` takes a version id."""
    HISTORY = "history"
    """``describe`` still lists retired versions."""
    BINARY_VALUES = "binary-values"
    """Values that are bytes come back as bytes."""
    WATCH = "watch"
    """``watch`` tells of new versions as they come, so that nobody has to poll."""
    PACKED_SECRETS = "packed-secrets"
    """Several secrets may live in one entry, each under a name with a field: ``vantage/config#api_key``."""


class Health(StrEnum):
    """How one part of a store stands, as seen from here."""

    WORKS = "works"
    """It was tried, and it works."""
    MISSING = "missing"
    """Something is missing that a person can add: a permission, a setting, a login."""
    BROKEN = "broken"
    """It was tried, and it failed."""
    WARNING = "warning"
    """It works, and will hurt some day."""


class Examination(NamedTuple):
    """What was found about one part of a store.

    Attributes:
        part: What was looked at, a few words: ``login``, ``permission to write``.
        health: How it stands.
        words: What was found, one sentence.
        next_action: What to do now, as a command where there is one; empty when it works.
    """

    part: str
    health: Health
    words: str
    next_action: str = ""


class Store(ABC):
    """A place that holds secrets. Safe to use from several threads; open one per process.

    Absence, refusal and outage are three different errors, never ``None``: every verb raises
    :class:`~vantage_secrets.errors.StoreAccessDeniedError` when the store says no and
    :class:`~vantage_secrets.errors.StoreUnavailableError` when it does not answer; the docstrings
    below list only what is particular to the verb.

    Attributes:
        scheme: First word of its URLs, such as ``embedded``.
        capabilities: What it can do beyond the verbs; read without opening a store.
        url: Where this one lives, without credentials.
    """

    scheme: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    url: str

    @abstractmethod
    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version.

        Args:
            name: The secret.
            stage: Which stage to read; ignored when ``version`` is given.
            version: Id of one version, whatever its stage.

        Raises:
            SecretNotFoundError: There is no such secret.
            VersionNotFoundError: The secret has no version in that stage, or none with that id.
            VersionRetiredError: That version was retired; also for ``stage=Stage.RETIRED``.
            StoreIntegrityError: What is stored is not what was written.
            UnsupportedOperationError: ``version`` is given and the store lacks ``READ_BY_VERSION``.
        """

    @abstractmethod
    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions with stage and times, the newest first, and no values.

        Retired versions are among them where the store declares ``HISTORY``.

        Raises:
            SecretNotFoundError: There is no such secret.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order, lazily; a secret with only a pending version counts."""

    @abstractmethod
    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable, which no reader of ``current`` can see, through us or the vendor's own call.

        The same token with the same value is one version however often it is sent, whatever became of it meanwhile.

        Args:
            name: The secret; it begins to exist with its first version.
            value: What to store.
            token: Idempotence token, 1 to 64 characters, chosen by the caller.
            created_at: For a copy, when the value was first written elsewhere, aware UTC: a secret's age goes with it.
                Now, when not given. Kept to the millisecond.

        Raises:
            PendingVersionExistsError: Another pending version is there; retire or promote it first.
            VersionConflictError: The token was used for another value.
            StoreFullError: There is no room.
            StoreReadOnlyError: The store takes no writes.
        """

    @abstractmethod
    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set: the pending version becomes current, current becomes previous, previous is retired.

        All three happen at once or not at all. Promoting the version that is current already changes nothing and
        returns it, whatever is expected. A previous version may be promoted too: that is a roll-back, and the two
        change places.

        Args:
            name: The secret.
            version: Id of the version to promote.
            expect_current: Id of the version that the caller believes to be current; ``None`` for "there is none".

        Returns:
            The promoted version, as current.

        Raises:
            VersionConflictError: Another version is current than the one expected. Of two rivals exactly one wins.
            VersionRetiredError: The version was retired.
            SecretNotFoundError: There is no such secret.
            VersionNotFoundError: The secret has no version with that id.
        """

    @abstractmethod
    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Make a version unreadable for good through every documented call. Safe to repeat.

        Raises:
            VersionConflictError: The version is current; promote another one first, or delete the secret.
            SecretNotFoundError: There is no such secret.
            VersionNotFoundError: The secret has no version with that id.
        """

    @abstractmethod
    def delete(self, name: SecretName) -> bool:
        """Remove the secret with all versions; return whether there was anything. Safe to repeat."""

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield the current value of each of ``names`` that has one, with its version, in any order.

        Fetches with the vendor's batch call or in parallel where that is faster; here, one by one. A secret
        without a current value is left out.

        Raises:
            StoreIntegrityError: What is stored is not what was written.
        """
        for name in names:
            with suppress(SecretNotFoundError):
                yield self.read(name)

    def describe_many(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        """Yield what ``describe`` returns for each of ``names`` that there is, in any order.

        Asks with fewer calls than one a secret where the vendor allows it, to stay inside its metadata quota; here,
        one by one. A secret that is not there is left out.
        """
        for name in names:
            with suppress(SecretNotFoundError):
                yield self.describe(name)

    def watch(self, on_change: Callable[[SecretName], None]) -> Callable[[], None]:  # noqa: ARG002
        """Call ``on_change``, in a thread of the store's, soon after a secret has another current version.

        A version that came while the connection was lost is told of when it is back. What ``on_change`` raises
        ends nothing.

        Returns:
            What ends the watch; safe to call twice.

        Raises:
            UnsupportedOperationError: The store lacks ``WATCH``.
        """
        raise UnsupportedOperationError(
            f"A store of '{self.scheme}:' cannot be watched.", hint="Poll it: the client does so by itself."
        )

    def examine(self) -> Iterator[Examination]:
        """Yield what works, what is missing and what to do about it, for a person; no value and no change.

        Here, whether names can be listed; each store looks at more. Ends early where the rest depends on what is
        broken. Raises nothing for what it finds.
        """
        try:
            count = sum(1 for _ in self.list())
        except VantageSecretsError as exc:
            yield Examination("listing names", Health.BROKEN, exc.message, exc.hint)
        else:
            yield Examination("listing names", Health.WORKS, f"{count} secret(s) can be listed.")

    def refuse_packed(self, name: SecretName) -> None:
        """Do nothing for a name that this store can hold; every verb that takes a name begins with this.

        Raises:
            UnsupportedOperationError: ``name`` has a field and the store lacks ``PACKED_SECRETS``.
        """
        if name.field and Capability.PACKED_SECRETS not in self.capabilities:
            own = "-".join(word for word in name.field.split("_") if word) or "NAME"
            raise UnsupportedOperationError(
                f"A store of '{self.scheme}:' keeps one secret under a name; '{name}' is one of several.",
                hint=f"Give the secret a name of its own, such as {name.path}/{own}.",
            )

    @staticmethod
    def refuse_token(token: str) -> None:
        """Do nothing for a token of 1 to 64 characters; ``stage`` begins with this.

        Raises:
            InvalidInputError: The token is shorter or longer.
        """
        if not 1 <= len(token) <= TOKEN_LENGTH_MAX:
            raise InvalidInputError(f"An idempotence token has 1 to {TOKEN_LENGTH_MAX} characters, not {len(token)}.")

    @abstractmethod
    def close(self) -> None:
        """Release connections and key material. Safe to repeat; every other verb fails afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
