"""Starts moto's server with what it gets wrong about AWS Secrets Manager put right, as AWS documents it.

``python -m tests.servers.moto_launcher PORT``. Each function here replaces one of moto 5.2.5; its docstring says what
moto does and which sentence of AWS's documentation it keeps in place of that. A moto that does it by itself lets the
function go.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.iam import access_control
from moto.secretsmanager import models, responses
from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    SecretNotFoundException,
)
from moto.server import main

_LOCK = threading.Lock()


def update_secret_version_stage(
    self: models.SecretsManagerBackend,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str | None,
    move_to_version_id: str | None,
) -> tuple[str, str]:
    """Move a label as AWS does.

    moto lets a label be on two versions, lets ``AWSCURRENT`` vanish, takes no lock, and leaves the version that
    ``GetSecretValue`` returns *without* a stage as it was: the plain reader would see an old value.
    API reference, ``UpdateSecretVersionStage``: "If the label is attached and you either do not specify this
    parameter, or the version ID does not match, then the operation fails."
    """
    with _LOCK:
        secret = _writable(self, secret_id)
        for id_ in (remove_from_version_id, move_to_version_id):
            if id_ and id_ not in secret.versions:
                raise InvalidParameterException(f"Not a valid version: {id_}")
        holder = next((id_ for id_, one in secret.versions.items() if version_stage in one["version_stages"]), None)
        if holder != (remove_from_version_id or None) and holder != move_to_version_id:
            raise InvalidParameterException(f"Staging label {version_stage} is attached to {holder}.")
        if version_stage == "AWSCURRENT" and not move_to_version_id:
            raise InvalidParameterException("AWSCURRENT can only be moved; it can't be completely removed.")
        if holder and holder != move_to_version_id:
            _take(secret, version_stage)
            if version_stage == "AWSCURRENT":
                _take(secret, "AWSPREVIOUS")
                secret.versions[holder]["version_stages"].append("AWSPREVIOUS")
        if move_to_version_id and holder != move_to_version_id:
            secret.versions[move_to_version_id]["version_stages"].append(version_stage)
        if version_stage == "AWSCURRENT":
            secret.set_default_version_id(move_to_version_id)
        return secret.arn, secret.name


def list_secret_version_ids(self: models.SecretsManagerBackend, secret_id: str) -> str:
    """List versions that have a value and a label, with the time of their creation.

    moto lists all of them, created just now. API reference, ``ListSecretVersionIds``: it "only returns versions
    that contain a secret value", and "by default, versions without staging labels aren't included".
    """
    secret = _writable(self, secret_id)
    versions = [
        {"VersionId": id_, "VersionStages": one["version_stages"], "CreatedDate": one["createdate"]}
        for id_, one in secret.versions.items()
        if one["version_stages"] and ("secret_string" in one or "secret_binary" in one)
    ]
    return json.dumps({"ARN": secret.arn, "Name": secret.name, "Versions": versions})


def form_version_ids_to_stages(self: models.FakeSecret) -> dict[str, list[str]]:
    """Tell of versions with labels alone.

    moto tells of all. API reference, ``DescribeSecret``: "every version ID that has a staging label attached".
    """
    return {id_: one["version_stages"] for id_, one in self.versions.items() if one["version_stages"]}


def rotate_secret(self: models.SecretsManagerBackend, secret_id: str, **parameters: Any) -> str:
    """Begin a rotation whose function never does anything: an empty version gets ``AWSPENDING``.

    moto invokes a real function, or, without one, makes an empty version current; AWS refuses a secret that has
    none. API reference, ``RotateSecret``: "the AWSPENDING staging label might be attached to an empty secret version".
    """
    secret = _writable(self, secret_id)
    if not parameters.get("rotation_lambda_arn"):
        raise InvalidRequestException("No Lambda rotation function ARN is associated with this secret.")
    secret.rotation_requested = secret.rotation_enabled = True
    secret.rotation_lambda_arn = parameters["rotation_lambda_arn"]
    id_ = parameters["client_request_token"]
    secret.versions[id_] = {"createdate": 1, "version_id": id_, "version_stages": ["AWSPENDING"]}
    return secret.to_short_dict()


def check_action_permitted(self: access_control.IAMRequestBase, resource: str) -> None:
    """Check a policy against the ARN of the secret that a request names.

    moto checks against ``*`` for this service, so that a policy for one secret permits nothing.
    """
    if self._service == "secretsmanager":
        asked = json.loads(self._body or b"{}")
        name = asked.get("SecretId") or asked.get("Name")
        resource = f"arn:aws:secretsmanager:{self._region}:{self.account_id}:secret:{name}-AbCdEf" if name else "*"
    _check_action_permitted(self, resource)


def match(pattern: str, value: str) -> re.Match[str] | None:
    """Match a policy's wildcards.

    moto takes ``?`` as a regular expression does. IAM user guide, ``Resource``: "an asterisk represents any
    combination of characters and a question mark represents any single character".
    """
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value)


def restore_secret(self: models.SecretsManagerBackend, secret_id: str) -> tuple[str, str]:
    """Restore, unless there is no such secret; moto's own, with the lock."""
    with _LOCK:
        return _restore_secret(self, secret_id)


