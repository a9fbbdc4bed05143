"""A rotation that AWS has begun: AWS has named the version, and calls a function four times to bring it in."""

from __future__ import annotations

from vantage_secrets.errors import RotationError, VersionConflictError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.aws.encoding import encode
from vantage_secrets.stores.aws.marks import CURRENT, PENDING, created_label
from vantage_secrets.stores.aws.promoting import promote_next
from vantage_secrets.stores.aws.record import Held, Record
from vantage_secrets.stores.aws.steps import Steps


class AwsRotation:
    """What the function of AWS's own rotation may write: that one version, and nothing else.

    Its version is kept as every other one, with our labels. Made by
    :meth:`~vantage_secrets.stores.aws.store.AwsStore.rotation_by_aws`.

    Args:
        steps: What writes are made of.
        secret_id: Name or ARN of AWS's secret, as the event has it.
        token: The id of the version, the event's ``ClientRequestToken``.
        rotation_token: The event's ``RotationToken``, by which AWS knows a function of another account.

    Attributes:
        name: Our name of the secret.
        is_done: Whether the version is current already.

    Raises:
        RotationError: AWS is not rotating this secret to that version, or it is not in this store.
        SecretNotFoundError: There is no such secret.
        EnvironmentMismatchError: It belongs to another environment.
    """

    def __init__(self, steps: Steps, secret_id: str, token: str, rotation_token: str = "") -> None:
        self._steps = steps
        self._token = token
        self._rotation_token = rotation_token
        self.name = self._name_of(secret_id)
        record = self._record()
        steps.check(record)
        labels = record.held[token].labels if token in record.held else frozenset()
        self.is_done = CURRENT in labels
        if not record.is_rotated_by_aws:
            raise RotationError(
                f"AWS does not rotate '{record.secret_id}'.",
                hint="'aws secretsmanager rotate-secret' turns it on; 'vantage-secrets rotate' works without it.",
            )
        if not self.is_done and PENDING not in labels:
            raise RotationError(
                f"AWS is not rotating '{record.secret_id}' to version {token}.",
                hint="Leave it to AWS to call the function; 'aws secretsmanager rotate-secret' begins anew.",
            )

    def stage(self, value: SecretValue) -> SecretVersion:
        """Give the pending version its value; one that it has already stays. Safe to repeat.

        Raises:
            InvalidSecretValueError: The value is larger than AWS takes.
            StoreError: AWS did not do it.
        """
        record = self._record()
        if held := record.living.get(self._token):
            return held.as_version(self.name)
        self._steps.adopt(record)
        encoded = encode(value)
        label = created_label(self._token, self._steps.clock(), encoded.shape)
        rotation_token = {"RotationToken": self._rotation_token} if self._rotation_token else {}
        try:
            answer = self._steps.directory.service.call(
                "put_secret_value",
                SecretId=record.secret_id,
                ClientRequestToken=self._token,
                VersionStages=[PENDING, label],
                **encoded.parameters,
                **rotation_token,
            )
        except VersionConflictError:  # The same step ran twice at once, and the other was first.
            return self._record().version(self._token).as_version(self.name)
        self._steps.directory.recent.remember(record.secret_id, PENDING, self._token)
        return Held(self._token, frozenset(answer.get("VersionStages") or (PENDING, label))).as_version(self.name)

    def promote(self) -> SecretVersion:
        """Make the version current, as :meth:`AwsStore.promote` does. Safe to repeat.

        Raises:
            VersionNotFoundError: It has no value yet.
            VersionConflictError: Another writer was first.
            StoreError: AWS did not do it.
        """
        record = self._record()
        held = record.version(self._token)
        if held.stage is Stage.CURRENT:
            self._steps.tidy(record)
            return held.as_version(self.name)
        return promote_next(self._steps, record, held)

    def _record(self) -> Record:
        return self._steps.directory.existing(self.name)

    def _name_of(self, secret_id: str) -> SecretName:
        """Ask AWS for the name: an ARN ends in six characters that no rule tells from a part of the name."""
        directory = self._steps.directory
        found: str = directory.service.call("describe_secret", SecretId=secret_id)["Name"]
        name = directory.name_of(found)
        if name is None or directory.secret_id(name) != found:
            raise RotationError(
                f"'{found}' is no secret of the manifest's store.",
                hint="Give the function the manifest whose [store] url has that secret below its prefix.",
            )
        return name
