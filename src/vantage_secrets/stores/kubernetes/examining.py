"""What a person is told about a store: login, permissions, the object, its limits, and what cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.stores.contract import Examination, Health
from vantage_secrets.stores.kubernetes.bundle import (
    ANNOTATION_BYTES_MAX,
    DATA_BYTES_MAX,
    RETIRED_COUNT_MAX,
    Bundle,
    keys_of,
)
from vantage_secrets.stores.kubernetes.connection import Connection
from vantage_secrets.stores.kubernetes.others import FIELD_MANAGER, owners, writers

_FULL_SHARE: Final = 0.8
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def examine(connection: Connection, login: str, environment: str) -> Iterator[Examination]:
    """Yield what was found, from the connection inwards; ends where the rest depends on what is broken."""
    try:
        yield _transport(connection, login)
        yield _identity(connection)
        yield from _permissions(connection)
        document = connection.get(connection.deadline())
        bundle = Bundle(document, connection.place, environment)
        may_create = bundle.is_new and _may(connection, "create", "")
        yield from _contents(bundle, may_create=may_create)
    except VantageSecretsError as exc:
        yield Examination("reading the Secret", Health.BROKEN, exc.message, exc.hint)
        return
    yield Examination(
        "encryption at rest",
        Health.WARNING,
        "Whether the cluster encrypts Secrets in etcd cannot be seen through its API; by default it does not.",
        "kubectl -n kube-system get pods -l component=kube-apiserver -o yaml | grep encryption-provider-config",
    )


def _transport(connection: Connection, login: str) -> Examination:
    if connection.checks_certificates:
        return Examination("connection", Health.WORKS, f"{connection.host} through TLS, with {login}.")
    return Examination(
        "connection",
        Health.WARNING,
        f"The certificate of {connection.host} is not checked: whoever is in between reads every value.",
        "kubectl config set-cluster CLUSTER --certificate-authority=FILE --embed-certs",
    )


def _identity(connection: Connection) -> Examination:
    found = connection.review()
    if found is None:
        words = "The API server does not say as whom it sees this login."
        return Examination("login", Health.WARNING, words, "kubectl auth whoami")
    return Examination("login", Health.WORKS, f"The API server sees '{found['userInfo'].get('username')}'.")


def _permissions(connection: Connection) -> Iterator[Examination]:
    """Yield what this login may do, as the API server itself judges it; nothing is written."""
    place = connection.place
    role = f"kubectl create role {FIELD_MANAGER} --resource=secrets --resource-name={place.secret} -n {place.namespace}"
    needs = (
        ("get", "permission to read", "Values cannot be read."),
        ("update", "permission to write", "Nothing can be stored, promoted, retired or deleted; reading works."),
        ("watch", "permission to watch", "Changes are not told of; the client polls instead."),
    )
    for verb, part, without in needs:
        if _may(connection, verb, place.secret):
            yield Examination(part, Health.WORKS, f"'{verb}' is allowed on the {place}.")
        else:
            words = f"'{verb}' is refused on the {place}. {without}"
            yield Examination(part, Health.MISSING, words, f"{role} --verb={verb}")
    if _may(connection, "get", "", unsaid=False):
        yield Examination(
            "least privilege",
            Health.WARNING,
            f"This login may read every Secret in namespace '{place.namespace}', and needs one.",
            f"{role} --verb=get,update,watch",
        )


def _may(connection: Connection, verb: str, name: str, *, unsaid: bool = True) -> bool:
    """Return whether the API server would allow it; ``unsaid`` where it does not say."""
    attributes = {"namespace": connection.place.namespace, "verb": verb, "resource": "secrets", "name": name}
    found = connection.review({"resourceAttributes": attributes})
    return unsaid if found is None else found.get("allowed") is True


def _contents(bundle: Bundle, *, may_create: bool) -> Iterator[Examination]:
    place = bundle.place
    if bundle.is_new:
        makes = "the first secret that is stored makes it" if may_create else "this login may not make it"
        words = f"There is no {place} yet; {makes}."
        command = f"kubectl create secret generic {place.secret} -n {place.namespace}"
        yield Examination("the Secret", Health.MISSING, words, command)
        return
    yield Examination("listing names", Health.WORKS, f"{len(bundle.names())} secret(s) can be listed.")
    if bundle.is_immutable:
        words = f"The {place} is immutable: nothing can be stored, retired or deleted; reading works."
        yield Examination("the Secret", Health.BROKEN, words, "Use a Secret without 'immutable: true'.")
    if bundle.type != "Opaque":
        words = f"The {place} has type '{bundle.type}': something else may write its keys anew."
        yield Examination("the Secret's type", Health.WARNING, words, _new_one(bundle))
    for owner in (*owners(bundle.metadata), *_other_writers(bundle)):
        words = f"The {place} belongs to {owner}, which may undo what is stored, or remove the object."
        yield Examination("other owners", Health.WARNING, words, _new_one(bundle))
    if _LAST_APPLIED in bundle.annotations:
        yield Examination(
            "kubectl apply",
            Health.WARNING,
            f"The {place} was made with 'kubectl apply', which keeps a copy of what it applied in an annotation.",
            f"kubectl annotate secret {place.secret} -n {place.namespace} {_LAST_APPLIED}-",
        )
    yield _room("values", bundle.data_bytes(), DATA_BYTES_MAX)
    yield _room("annotations", bundle.annotation_bytes(), ANNOTATION_BYTES_MAX)
    words = (
        f"Current, previous and pending are kept; up to {RETIRED_COUNT_MAX} retired versions of each are remembered."
    )
    yield Examination("versions", Health.WORKS, words)


def _new_one(bundle: Bundle) -> str:
    return f"kubectl create secret generic {bundle.place.secret}-vantage -n {bundle.place.namespace}"


def _other_writers(bundle: Bundle) -> list[str]:
    """Return under which names others wrote values of ours."""
    ours = {key for name in bundle.names() for key in keys_of(name)}
    found = {writer for key in ours & bundle.data.keys() for writer in writers(bundle.metadata, key)}
    return [f"whoever writes as '{writer}'" for writer in sorted(found)]


def _room(part: str, used: int, most: int) -> Examination:
    words = f"{part} take {used:,} of {most:,} bytes."
    if used < _FULL_SHARE * most:
        return Examination(f"room for {part}", Health.WORKS, words.capitalize())
    return Examination(
        f"room for {part}", Health.WARNING, words.capitalize(), "Keep further secrets in another Secret."
    )
