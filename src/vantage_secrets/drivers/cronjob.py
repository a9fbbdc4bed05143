"""A Kubernetes CronJob that rotates what is due, written as the objects that ``kubectl apply`` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vantage_secrets.bootstrap import STATE_FOLDER
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.manifest import FILE_NAME, Manifest

_STATE: Final = "/var/lib/vantage-secrets"
"""Where the manifest is in the pod; beside it the volume, where what ``init`` writes by relative paths is kept."""
_PASSWORDS: Final = "/run/vantage-secrets"
_PGPASS_KEY: Final = "pgpass"
_USER: Final = 65_532
"""The user and group that the pod runs as: what distroless images call nonroot; no such user need exist."""
_DEADLINE_SECONDS: Final = 900
"""How long one run may take; one that is ended so is repaired by the next."""

_COPY_PGPASS: Final = (
    "import os, shutil; os.umask(0o077); "
    f"shutil.copyfile('{_PASSWORDS}-given/{_PGPASS_KEY}', '{_PASSWORDS}/{_PGPASS_KEY}')"
)

Object = dict[str, Any]


class CronJobSettings(NamedTuple):
    """What the manifest does not say.

    Attributes:
        image: Image with this program on its path.
        name: What the objects are called.
        namespace: Where they go.
        schedule: How often to look what is due, as cron writes it.
        annotations: Of the service account, such as the cloud role that it stands for.
        pgpass_secret: Secret whose key ``pgpass`` is a PostgreSQL password file; ``None`` for none.
    """

    image: str
    name: str = "vantage-secrets"
    namespace: str = "default"
    schedule: str = "*/15 * * * *"
    annotations: Mapping[str, str] = {}
    pgpass_secret: str | None = None


def objects_of(manifest: Manifest, settings: CronJobSettings) -> list[Object]:
    """Return the objects in the order in which they are to be made; none of them holds a value.

    Raises:
        InvalidInputError: The store is a file on this machine.
    """
    if manifest.store.url.startswith("embedded:"):
        raise InvalidInputError(
            "The embedded store is a file on one machine; a pod cannot reach it.",
            hint="Copy it to a store that the cluster reaches: vantage-secrets copy",
        )
    made = [_object("v1", "ConfigMap", settings, data={FILE_NAME: manifest.path.read_text(encoding="utf-8")})]
    account = _object("v1", "ServiceAccount", settings, automountServiceAccountToken=False)
    if settings.annotations:
        account["metadata"]["annotations"] = dict(settings.annotations)
    return [*made, account, *_permissions(manifest, settings), _volume_claim(settings), _cronjob(manifest, settings)]


def _object(version: str, kind: str, settings: CronJobSettings, **content: Any) -> Object:
    metadata = {
        "name": settings.name,
        "namespace": settings.namespace,
        "labels": {"app.kubernetes.io/name": "vantage-secrets"},
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _permissions(manifest: Manifest, settings: CronJobSettings) -> Iterator[Object]:
    """Yield what the pod may do in the cluster: change the store's own object, where it is one; else nothing."""
    if not manifest.store.url.startswith("kubernetes:"):
        return
    from vantage_secrets.stores.kubernetes.place import place_in
    from vantage_secrets.stores.registry import split_options

    place = place_in(split_options(manifest.store.url)[0])
    in_place = settings._replace(namespace=place.namespace)
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [place.secret], "verbs": ["get", "update"]}
    yield _object("rbac.authorization.k8s.io/v1", "Role", in_place, rules=[rule])
    yield _object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        in_place,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": settings.name},
        subjects=[{"kind": "ServiceAccount", "name": settings.name, "namespace": settings.namespace}],
    )


def _volume_claim(settings: CronJobSettings) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return _object("v1", "PersistentVolumeClaim", settings, spec=spec)


