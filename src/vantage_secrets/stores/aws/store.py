"""The AWS store: the verbs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreBusyError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.aws.directory import Directory
from vantage_secrets.stores.aws.encoding import encode
from vantage_secrets.stores.aws.errors import from_code
from vantage_secrets.stores.aws.examining import Login, examine
from vantage_secrets.stores.aws.marks import version_id
from vantage_secrets.stores.aws.promoting import other_current, promote_first, promote_next
from vantage_secrets.stores.aws.recency import RecentWrites
from vantage_secrets.stores.aws.record import LABEL_OF
from vantage_secrets.stores.aws.rotation import AwsRotation
from vantage_secrets.stores.aws.service import Service
from vantage_secrets.stores.aws.staging import home_to_write, pending_exists, sent_before, stage_new
from vantage_secrets.stores.aws.steps import Steps
from vantage_secrets.stores.contract import Capability, Examination, Store

BATCH_COUNT: Final = 20
"""Secrets in one ``BatchGetSecretValue``, the most that AWS takes."""


class AwsStore(Store):
    """Secrets in AWS Secrets Manager, one secret of AWS's each; staging labels are the stages.

    Promotion is one call, ``UpdateSecretVersionStage``, which AWS carries out only where it finds the version that
    was expected. AWS destroys no single version: a retired one loses its labels, and this store never reads it
    again; see the store's page.

    Made by :func:`~vantage_secrets.stores.aws.open_aws`.

    Args:
        service: Makes the calls.
        url: ``aws://REGION/PREFIX``.
        prefix: What stands before the names at AWS, with its slash; may be empty.
        environment: Which environment's secrets are listed and written here.
        login: What is known about the credentials, for :meth:`examine`.
        kms_key_id: Key for new secrets; ``None`` for AWS's own.
        recovery_window: How many days a deleted secret can be brought back, 7 to 30, or 0 for not at all.
        clock: Tells the time that versions bear.
        recent: What was written here a moment ago.
    """

    scheme = "aws"
    capabilities = frozenset(Capability) - {Capability.WATCH, Capability.PACKED_SECRETS}

    def __init__(
        self,
        service: Service,
        *,
        url: str,
        prefix: str,
        environment: str,
        login: Login,
        kms_key_id: str | None = None,
        recovery_window: int = 30,
        clock: Clock = utc_now,
        recent: RecentWrites | None = None,
    ) -> None:
        self.url = url
        self.environment = environment
        self._service = service
        self._login = login
        self._recovery_window = recovery_window
        self._clock = clock
        self._directory = Directory(service, prefix, recent or RecentWrites())
        self._steps = Steps(self._directory, environment, kms_key_id, clock)

    def __repr__(self) -> str:
        return f"AwsStore({self.url!r})"

    # reading

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`. One call; with ``version``, two."""
        self.refuse_packed(name)
        if version is not None:
            return self._read_version(name, version)
        if stage is Stage.RETIRED:
            self._directory.existing(name)
            raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
        answer = self._directory.answer(self._directory.secret_id(name), LABEL_OF[stage])
        return self._read_home(name, stage) if answer is None else self._directory.reading(name, answer, stage)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first, the twenty newest retired ones too; see :meth:`Store.describe`."""
        self.refuse_packed(name)
        return self._directory.existing(name).versions()

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order; see :meth:`Store.list`.

        What another program keeps below our prefix is left out, and so is another environment's. AWS may leave
        out what was created less than five minutes ago (API reference, ``ListSecrets``).
        """
        yield from self._directory.names(prefix, self.environment)

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield the current values, twenty secrets a call; see :meth:`Store.read_many`."""
        wanted = iter(dict.fromkeys(names))
        while batch := [*itertools.islice(wanted, BATCH_COUNT)]:
            for name in batch:
                self.refuse_packed(name)
            names_of = {self._directory.secret_id(name): name for name in batch}
            for page in self._service.pages("batch_get_secret_value", SecretIdList=[*names_of]):
                for error in page.get("Errors") or ():
                    self._note(names_of, error)
                for answer in page.get("SecretValues") or ():
                    try:
                        yield self._directory.reading(names_of[answer["Name"]], answer, Stage.CURRENT)
                    except VersionNotFoundError:
                        continue

    # writing

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; see :meth:`Store.stage`.

        In order: a secret that is new gets its nursery; the version is written, with its times as labels and no
        stage; then ``AWSPENDING`` is put on it, which AWS refuses while another version has it.

        Raises:
            InvalidInputError: The token is empty or longer than 64 characters.
            InvalidSecretValueError: The value is larger than AWS takes.
            VersionConflictError: AWS rotates this secret by itself.
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        self.refuse_token(token)
        encoded = encode(value)
        record = home_to_write(self._steps, name)
        id_ = version_id(record.salt, str(name), token)
        if sent := sent_before(self._steps, record, id_, value, encoded):
            return sent
        self._steps.tidy(record)
        if pending := record.in_stage(Stage.PENDING):
            raise pending_exists(name, pending.id)
        return stage_new(self._steps, record, id_, encoded, created_at)

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set which version is current; see :meth:`Store.promote`.

        In order: a label says when; ``AWSCURRENT`` moves, and ``AWSPREVIOUS`` with it, in one call, which is the
        promotion; then what it left is tidied. A first version is copied from the nursery into the secret's own
        place, where AWS makes it current because it is the first.

        Raises:
            VersionConflictError: AWS rotates this secret by itself.
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        record = self._directory.existing(name)
        self._steps.check(record, rotates=True)
        held, current = record.version(version), record.in_stage(Stage.CURRENT)
        if held.stage is Stage.CURRENT:
            self._steps.tidy(record)
            return held.as_version(name)
        found = current.id if current else None
        if found != expect_current:
            raise other_current(name, found, expect_current)
        self._steps.adopt(record)
        if record.secret_id != self._directory.secret_id(name):
            return promote_first(self._steps, record, held)
        return promote_next(self._steps, record, held)

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Take a version's labels away; see :meth:`Store.retire`.

        In order: a tag remembers it; its stage's label goes, which is the retirement; its other labels go.

        SECURITY: AWS keeps a version without labels until it purges it, and gives it to whoever may ask for it by
        its id; a resource policy can forbid that to all. What ends a credential is its revocation at the target.

        Raises:
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        record = self._directory.existing(name)
        self._steps.check(record)
        if retired := record.retired.get(version):
            self._steps.tidy(record)
            return retired
        held = record.version(version)
        if held.stage is Stage.CURRENT:
            raise VersionConflictError(
                f"Version {version} of '{name}' is current.",
                hint="Promote another version first, or delete the secret.",
            )
        promoted_at = None if held.stage is Stage.PENDING else held.promoted_at
        gone = SecretVersion(name, version, Stage.RETIRED, held.created_at, promoted_at, self._clock())
        self._steps.remember(record, [gone])
        self._steps.detach(record, held, LABEL_OF.values())
        self._steps.detach(record, held, held.labels.difference(LABEL_OF.values()))
        return gone

    def delete(self, name: SecretName) -> bool:
        """Delete the secret, with AWS's recovery window, and its nursery at once; see :meth:`Store.delete`.

        Raises:
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        ids = (self._directory.nursery_id(name), self._directory.secret_id(name))
        found = [record for id_ in ids if (record := self._directory.record(name, id_)) and not record.is_deleted]
        for record in found:
            self._steps.check(record)
        for record in found:
            is_nursery = record.secret_id == ids[0]
            self._steps.remove(record.secret_id, 0 if is_nursery else self._recovery_window)
        return bool(found)

    def rotation_by_aws(self, secret_id: str, token: str, rotation_token: str = "") -> AwsRotation:
        """Return what the function of AWS's own rotation may write.

        Arguments and errors are those of :class:`~vantage_secrets.stores.aws.rotation.AwsRotation`.
        """
        return AwsRotation(self._steps, secret_id, token, rotation_token)

    def examine(self) -> Iterator[Examination]:
        """Yield how login, TLS, listing, permissions, AWS's own rotation and the key stand."""
        yield from examine(self._service, self._directory, self._login, self.environment)

    def close(self) -> None:
        """Close the connections; see :meth:`Store.close`."""
        self._service.close()

    # parts of reading

    def _read_home(self, name: SecretName, stage: Stage) -> SecretReading:
        """Read where the secret's own place has nothing for the stage: from its nursery, or say what is missing."""
        record = self._directory.existing(name)
        held = record.in_stage(stage)
        reading = self._directory.held_reading(record, held) if held else None
        if reading is None:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        return reading

    def _read_version(self, name: SecretName, version: str) -> SecretReading:
        for _ in self._directory.recent.tries():
            record = self._directory.existing(name)
            if reading := self._directory.held_reading(record, record.version(version)):
                return reading
        raise StoreBusyError(f"The labels of '{name}' move faster than they can be read.")

    def _note(self, names_of: dict[str, SecretName], error: dict[str, str]) -> None:
        """Raise what an entry of a batch's errors means, unless it means absence."""
        name = names_of.get(error.get("SecretId", ""))
        code = error.get("ErrorCode", "")
        if code == "InvalidRequestException":  # Scheduled for deletion.
            return
        found = from_code(code, "GetSecretValue")
        if not isinstance(found, SecretNotFoundError):
            raise type(found)(f"'{name}': {found.message}", hint=found.hint)
