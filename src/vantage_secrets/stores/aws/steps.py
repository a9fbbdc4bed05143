"""The single steps of a write: labels, tags, new versions, the nursery, and what an interrupted write left behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from vantage_secrets.clock import Clock
from vantage_secrets.errors import EnvironmentMismatchError, StoreBusyError, VersionConflictError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.aws.directory import Directory
from vantage_secrets.stores.aws.encoding import Encoded
from vantage_secrets.stores.aws.errors import RequestRefusedError
from vantage_secrets.stores.aws.marks import (
    CURRENT,
    ENVIRONMENT,
    NURSERY,
    PENDING,
    PREVIOUS,
    REPLACES,
    RETIRED,
    RETIRED_COUNT_MAX,
    SALT,
    is_ours,
    is_placeholder,
    placeholder_label,
    promotions,
    retired_tag,
    retired_times,
    version_id,
)
from vantage_secrets.stores.aws.record import Held, Record

_PLACEHOLDER_TEXT: Final = "This is a placeholder of vantage-secrets and no secret."
_DRAFT_LIFE: Final = timedelta(hours=1)
"""After this long a version that was written and never became pending is given up."""


class Steps:
    """What the writing verbs are made of; each step may be repeated.

    Args:
        directory: Finds secrets.
        environment: Whose secrets are written here.
        kms_key_id: Key for new secrets; ``None`` for AWS's own ``aws/secretsmanager``.
        clock: The present.

    Attributes:
        directory: As given.
        clock: As given.
    """

    def __init__(self, directory: Directory, environment: str, kms_key_id: str | None, clock: Clock) -> None:
        self.directory = directory
        self._service = directory.service
        self._environment = environment
        self._kms_key_id = kms_key_id
        self.clock = clock

    def check(self, record: Record, *, rotates: bool = False) -> None:
        """Return when ``record`` may be written by this store.

        Raises:
            EnvironmentMismatchError: It belongs to another environment.
            VersionConflictError: AWS rotates it, and ``rotates`` says that we are about to.
        """
        if record.environment not in (None, self._environment):
            raise EnvironmentMismatchError(
                f"'{record.secret_id}' belongs to '{record.environment}', not to '{self._environment}'.",
                hint="Use another prefix for each environment: aws://REGION/PREFIX.",
            )
        if rotates and record.is_rotated_by_aws:
            raise VersionConflictError(
                f"AWS rotates '{record.secret_id}' by itself; two that rotate one secret break each other's versions.",
                hint=f"Turn AWS's rotation off: aws secretsmanager cancel-rotate-secret --secret-id {record.secret_id}",
            )

    # labels and tags

    def attach(self, record: Record, label: str, version: str, *, take_from: str | None = None) -> bool:
        """Put ``label`` on ``version``; return whether it went so.

        Compare-and-set: AWS refuses when the label is on another version than ``take_from``, or on any where
        that is ``None``.
        """
        parameters = {"RemoveFromVersionId": take_from} if take_from else {}
        if not self._moved(record, label, MoveToVersionId=version, **parameters):
            return False
        if label in (PENDING, CURRENT):
            self.directory.recent.remember(record.secret_id, label, version)
        return True

    def detach(self, record: Record, held: Held, labels: Iterable[str]) -> None:
        """Take these labels off a version, those that are on it; one that somebody else took off is off."""
        for label in sorted(held.labels.intersection(labels)):
            self.directory.recent.forget(record.secret_id, label)
            self._moved(record, label, RemoveFromVersionId=held.id)

    def remember(self, record: Record, versions: Iterable[SecretVersion]) -> None:
        """Keep in tags what became of retired versions, and forget the oldest beyond the twenty newest."""
        tags = {
            RETIRED + version.id: retired_tag(version.created_at, version.promoted_at, version.retired_at)
            for version in versions
            if version.retired_at
        }
        if not tags:
            return
        self.tag(record.secret_id, tags)
        record.tags |= tags
        oldest_first = sorted(retired_times(record.tags), key=lambda times: times[3])
        if surplus := [RETIRED + id_ for id_, *_times in oldest_first[:-RETIRED_COUNT_MAX]]:
            self._service.call("untag_resource", SecretId=record.secret_id, TagKeys=surplus)

    def tag(self, secret_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags of a secret and leave its others alone."""
        self._service.call("tag_resource", SecretId=secret_id, Tags=_as_list(tags))

    def put(self, secret_id: str, version: str, encoded: Encoded, labels: Iterable[str]) -> frozenset[str]:
        """Write a version, and return the labels it has: not the ones given, where it was there before.

        Raises:
            VersionConflictError: That version was written with another value.
        """
        answer = self._service.call(
            "put_secret_value",
            SecretId=secret_id,
            ClientRequestToken=version,
            VersionStages=sorted(labels),
            **encoded.parameters,
        )
        return frozenset(answer.get("VersionStages") or ())

    # making a secret

    def adopt(self, record: Record) -> None:
        """Make a secret that another program created ours: it gets the tags that it lacks."""
        if missing := {key: value for key, value in self._new_tags().items() if key not in record.tags}:
            self.tag(record.secret_id, missing)
            record.tags |= missing

    def make_nursery(self, name: SecretName) -> Record:
        """Make a place for a first pending version, and return it.

        In order: a secret without a value, then a placeholder, which AWS makes its current version.

        Raises:
            StoreBusyError: AWS is still deleting a secret of that name.
        """
        nursery_id = self.directory.nursery_id(name)
        record = self.directory.record(name, nursery_id)
        if record is None or record.is_deleted:
            tags = self._new_tags()
            if self._create(nursery_id, tags):
                record = Record(name, nursery_id, {"Tags": _as_list(tags)})
            else:
                record = self.directory.record(name, nursery_id)
        if record is None:
            raise _still_deleting(nursery_id)
        self.adopt(record)
        if record.tags.pop(REPLACES, None):  # The secret that was to be brought back is gone for good.
            self._service.call("untag_resource", SecretId=nursery_id, TagKeys=[REPLACES])
        self._put_placeholder(record)
        return record

    def begin_again(self, record: Record) -> Record:
        """Bring back a secret that is scheduled for deletion, with a placeholder in place of what it held.

        In order: the nursery, without a value, notes that this is under way; the secret is restored; then
        :meth:`forget_what_it_held`.
        """
        note = {REPLACES: record.holder(CURRENT) or "nothing"}
        nursery_id = self.directory.nursery_id(record.name)
        if not self._create(nursery_id, self._new_tags() | note):
            self.tag(nursery_id, note)
        self._service.call("restore_secret", SecretId=record.secret_id)
        return self.forget_what_it_held(self.directory.record(record.name, record.secret_id) or record)

    def forget_what_it_held(self, record: Record) -> Record:
        """Begin a restored secret anew, and return it.

        In order: new tags; a placeholder as current, which makes what was current previous; the labels of all
        that it held go; and the nursery, which noted that this was to be done.
        """
        if stale := [key for key in record.tags if key.startswith(RETIRED)]:
            self._service.call("untag_resource", SecretId=record.secret_id, TagKeys=stale)
        record.tags = {key: value for key, value in record.tags.items() if key not in stale} | self._new_tags()
        self.tag(record.secret_id, record.tags)
        before, record.held = [*record.held.values()], {}
        self._put_placeholder(record)
        for held in before:
            moved = held.with_labels(add=[PREVIOUS], remove=[CURRENT]) if CURRENT in held.labels else held
            self.detach(record, moved, moved.labels)
        self.remove(self.directory.nursery_id(record.name))
        return record

    def is_beginning_again(self, record: Record) -> bool:
        """Whether :meth:`begin_again` was interrupted after it restored this secret."""
        nursery = self.directory.record(record.name, self.directory.nursery_id(record.name))
        return nursery is not None and not nursery.is_deleted and REPLACES in nursery.tags

    def found(self, nursery: Record) -> Record:
        """Make the secret that ``nursery`` is the nursery of, still without a value, and return it."""
        secret_id = self.directory.secret_id(nursery.name)
        tags = {**nursery.tags, NURSERY: "yes"}
        if not self._create(secret_id, tags):
            self.tag(secret_id, tags)
        return Record(nursery.name, secret_id, {"Tags": _as_list(tags)})

    def remove(self, secret_id: str, recovery_window: int = 0) -> None:
        """Delete a secret; 0 days for at once. Says nothing when it was gone."""
        how = {"RecoveryWindowInDays": recovery_window} if recovery_window else {"ForceDeleteWithoutRecovery": True}
        self.directory.recent.forget(secret_id)
        self._service.find("delete_secret", SecretId=secret_id, **how)

    # what an interrupted write left

    def tidy(self, record: Record) -> None:
        """Finish what a promotion leaves to do; nothing when there is nothing.

        In order: versions that lost their stage are remembered in tags, then lose our labels, so that AWS may
        purge them; ``AWSPENDING`` and old times go from the versions that were promoted; the nursery goes.
        """
        self.remember(record, record.unrecorded.values())
        remembered = {id_ for id_, *_times in retired_times(record.tags)}
        for held in [*record.held.values()]:
            if surplus := self._surplus(held, remembered):
                self.detach(record, held, surplus)
                record.held[held.id] = held.with_labels(remove=surplus)
        if record.may_have_nursery:
            self.remove(self.directory.nursery_id(record.name))
            self._service.call("untag_resource", SecretId=record.secret_id, TagKeys=[NURSERY])

    def _surplus(self, held: Held, remembered: set[str]) -> set[str]:
        if is_placeholder(held.labels):
            return set() if CURRENT in held.labels else {*held.labels}
        times = sorted(promotions(held.labels).items(), key=lambda item: item[1])
        if held.stage in (Stage.CURRENT, Stage.PREVIOUS):
            return {label for label, _at in times[:-1]} | (held.labels & {PENDING})
        is_given_up = held.stage is None and not times and self.clock() - held.created_at > _DRAFT_LIFE
        if held.stage is None and (held.id in remembered or is_given_up):
            return {label for label in held.labels if is_ours(label)}
        return set()

    def _create(self, secret_id: str, tags: Mapping[str, str]) -> bool:
        """Make a secret without a value; return false when there is one of that name."""
        key = {"KmsKeyId": self._kms_key_id} if self._kms_key_id else {}
        for _ in self.directory.recent.tries():
            try:
                self._service.call("create_secret", Name=secret_id, Tags=_as_list(tags), **key)
                return True
            except VersionConflictError:
                return False
            except RequestRefusedError:
                continue  # A forced deletion is carried out in the background and holds the name a while.
        raise _still_deleting(secret_id)

    def _put_placeholder(self, record: Record) -> None:
        # The id follows from the salt: two that do this at once write one placeholder.
        version = version_id(record.salt, "placeholder", "")
        labels = frozenset({CURRENT, placeholder_label(version)})
        self.put(record.secret_id, version, Encoded("text", {"SecretString": _PLACEHOLDER_TEXT}), labels)
        record.held[version] = Held(version, labels)

    def _new_tags(self) -> dict[str, str]:
        return {ENVIRONMENT: self._environment, SALT: secrets.token_hex(16)}

    def _moved(self, record: Record, label: str, **versions: str) -> bool:
        try:
            self._service.call("update_secret_version_stage", SecretId=record.secret_id, VersionStage=label, **versions)
        except RequestRefusedError:
            return False
        return True


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _still_deleting(secret_id: str) -> StoreBusyError:
    return StoreBusyError(
        f"AWS is still deleting the secret that was called '{secret_id}'.", hint="Try again in a minute."
    )