def _cronjob(manifest: Manifest, settings: CronJobSettings) -> Object:
    job = {
        "backoffLimit": 0,  # the next run goes on from wherever this one stopped
        "activeDeadlineSeconds": _DEADLINE_SECONDS,
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "vantage-secrets"}},
            "spec": _pod(manifest, settings),
        },
    }
    spec = {
        "schedule": settings.schedule,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,  # after a long outage Kubernetes gives up a CronJob that has none
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }
    return _object("batch/v1", "CronJob", settings, spec=spec)


def _pod(manifest: Manifest, settings: CronJobSettings) -> Object:
    needs_token = manifest.store.url.startswith(("kubernetes:", "vault:"))
    environment = {"VANTAGE_SECRETS_MANIFEST": f"{_STATE}/{FILE_NAME}", "HOME": "/tmp"}  # noqa: S108 - in the pod
    mounts: list[Object] = [
        {"name": "state", "mountPath": f"{_STATE}/{STATE_FOLDER}"},
        {"name": "manifest", "mountPath": f"{_STATE}/{FILE_NAME}", "subPath": FILE_NAME, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
    ]
    volumes: list[Object] = [
        {"name": "state", "persistentVolumeClaim": {"claimName": settings.name}},
        {"name": "manifest", "configMap": {"name": settings.name}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    pod: Object = {
        "serviceAccountName": settings.name,
        "automountServiceAccountToken": needs_token,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            # Else each run would open the control database's file to the group, and it would be refused.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if settings.pgpass_secret:
        environment["PGPASSFILE"] = f"{_PASSWORDS}/{_PGPASS_KEY}"
        passwords = {"name": "passwords", "mountPath": _PASSWORDS}
        given = {"name": "passwords-given", "mountPath": f"{_PASSWORDS}-given", "readOnly": True}
        volumes += [
            {"name": "passwords", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "passwords-given", "secret": {"secretName": settings.pgpass_secret}},
        ]
        # PostgreSQL's client passes over a password file that the group may read, and a mounted Secret is one.
        pod["initContainers"] = [_container("pgpass", settings, ["python3", "-c", _COPY_PGPASS], [passwords, given])]
        mounts.append(passwords)
    rotate = _container("rotate", settings, ["vantage-secrets", "rotate", "--due"], mounts)
    rotate["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    return pod | {"containers": [rotate], "volumes": volumes}


def _container(name: str, settings: CronJobSettings, command: Sequence[str], mounts: Sequence[Object]) -> Object:
    return {
        "name": name,
        "image": settings.image,
        "command": [*command],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts],
    }


_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9./-]*", re.ASCII)
_BLOCK = re.compile(r"(?! )[ -~]+\n(?:[ -~]*\n)*(?<!\n\n)", re.ASCII)
_WORDS_WITH_MEANING: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def as_yaml(objects: Sequence[Object]) -> str:
    """Return the objects as YAML documents, in the order of their keys."""
    return "".join(f"---\n{chr(10).join(_lines(each))}\n" for each in objects)


def _lines(value: Any) -> list[str]:
    """Return a mapping or a list as the lines of a block; a scalar as one line, a text of several as its block."""
    if isinstance(value, dict) and value:
        return [line for key, content in value.items() for line in _entry(f"{_word(key)}:", content)]
    if isinstance(value, list) and value:
        return [line for content in value for line in _item(content)]
    return _scalar(value).split("\n")


def _entry(key: str, content: Any) -> list[str]:
    lines = _lines(content)
    if isinstance(content, dict | list) and content:
        return [key, *_indented(lines)]
    return [f"{key} {lines[0]}", *_indented(lines[1:])]


def _item(content: Any) -> list[str]:
    first, *rest = _lines(content)
    return [f"- {first}", *_indented(rest)]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]


def _scalar(value: Any) -> str:
    """Return a scalar; a text of several lines that allows it is a literal block."""
    if isinstance(value, str) and _BLOCK.fullmatch(value):
        return "|\n" + value.removesuffix("\n")
    return _word(value)


def _word(value: Any) -> str:
    """Return a scalar on one line; JSON's are YAML's too."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_WITH_MEANING:
        return value
    return json.dumps(value, ensure_ascii=not value.replace("\n", "").isprintable())