def put_secret_value(self: models.SecretsManagerBackend, *args: Any, **kwargs: Any) -> str:
    """Write a version under the lock, and only into a secret that is not scheduled for deletion.

    moto writes into those too. API reference, ``PutSecretValue``: ``InvalidRequestException``, "the secret is
    scheduled for deletion".
    """
    with _LOCK:
        _writable(self, kwargs.get("secret_id") or args[0])
        return _put_secret_value(self, *args, **kwargs)


def batch_errors_of(self: responses.SecretsManagerResponse) -> str:
    """Answer a batch entry by entry, with whatever is wrong with one among the errors.

    moto fails the whole batch when one of its secrets has no value. API reference, ``BatchGetSecretValue``: errors
    with any of the secrets are in ``Errors``.
    """
    values, errors = [], []
    for secret_id in self._get_param("SecretIdList", if_none=[]):
        try:
            values.append(self.backend.get_secret_value(secret_id, "", ""))
        except JsonRESTError as exc:
            errors.append({"SecretId": secret_id, "ErrorCode": exc.error_type, "Message": exc.message})
    return json.dumps({"SecretValues": values, "Errors": errors})


def _writable(backend: models.SecretsManagerBackend, secret_id: str) -> Any:
    if secret_id not in backend.secrets:
        raise SecretNotFoundException
    secret = backend.secrets[secret_id]
    if secret.is_deleted():
        raise InvalidRequestException("You can't perform this operation: the secret is scheduled for deletion.")
    return secret


def _take(secret: Any, label: str) -> None:
    for one in secret.versions.values():
        if label in one["version_stages"]:
            one["version_stages"].remove(label)


_restore_secret = models.SecretsManagerBackend.restore_secret
_put_secret_value = models.SecretsManagerBackend.put_secret_value
_check_action_permitted = access_control.IAMRequestBase.check_action_permitted


def correct_moto() -> None:
    """Put the functions of this module in place of moto's."""
    backend = models.SecretsManagerBackend
    backend.update_secret_version_stage = update_secret_version_stage
    backend.list_secret_version_ids = list_secret_version_ids
    backend.rotate_secret = rotate_secret
    backend.restore_secret = restore_secret
    backend.put_secret_value = put_secret_value
    models.FakeSecret._form_version_ids_to_stages = form_version_ids_to_stages
    responses.SecretsManagerResponse.batch_get_secret_value = batch_errors_of
    access_control.IAMRequestBase.check_action_permitted = check_action_permitted
    access_control.IAMPolicyStatement._match = staticmethod(match)


if __name__ == "__main__":
    correct_moto()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
