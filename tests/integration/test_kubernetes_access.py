"""Who may do what in the Kubernetes store: Roles by name, logins that expire, throttling, and what cannot be opened."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from kubernetes import client
from kubernetes.config import incluster_config

from tests.canary import canary
from tests.servers.kube import KubeServer
from vantage_secrets.errors import (
    InvalidInputError,
    InvalidURLError,
    MissingExtraError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    VantageSecretsError,
)
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.contract import Health, Store
from vantage_secrets.stores.kubernetes import KubernetesStore, open_kubernetes
from vantage_secrets.stores.kubernetes.connection import Connection
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing.store_steps import make_current, words

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")

NAME = SecretName("vantage/api-key")
PAGE = Path(__file__).parents[2] / "docs" / "stores" / "kubernetes.md"


def documented_role(which: str) -> str:
    """Return the Role that the documentation tells to use."""
    found = re.search(rf"<!-- role: {which} -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.fixture
def login_as(kube: KubeServer, kube_place: Place, tmp_path: Path) -> Callable[[str], Path]:
    """Make a service account with a documented Role, and a kubeconfig with its token."""

    def login(which: str) -> Path:
        token = kube.service_account(kube_place.namespace, which, documented_role(which))
        return kube.login(tmp_path / which, token=token)

    return login


# permissions


def test_the_documented_role_of_a_writer_is_enough_and_opens_no_other_secret(
    kube: KubeServer, kube_place: Place, kube_vendor: client.CoreV1Api, login_as: Callable[[str], Path]
) -> None:
    for name in (kube_place.secret, "other"):
        kube_vendor.create_namespaced_secret(kube_place.namespace, {"metadata": {"name": name}})
    login, value = login_as("writer"), canary()
    with kube.open(kube_place, login) as store:
        make_current(store, NAME, canary())
        second = make_current(store, NAME, value)
        store.watch(lambda _name: None)()
        store.retire(NAME, store.describe(NAME)[1].id)
        assert store.read(NAME).version.id == second.id
        assert [one for one in store.examine() if one.health in (Health.BROKEN, Health.MISSING)] == []
        assert "least privilege" not in {one.part for one in store.examine()}
        assert store.delete(NAME) is True
    with kube.open(Place(kube_place.namespace, "other"), login) as other:
        for call in (
            lambda: other.read(NAME),
            lambda: other.stage(NAME, SecretValue(canary()), "token"),
            lambda: other.watch(lambda _name: None),
        ):
            with pytest.raises(StoreAccessDeniedError, match="refuses 'get' on the Secret 'other'"):
                call()


def test_the_documented_role_of_a_reader_reads_and_watches_and_every_write_is_refused(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, login_as: Callable[[str], Path]
) -> None:
    value = canary()
    make_current(kube_store, NAME, canary())
    make_current(kube_store, NAME, value)
    current, previous = (version.id for version in kube_store.describe(NAME))
    with kube.open(kube_place, login_as("reader")) as store:
        assert store.read(NAME).value.matches(value)
        store.watch(lambda _name: None)()
        for call in (
            lambda: store.stage(NAME, SecretValue(canary()), "token"),
            lambda: store.promote(NAME, previous, expect_current=current),
            lambda: store.retire(NAME, previous),
            lambda: store.delete(NAME),
        ):
            with pytest.raises(StoreAccessDeniedError, match="refuses 'update' on the Secret 'vantage'"):
                call()
        missing = [one for one in store.examine() if one.health is Health.MISSING]
    assert [one.part for one in missing] == ["permission to write"]
    assert missing[0].next_action.startswith("kubectl create role vantage-secrets")


def test_an_object_that_is_missing_and_may_not_be_made_is_told_with_the_command_that_makes_it(
    kube: KubeServer, kube_place: Place, login_as: Callable[[str], Path]
) -> None:
    with kube.open(kube_place, login_as("writer")) as store:
        with pytest.raises(StoreAccessDeniedError, match="does not let this login create one") as caught:
            store.stage(NAME, SecretValue(canary()), "token")
        command = f"kubectl create secret generic vantage -n {kube_place.namespace}"
        assert command in caught.value.hint
        assert command in [one.next_action for one in store.examine() if one.part == "the Secret"]


def test_without_permission_to_watch_the_watch_is_refused_at_once_and_reading_works(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, tmp_path: Path
) -> None:
    make_current(kube_store, NAME, canary())
    role = documented_role("reader").replace("[get, watch]", "[get]")
    login = kube.login(tmp_path / "login", token=kube.service_account(kube_place.namespace, "poller", role))
    with kube.open(kube_place, login) as store:
        store.read(NAME)
        with pytest.raises(StoreAccessDeniedError, match="refuses 'watch'"):
            store.watch(lambda _name: None)
        assert "permission to watch" in [one.part for one in store.examine() if one.health is Health.MISSING]


def test_examining_warns_of_a_login_that_may_read_every_secret_and_of_what_cannot_be_seen(
    kube_store: KubernetesStore,
) -> None:
    make_current(kube_store, NAME, canary())
    warned = {one.part: one for one in kube_store.examine() if one.health is Health.WARNING}
    assert sorted(warned) == ["encryption at rest", "least privilege"]
    assert "cannot be seen" in warned["encryption at rest"].words
    assert all(one.next_action for one in warned.values())


@pytest.mark.parametrize(
    ("body", "part", "word"),
    [
        ({"type": "kubernetes.io/basic-auth", "stringData": {"username": "u"}}, "the Secret's type", "basic-auth"),
        (
            {"metadata": {"annotations": {"reconcile.external-secrets.io/data-hash": "x"}}},
            "other owners",
            "External Secrets",
        ),
        (
            {"metadata": {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}},
            "other owners",
            "Sealed Secrets",
        ),
        ({"metadata": {"labels": {"argocd.argoproj.io/instance": "x"}}}, "other owners", "Argo CD"),
        (
            {
                "metadata": {
                    "ownerReferences": [
                        {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "x", "uid": "1"}
                    ]
                }
            },
            "other owners",
            "Sealed Secrets",
        ),
        (
            {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}},
            "kubectl apply",
            "copy",
        ),
    ],
)
def test_examining_warns_of_an_object_that_somebody_else_writes(
    kube_store: KubernetesStore,
    kube_vendor: client.CoreV1Api,
    kube_place: Place,
    body: dict[str, Any],
    part: str,
    word: str,
) -> None:
    metadata = {"name": kube_place.secret, **body.get("metadata", {})}
    kube_vendor.create_namespaced_secret(kube_place.namespace, {**body, "metadata": metadata})
    found = [one for one in kube_store.examine() if one.part == part]
    assert [one.health for one in found] == [Health.WARNING]
    assert word in found[0].words
    assert found[0].next_action.startswith("kubectl ")


# logins


def signed_token(kube: KubeServer, namespace: str, account: dict[str, str], *, lifetime: int) -> str:
    """Return a service account's token as the API server signs it (RFC 7519, ES256), with any lifetime, seconds."""
    key = serialization.load_pem_private_key((kube.kubeconfig.parent / "sa.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = int(time.time())
    issuer = "https://kubernetes.default.svc"
    claims = {
        "iss": issuer,
        "aud": [issuer],
        "sub": f"system:serviceaccount:{namespace}:{account['name']}",
        "iat": now - 7200,
        "nbf": now - 7200,
        "exp": now + lifetime,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": account},
    }
    parts = [json.dumps(part).encode() for part in ({"alg": "ES256"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=")
    return (text + b"." + signature).decode()


@pytest.fixture
def make_token(kube: KubeServer, kube_place: Place, kube_vendor: client.CoreV1Api) -> Callable[[int], str]:
    """Return a token of a service account with the reader's Role, which lives so many seconds."""
    kube.service_account(kube_place.namespace, "reader", documented_role("reader"))
    found = kube_vendor.read_namespaced_service_account("reader", kube_place.namespace)
    account = {"name": "reader", "uid": found.metadata.uid}
    return lambda lifetime: signed_token(kube, kube_place.namespace, account, lifetime=lifetime)


def test_an_expired_login_is_refusal_and_neither_absence_nor_outage(
    kube: KubeServer, kube_place: Place, tmp_path: Path, make_token: Callable[[int], str]
) -> None:
    with kube.open(kube_place, kube.login(tmp_path / "login", token=make_token(-60))) as store:
        for call in (lambda: store.read(NAME), lambda: [*store.list()], lambda: store.watch(lambda _name: None)):
            with pytest.raises(StoreAccessDeniedError, match="does not know this login") as caught:
                call()
        assert "Log in again" in caught.value.hint
        assert [one.health for one in store.examine()] == [Health.WORKS, Health.BROKEN]


def test_a_token_that_expires_in_an_open_store_is_read_again_from_its_file(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, tmp_path: Path, make_token: Callable[[int], str]
) -> None:
    value = canary()
    make_current(kube_store, NAME, value)
    token_file = tmp_path / "token"
    token_file.write_text(make_token(-60))
    login = kube.login(tmp_path / "login")
    found = yaml.safe_load(login.read_text())
    found["users"][0]["user"] = {"tokenFile": str(token_file)}
    login.write_text(yaml.safe_dump(found))
    with kube.open(kube_place, login) as store:
        with pytest.raises(StoreAccessDeniedError):
            store.read(NAME)
        token_file.write_text(make_token(600))
        assert store.read(NAME).value.matches(value)


@pytest.fixture
def in_pod(kube: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a pod, as far as files and variables tell; return the file with its token."""
    files = {"SERVICE_TOKEN_FILENAME": tmp_path / "token", "SERVICE_CERT_FILENAME": tmp_path / "ca.crt"}
    files["SERVICE_CERT_FILENAME"].write_text(kube.authority())
    for constant, path in files.items():
        monkeypatch.setattr(incluster_config, constant, str(path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(kube.port))
    monkeypatch.setitem(incluster_config.os.environ, "KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return files["SERVICE_TOKEN_FILENAME"]


def test_in_a_pod_the_service_account_is_used_and_its_token_read_again(
    kube_place: Place, kube_store: KubernetesStore, in_pod: Path, make_token: Callable[[int], str]
) -> None:
    value = canary()
    make_current(kube_store, NAME, value)
    in_pod.write_text(make_token(-60))
    with open_kubernetes(kube_place.url, environment="test", options={}) as store:
        with pytest.raises(StoreAccessDeniedError, match="does not know this login"):
            store.read(NAME)
        in_pod.write_text(make_token(600))
        assert store.read(NAME).value.matches(value)
        told = {one.part: one for one in store.examine()}
        assert "the pod's service account" in told["connection"].words
        assert f"system:serviceaccount:{kube_place.namespace}:reader" in told["login"].words


def test_a_login_that_cannot_be_read_is_refused_without_a_word_of_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    secret = canary()
    damaged = tmp_path / "CLEAR-damaged"
    damaged.write_text(f"users: [{{name: a, user: {{token: {secret}: }}")
    context = tmp_path / "no-context"
    context.write_text("{apiVersion: v1, kind: Config, contexts: [], clusters: [], users: [], current-context: a}")
    for options in (
        {},
        {"kubeconfig": str(tmp_path / "absent")},
        {"kubeconfig": str(damaged)},
        {"kubeconfig": str(context)},
    ):
        with pytest.raises(StoreAccessDeniedError, match="cannot be read") as caught:
            open_kubernetes("kubernetes://a/b", environment="test", options=options)
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_the_kubeconfig_of_the_environment_and_a_named_context_are_used(
    kube: KubeServer, kube_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    with open_kubernetes(kube_place.url, environment="test", options={"context": "kube"}) as store:
        assert [*store.list()] == []
    with pytest.raises(StoreAccessDeniedError, match="context 'absent'"):
        open_kubernetes(kube_place.url, environment="test", options={"context": "absent"})


# what cannot be opened


@pytest.mark.parametrize(
    "url",
    [
        "kubernetes:a/b",
        "kubernetes://a",
        "kubernetes://a/",
        "kubernetes://A/b",
        "kubernetes://a/b/c",
        "kubernetes://a/b_c",
    ],
)
def test_a_url_that_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError):
        open_kubernetes(url, environment="test", options={})


@pytest.mark.parametrize("options", [{"kubconfig": "x"}, {"timeout": "0s"}, {"timeout": "soon"}])
def test_an_option_that_this_store_does_not_have_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        open_kubernetes("kubernetes://a/b", environment="test", options=options)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(MissingExtraError) as caught:
        open_kubernetes("kubernetes://a/b", environment="test", options={})
    assert caught.value.hint == "pip install 'vantage-secrets[kubernetes]'"


# throttling, and servers that are none


class _Elsewhere(BaseHTTPRequestHandler):
    """Answers as its server's ``answers`` say, one after another and the last one for ever."""

    def do_GET(self) -> None:
        answers = self.server.answers  # type: ignore[attr-defined]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for key, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""


Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def elsewhere(kube: KubeServer, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a kubeconfig for a server that gives these answers."""
    with ExitStack() as servers:

        def begin(*answers: Answer) -> Path:
            server = servers.enter_context(HTTPServer(("127.0.0.1", 0), _Elsewhere))
            server.answers = [*answers]  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            servers.callback(thread.join)
            servers.callback(server.shutdown)
            return kube.login(tmp_path / "elsewhere", server=f"http://127.0.0.1:{server.server_port}")

        yield begin


THROTTLED: Answer = (429, {"Retry-After": "1"}, b"Too many requests, please try again later.")
"""As the API server's priority and fairness rejects a request."""


def test_throttling_is_waited_for_as_long_as_the_server_says(
    kube: KubeServer,
    kube_place: Place,
    kube_store: KubernetesStore,
    kube_vendor: client.CoreV1Api,
    elsewhere: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value, waited = canary(), []
    monkeypatch.setattr(Connection, "wait", lambda _self, seconds: waited.append(seconds))
    make_current(kube_store, NAME, value)
    found = kube_vendor.read_namespaced_secret(*reversed(kube_place), _preload_content=False).data
    login = elsewhere((429, {"Retry-After": "7"}, THROTTLED[2]), (200, {}, found))
    with kube.open(kube_place, login) as store:
        assert store.read(NAME).value.matches(value)
    assert waited == [7]


def test_throttling_that_lasts_longer_than_the_time_allowed_is_told_as_that(
    kube: KubeServer, kube_place: Place, elsewhere: Callable[..., Path]
) -> None:
    with kube.open(kube_place, elsewhere(THROTTLED), timeout="1s") as store:
        for call in (
            lambda: store.read(NAME),
            lambda: store.stage(NAME, SecretValue(canary()), "token"),
            lambda: store.watch(lambda _name: None),
        ):
            with pytest.raises(StoreBusyError, match="throttles"):
                call()


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 410, 418, 500])
def test_an_answer_that_is_not_kubernetes_own_is_an_outage_and_no_part_of_it_is_repeated(
    kube: KubeServer, elsewhere: Callable[..., Path], status: int
) -> None:
    value = canary()
    body = b"" if status == 204 else f"<html>{value}</html>".encode()
    with kube.open(Place("a", "b"), elsewhere((status, {}, body)), timeout="1s") as store:
        _assert_outage(store, value)


def _assert_outage(store: Store, value: str) -> None:
    for call in (
        lambda: store.read(NAME),
        lambda: store.stage(NAME, SecretValue(canary()), "token"),
        lambda: store.delete(NAME),
    ):
        with pytest.raises(StoreUnavailableError) as caught:
            call()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert not [said for said in words(caught.value) if value in said]
    with pytest.raises(VantageSecretsError):
        store.watch(lambda _name: None)
    assert Health.BROKEN in {one.health for one in store.examine()}


def test_a_certificate_that_is_not_trusted_is_told_as_that_and_examined_when_it_is_not_checked(
    kube: KubeServer, kube_place: Place, tmp_path: Path
) -> None:
    login = kube.login(tmp_path / "login", server=f"https://localhost.invalid:{kube.port}")
    found = yaml.safe_load(login.read_text())
    found["clusters"][0]["cluster"] = {"server": f"https://127.0.0.1:{kube.port}"}
    login.write_text(yaml.safe_dump(found))
    with kube.open(kube_place, login) as store, pytest.raises(StoreUnavailableError, match="certificate"):
        store.read(NAME)


def test_a_failure_of_the_client_itself_shows_only_its_name(
    kube_store: KubernetesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = canary()

    def fail(*_: object, **__: object) -> None:
        raise TypeError(f"cannot take {value}")

    monkeypatch.setattr(client.CoreV1Api, "read_namespaced_secret", fail)
    with pytest.raises(StoreError, match=r"client failed \(TypeError\)") as caught:
        kube_store.read(NAME)
    assert not isinstance(caught.value, StoreUnavailableError)
    assert value not in "".join(traceback.format_exception(caught.value))
