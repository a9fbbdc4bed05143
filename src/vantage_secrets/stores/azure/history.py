"""The versions of one secret and their stages, from what stands in the vault. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from vantage_secrets.errors import EnvironmentMismatchError, VersionNotFoundError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.azure.records import (
    ANNOUNCED,
    ENVIRONMENT,
    ID,
    PREVIOUS,
    STAGED_AT,
    TOKEN,
    Record,
    as_version,
)


class History:
    """All versions of one secret, with their stages.

    Args:
        name: The secret.
        main: The versions under its own name.
        staged: The versions under the name of its pending ones.
        newest: Which of ``main`` is the newest; ``None`` when there are none.
    """

    def __init__(
        self, name: SecretName, main: Sequence[Record], staged: Sequence[Record], newest: Record | None
    ) -> None:
        self.name = name
        self.main = main
        self.staged = staged
        self.current = newest
        # The record that stands for a version: its last promotion, else what was staged.
        self._versions = {one.id: one for one in (*staged, *sorted(main, key=lambda one: one.sequence))}
        self._promoted = {one.id for one in main}
        self.previous_id = self._previous_id()
        self.pending = self._pending()
        # A write whose answer was lost was sent again and is there twice, with one id.
        self._versions |= {one.id: one for one in (newest, self.pending) if one is not None}

    @property
    def is_ours(self) -> bool:
        """Whether any version says that it belongs to the name."""
        return any(one.belongs_to(self.name) for one in self.records)

    @property
    def records(self) -> Iterator[Record]:
        """Every version in the vault, in both places."""
        yield from self.main
        yield from self.staged

    @property
    def current_id(self) -> str | None:
        """Id of the current version."""
        return self.current.id if self.current else None

    @property
    def next_sequence(self) -> int:
        """The number that the next promotion bears."""
        return 1 + max((one.sequence for one in self.main), default=0)

    def version(self, version_id: str) -> Record:
        """Return what stands for a version.

        Raises:
            VersionNotFoundError: There is none with that id.
        """
        if version_id not in self._versions:
            raise VersionNotFoundError(f"'{self.name}' has no version {version_id[:64]}.")
        return self._versions[version_id]

    def in_stage(self, stage: Stage) -> Record | None:
        """Return the version in ``stage``, which is not ``RETIRED``."""
        return next((one for one in self._versions.values() if self.stage_of(one.id) is stage), None)

    def stage_of(self, version_id: str) -> Stage:
        """Return the stage of a version that is there."""
        if version_id == self.current_id:
            return Stage.CURRENT
        if self.pending and version_id == self.pending.id:
            return Stage.PENDING
        live = version_id == self.previous_id and not self._versions[version_id].is_retired
        return Stage.PREVIOUS if live else Stage.RETIRED

    def as_version(self, version_id: str) -> SecretVersion:
        """Return what callers see of a version."""
        return as_version(self.name, self._versions[version_id], self.stage_of(version_id))

    def as_versions(self) -> tuple[SecretVersion, ...]:
        """Return what callers see of all versions, the newest first."""
        first: dict[str, datetime] = {}
        for one in self.records:
            first[one.id] = min(one.created_at, first.get(one.id, one.created_at))
        # The vault's clock orders what several machines wrote; within its second their own clocks do.
        versions = sorted(
            (self.as_version(version_id) for version_id in self._versions),
            key=lambda version: (first[version.id], version.created_at),
            reverse=True,
        )
        return tuple(versions)

    def sent_with(self, token_digest: str) -> Record | None:
        """Return the version that was staged under a token; one that still counts before one that is retired."""
        found = [one for one in self._versions.values() if one.tags.get(TOKEN) == token_digest]
        return min(found, key=lambda one: self.stage_of(one.id) is Stage.RETIRED, default=None)

    def left_over(self) -> Iterator[tuple[Record, bool]]:
        """Yield what should be disabled and is not, and whether its version is retired, not just kept elsewhere."""
        for one in self.staged:
            if one.enabled and one is not self.pending:
                yield one, self.stage_of(one.id) is Stage.RETIRED
        mentioned = {one.tags.get(PREVIOUS) for one in self.main}
        for one in self.main:
            known = ID in one.tags or one.id in mentioned  # Versions that others wrote and we never met are theirs.
            if one.enabled and known and self.stage_of(one.id) is Stage.RETIRED:
                yield one, True

    def announced(self, sequence: int, besides: str) -> tuple[Record, ...]:
        """Return the other versions whose promotion to ``sequence`` is announced."""
        return tuple(
            one
            for one in self._versions.values()
            if one.tags.get(ANNOUNCED) == str(sequence) and one.id != besides and not one.is_retired
        )

    def check_environment(self, environment: str) -> None:
        """Return when the secret belongs to ``environment``, or does not say.

        Raises:
            EnvironmentMismatchError: It belongs to another one.
        """
        for one in self.records:
            found = one.tags.get(ENVIRONMENT, environment)
            if found != environment:
                raise EnvironmentMismatchError(
                    f"'{self.name}' in the vault belongs to '{found}', not to '{environment}'.",
                    hint="Set 'environment' in vantage-secrets.toml to the secret's own, or use another vault.",
                )

    def _previous_id(self) -> str | None:
        if self.current is None or self.current.sequence:
            return self.current.tags.get(PREVIOUS) if self.current else None
        # Someone else wrote over ours: what was current before that is previous.
        ours = [one for one in self.main if one.sequence]
        return max(ours, key=lambda one: one.sequence).id if ours else None

    def _pending(self) -> Record | None:
        found = [one for one in self.staged if not one.is_retired and one.id not in self._promoted]
        # More than one only where two staged in the same moment; every process takes the same one for the winner.
        return min(found, key=lambda one: (one.created_at, one.time(STAGED_AT) or one.created_at, one.id), default=None)
