"""What AWS says about one secret, read as versions and stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from vantage_secrets.errors import VersionNotFoundError, VersionRetiredError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.aws.marks import (
    CURRENT,
    ENVIRONMENT,
    NURSERY,
    PENDING,
    PREVIOUS,
    RETIRED,
    SALT,
    creation,
    is_placeholder,
    promotions,
    retired_times,
)

LABEL_OF: Final = {Stage.PENDING: PENDING, Stage.CURRENT: CURRENT, Stage.PREVIOUS: PREVIOUS}
"""The staging label by which AWS knows a stage."""

_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST_FIRST: Final = (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS, Stage.RETIRED)


@dataclass(frozen=True, slots=True)
class Held:
    """One version as AWS holds it: its id and its staging labels.

    Attributes:
        id: The version's id.
        labels: All that are attached to it.
        foreign_created_at: When it was written, for a version that another program wrote; else ``None``.
    """

    id: str
    labels: frozenset[str]
    foreign_created_at: datetime | None = None

    @property
    def stage(self) -> Stage | None:
        """Its stage; ``None`` for a placeholder, and for a version that has no stage any more or not yet.

        ``AWSPENDING`` may stay on a version that was promoted (AWS's own rotations leave it there), so it
        counts for the least.
        """
        if is_placeholder(self.labels):
            return None
        for stage in (Stage.CURRENT, Stage.PREVIOUS, Stage.PENDING):
            if LABEL_OF[stage] in self.labels:
                return stage
        return None

    @property
    def created_at(self) -> datetime:
        """When it was written."""
        found = creation(self.labels)
        return found[0] if found else (self.foreign_created_at or _UNKNOWN_TIME).astimezone(UTC)

    @property
    def promoted_at(self) -> datetime | None:
        """When it became current the last time; its creation for what another program made current."""
        times = promotions(self.labels).values()
        if times:
            return max(times)
        return self.created_at if self.stage in (Stage.CURRENT, Stage.PREVIOUS) else None

    @property
    def is_ours(self) -> bool:
        """Whether we wrote it."""
        return is_placeholder(self.labels) or creation(self.labels) is not None

    def as_version(self, name: SecretName) -> SecretVersion:
        """Return it as the contract tells it; only for one that has a stage."""
        stage = self.stage
        assert stage is not None
        promoted_at = None if stage is Stage.PENDING else self.promoted_at
        return SecretVersion(name, self.id, stage, self.created_at, promoted_at)

    def with_labels(self, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Held:
        """Return it as it is after those labels were moved."""
        return replace(self, labels=self.labels.difference(remove).union(add))


class Record:
    """One secret of AWS's, as ``DescribeSecret`` tells it.

    Args:
        name: Our name for it.
        secret_id: AWS's name for it.
        answer: The answer of ``DescribeSecret``.
        dates: When each version that has a value was written, for versions that other programs wrote; ``None``
            where that was not asked. A version with ``AWSPENDING`` alone that is not among them is empty:
            ``RotateSecret`` makes one before its function runs.
    """

    def __init__(
        self,
        name: SecretName,
        secret_id: str,
        answer: Mapping[str, Any],
        dates: Mapping[str, datetime] | None = None,
    ) -> None:
        self.name = name
        self.secret_id = secret_id
        self.tags: dict[str, str] = {tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags") or ()}
        self.is_rotated_by_aws = bool(answer.get("RotationEnabled"))
        self.is_deleted = answer.get("DeletedDate") is not None
        self.kms_key_id: str | None = answer.get("KmsKeyId")
        stages: Mapping[str, list[str]] = answer.get("VersionIdsToStages") or {}
        self.held: dict[str, Held] = {
            id_: Held(id_, frozenset(labels), (dates or {}).get(id_)) for id_, labels in stages.items() if labels
        }
        self.has_dates = dates is not None

    @property
    def environment(self) -> str | None:
        """Whose secret it is, or ``None`` when it is not ours."""
        return self.tags.get(ENVIRONMENT)

    @property
    def salt(self) -> str:
        """What the ids of its versions are made with; empty when it is not ours yet."""
        return self.tags.get(SALT, "")

    @property
    def may_have_nursery(self) -> bool:
        """Whether its nursery may still be there."""
        return NURSERY in self.tags

    @property
    def foreign(self) -> list[Held]:
        """Versions with a stage that another program wrote."""
        return [held for held in self.held.values() if held.stage and not held.is_ours]

    @property
    def has_value(self) -> bool:
        """Whether a value, or a placeholder, was ever written."""
        return any(held.is_ours or not self._is_empty(held) for held in self.held.values())

    @property
    def living(self) -> dict[str, Held]:
        """The versions that are pending, current or previous."""
        return {id_: held for id_, held in self.held.items() if held.stage and not self._is_empty(held)}

    def in_stage(self, stage: Stage) -> Held | None:
        """Return the version in that stage, if there is one."""
        return next((held for held in self.living.values() if held.stage is stage), None)

    def holder(self, label: str) -> str | None:
        """Return the id of the version that the label is attached to, whatever that is."""
        return next((id_ for id_, held in self.held.items() if label in held.labels), None)

    def shows(self, label: str, version: str) -> bool:
        """Return whether this was answered after ``label`` was put on ``version``, whatever was done since."""
        if RETIRED + version in self.tags:
            return True
        stage = self.held[version].stage if version in self.held else None
        return stage in (Stage.CURRENT, Stage.PREVIOUS) or (stage is Stage.PENDING and label == PENDING)

    @property
    def unrecorded(self) -> dict[str, SecretVersion]:
        """Versions that were previous until a promotion took that from them, and are in no tag yet.

        The promotion that made another one current retired them, so that is when.
        """
        current = self.in_stage(Stage.CURRENT)
        at = (current.promoted_at if current else None) or _UNKNOWN_TIME
        remembered = {id_ for id_, *_times in retired_times(self.tags)}
        return {
            held.id: SecretVersion(self.name, held.id, Stage.RETIRED, held.created_at, held.promoted_at, at)
            for held in self.held.values()
            if held.stage is None and promotions(held.labels) and held.id not in remembered
        }

    @property
    def retired(self) -> dict[str, SecretVersion]:
        """The retired versions that are remembered."""
        found = {
            id_: SecretVersion(self.name, id_, Stage.RETIRED, created, promoted, retired)
            for id_, created, promoted, retired in retired_times(self.tags)
            if id_ not in self.living
        }
        return found | self.unrecorded

    def versions(self) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first."""
        found = [held.as_version(self.name) for held in self.living.values()]
        found += self.retired.values()
        found.sort(key=lambda version: _NEWEST_FIRST.index(version.stage))
        return tuple(sorted(found, key=lambda version: version.created_at, reverse=True))

    def version(self, id_: str) -> Held:
        """Return a version that has a stage.

        Raises:
            VersionRetiredError: It was retired.
            VersionNotFoundError: There is none with that id.
        """
        if held := self.living.get(id_):
            return held
        if id_ in self.retired:
            raise VersionRetiredError(f"Version {id_} of '{self.name}' was retired.")
        raise VersionNotFoundError(f"'{self.name}' has no version {id_}.")

    def after_promotion(self, chosen: Held, label: str) -> Held:
        """Move the labels as AWS has just moved them, and return the version that is current now.

        Args:
            chosen: The version that was promoted.
            label: The label that says when.
        """
        for held in [*self.held.values()]:
            labels = held.labels - {PREVIOUS}
            if CURRENT in labels:
                labels = labels - {CURRENT} | {PREVIOUS}
            self.held[held.id] = replace(held, labels=labels)
        self.held[chosen.id] = chosen.with_labels(add=(CURRENT, label), remove=(PREVIOUS,))
        return self.held[chosen.id]

    def _is_empty(self, held: Held) -> bool:
        is_only_pending = held.stage is Stage.PENDING and not held.is_ours
        return is_only_pending and self.has_dates and held.foreign_created_at is None
