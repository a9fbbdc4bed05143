"""Logging in to a real server and staying logged in, and what is said of a server that is none."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.certificate import Certificate
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.vault import (
    Engine,
    Server,
    engine_fixture,  # noqa: F401  # A fixture.
    make_engine,
    running_server,
    vault_server_fixture,  # noqa: F401  # A fixture.
    wait_for_engine,
)
from tests.servers.vault_steps import NAME, put
from vantage_secrets.errors import StoreAccessDeniedError, StoreUnavailableError
from vantage_secrets.stores.contract import Health
from vantage_secrets.stores.vault import VaultStore, opening
from vantage_secrets.testing.store_steps import words

POLICY = 'path "{mount}/*" {{ capabilities = ["create", "read", "update", "patch", "delete", "list"] }}'


@dataclass
class Role:
    """An AppRole that may do everything in one engine, and the files with which a store logs in."""

    engine: Engine
    folder: Path
    name: str
    mount: str = "approle"

    @property
    def url(self) -> str:
        return f"/v1/auth/{self.mount}/role/{self.name}"

    def options(self, **more: str) -> dict[str, str]:
        return {
            "role_id_file": str(self.folder / "role-id"),
            "secret_id_file": str(self.folder / "CLEAR-secret-id"),
            **({} if self.mount == "approle" else {"auth_mount": self.mount}),
            **more,
        }

    def write_secret_id(self, *, wrap_ttl: str | None = None, path: str = "/secret-id") -> str:
        answer = self.engine.server.client().adapter.post(f"{self.url}{path}", json={}, wrap_ttl=wrap_ttl)
        secret_id = answer["wrap_info"]["token"] if wrap_ttl else answer["data"]["secret_id"]
        self.write(secret_id)
        return str(secret_id)

    def write(self, secret_id: str) -> None:
        file = self.folder / "CLEAR-secret-id"
        file.write_text(secret_id)
        file.chmod(0o600)


def make_role(engine: Engine, folder: Path, mount: str = "approle", **settings: object) -> Role:
    client = engine.server.client()
    role = Role(engine, folder, f"role-{secrets.token_hex(4)}", mount)
    if f"{mount}/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle", path=mount)
    client.sys.create_or_update_policy(role.name, POLICY.format(mount=engine.mount))
    client.adapter.post(role.url, json={"token_policies": role.name, "token_ttl": "60m", **settings})
    (folder / "role-id").write_text(client.adapter.get(f"{role.url}/role-id")["data"]["role_id"])
    role.write_secret_id()
    return role


class Watch:
    """Time that a test moves, seconds."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def on(watch: Watch, store: VaultStore) -> VaultStore:
    """Let the store's session go by ``watch``."""
    store._connection._session._now = watch
    return store


def logins_in(proxy: CuttingProxy) -> list[str]:
    """Return the requests about logging in, without their common beginning."""
    return [one.replace("/v1/auth/", "") for one in proxy.requests if "/auth/" in one]


@pytest.fixture
def proxy(vault_server: Server) -> Iterator[CuttingProxy]:
    with CuttingProxy("127.0.0.1", vault_server.port) as proxy:
        yield proxy


# AppRole


@pytest.mark.parametrize("mount", ["approle", "approle-elsewhere"])
def test_a_store_logs_in_by_approle_and_once_only(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy, mount: str
) -> None:
    role = make_role(engine, tmp_path, mount)
    with engine.open(proxy=proxy, **role.options()) as store:
        put(store, NAME)
        store.read(NAME)
        found = {one.part: one for one in store.examine()}
    assert logins_in(proxy)[0] == f"POST {mount}/login"
    assert [one for one in logins_in(proxy) if "login" in one] == [f"POST {mount}/login"]
    assert (found["login"].health, "AppRole" in found["login"].words) == (Health.WORKS, True)


def test_a_token_is_renewed_before_it_ends(engine: Engine, tmp_path: Path, proxy: CuttingProxy) -> None:
    watch = Watch()
    with on(watch, engine.open(proxy=proxy, **make_role(engine, tmp_path).options())) as store:
        put(store, NAME)
        watch.seconds += 39 * 60
        store.read(NAME)
        assert logins_in(proxy) == ["POST approle/login"]
        for _ in range(2):
            watch.seconds += 41 * 60
            store.read(NAME)
            store.read(NAME)
    assert logins_in(proxy) == ["POST approle/login", "POST token/renew-self", "POST token/renew-self"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"token_type": "batch"}, ["POST approle/login"]),
        ({"token_explicit_max_ttl": "60m"}, ["POST token/renew-self", "POST approle/login"]),
    ],
    ids=["cannot be renewed", "has lived its longest"],
)
def test_where_renewal_gives_no_time_the_store_logs_in_anew(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy, settings: dict[str, object], expected: list[str]
) -> None:
    watch = Watch()
    with on(watch, engine.open(proxy=proxy, **make_role(engine, tmp_path, **settings).options())) as store:
        put(store, NAME)
        proxy.mend()
        watch.seconds += 1 if "token_explicit_max_ttl" in settings else 0
        store._connection._session._renew_at = watch.seconds  # Its time has come, and next to none has passed.
        store.read(NAME)
        assert logins_in(proxy) == expected


def test_a_token_that_ended_meanwhile_is_replaced_and_nobody_notices(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy
) -> None:
    value = canary()
    with engine.open(proxy=proxy, **make_role(engine, tmp_path).options()) as store:
        put(store, NAME, value)
        for _ in range(2):
            proxy.mend()
            engine.server.client().auth.token.revoke(store._connection._client.token)
            assert store.read(NAME).value.matches(value)
            assert logins_in(proxy) == ["GET token/lookup-self", "POST approle/login"]


def test_a_login_that_fails_after_the_token_ended_is_a_refusal_and_heals(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy
) -> None:
    role = make_role(engine, tmp_path)
    with engine.open(proxy=proxy, **role.options()) as store:
        put(store, NAME)
        good = (tmp_path / "CLEAR-secret-id").read_text()
        role.write("not a secret id")
        engine.server.client().auth.token.revoke(store._connection._client.token)
        with pytest.raises(StoreAccessDeniedError, match="refuses the login by AppRole at 'auth/approle'"):
            store.read(NAME)
        role.write(good)
        store.read(NAME)


def test_while_the_server_is_away_a_good_token_is_kept_and_renewed_when_it_is_back(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BACKOFF_SECONDS", 0.0)
    watch = Watch()
    with on(watch, engine.open(proxy=proxy, **make_role(engine, tmp_path).options())) as store:
        put(store, NAME)
        watch.seconds += 41 * 60
        with proxy.refusing(), pytest.raises(StoreUnavailableError):
            store.read(NAME)
        proxy.mend()
        store.read(NAME)
        assert logins_in(proxy) == []
        watch.seconds += 2
        store.read(NAME)
        assert logins_in(proxy) == ["POST token/renew-self"]


def test_a_wrapped_secret_id_is_opened_once_and_serves_every_login(
    engine: Engine, tmp_path: Path, proxy: CuttingProxy
) -> None:
    role = make_role(engine, tmp_path)
    role.write_secret_id(wrap_ttl="5m")
    with engine.open(proxy=proxy, **role.options(secret_id_wrapped="on")) as store:
        put(store, NAME)
        engine.server.client().auth.token.revoke(store._connection._client.token)
        store.read(NAME)
    assert [one for one in proxy.requests if "unwrap" in one] == ["POST /v1/sys/wrapping/unwrap"]
    with engine.open(**role.options(secret_id_wrapped="on")) as late:
        with pytest.raises(StoreAccessDeniedError, match="holds no wrapped secret id") as caught:
            late.read(NAME)
        assert "somebody else did" in caught.value.hint


def test_what_something_else_wrapped_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    role = make_role(engine, tmp_path)
    client = engine.server.client()
    wrapped = client.adapter.post("/v1/sys/wrapping/wrap", json={"secret_id": "planted"}, wrap_ttl="5m")
    token = wrapped["wrap_info"]["token"]
    role.write(token)
    with engine.open(**role.options(secret_id_wrapped="on")) as store, pytest.raises(StoreAccessDeniedError):
        store.read(NAME)
    opened = engine.server.client(token).adapter.post("/v1/sys/wrapping/unwrap", json={})
    assert opened["data"] == {"secret_id": "planted"}


def test_a_secret_id_that_everybody_may_read_is_not_used(engine: Engine, tmp_path: Path) -> None:
    role = make_role(engine, tmp_path)
    (tmp_path / "CLEAR-secret-id").chmod(0o644)
    with engine.open(**role.options()) as store:
        broken = [one for one in store.examine() if one.health is Health.BROKEN]
    assert [one.part for one in broken] == ["login"]
    assert "chmod 600" in broken[0].next_action


# tokens


def test_a_token_in_a_file_that_an_agent_replaces_is_followed(engine: Engine, tmp_path: Path) -> None:
    root = engine.server.client()
    file = tmp_path / "CLEAR-token"

    def new_token() -> str:
        token = root.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"]
        file.write_text(token)
        file.chmod(0o600)
        return str(token)

    first = new_token()
    with engine.open(token_file=str(file)) as store:
        put(store, NAME)
        new_token()
        root.auth.token.revoke(first)
        store.read(NAME)


def test_a_token_that_ended_and_cannot_be_had_anew_is_a_refusal(engine: Engine) -> None:
    root = engine.server.client()
    token = root.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"]
    with engine.open(token) as store:
        put(store, NAME)
        root.auth.token.revoke(token)
        with pytest.raises(StoreAccessDeniedError) as caught:
            store.read(NAME)
        assert "log in anew if the token has ended" in caught.value.hint
        assert not [text for text in words(caught.value) if token in text]
        assert [one.part for one in store.examine() if one.health is Health.BROKEN] == ["login"]


def test_a_token_that_may_not_look_at_itself_is_used_all_the_same(engine: Engine) -> None:
    root = engine.server.client()
    name = f"policy-{secrets.token_hex(4)}"
    root.sys.create_or_update_policy(name, POLICY.format(mount=engine.mount))
    token = root.auth.token.create(policies=[name], no_default_policy=True)["auth"]["client_token"]
    with engine.open(token) as store:
        put(store, NAME)


# Kubernetes


class _Reviewer(BaseHTTPRequestHandler):
    """The part of a Kubernetes API server that says whose a service account's token is."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = review["spec"]["token"] == self.server.good_token  # type: ignore[attr-defined]
        user = {"username": "system:serviceaccount:vantage:worker", "uid": "uid-1", "groups": []}
        review["status"] = {"authenticated": good, "user": user if good else {}}
        body = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def service_account_token() -> str:
    claims = {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "vantage",
        "kubernetes.io/serviceaccount/service-account.name": "worker",
        "kubernetes.io/serviceaccount/service-account.uid": "uid-1",
    }
    parts = (json.dumps({"alg": "RS256", "typ": "JWT"}).encode(), json.dumps(claims).encode(), secrets.token_bytes(256))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_pod_logs_in_with_its_service_account_and_another_one_does_not(engine: Engine, tmp_path: Path) -> None:
    client = engine.server.client()
    mount = f"kubernetes-{secrets.token_hex(4)}"
    client.sys.enable_auth_method("kubernetes", path=mount)
    client.sys.create_or_update_policy(mount, POLICY.format(mount=engine.mount))
    account = {"bound_service_account_names": "worker", "bound_service_account_namespaces": "vantage"}
    jwt = tmp_path / "CLEAR-jwt"
    jwt.write_text(service_account_token())
    with serving(_Reviewer) as reviewer:
        reviewer.good_token = jwt.read_text()  # type: ignore[attr-defined]
        settings: dict[str, Any] = {"kubernetes_host": f"http://127.0.0.1:{reviewer.server_address[1]}"}
        settings |= {"disable_local_ca_jwt": True, "token_reviewer_jwt": service_account_token()}
        settings["kubernetes_ca_cert"] = Certificate.make(tmp_path).ca_file.read_text()  # Asked for, and not used.
        client.adapter.post(f"/v1/auth/{mount}/config", json=settings)
        client.adapter.post(f"/v1/auth/{mount}/role/worker", json={"token_policies": mount, **account})
        options = {"kubernetes_role": "worker", "jwt_file": str(jwt), "auth_mount": mount}
        with engine.open(**options) as store:
            put(store, NAME)
            assert "Kubernetes" in {one.part: one.words for one in store.examine()}["login"]
        jwt.write_text(service_account_token())
        with engine.open(**options) as other, pytest.raises(StoreAccessDeniedError, match="login by Kubernetes"):
            other.read(NAME)


# namespaces, TLS, and what is no server for us


def test_a_namespace_has_its_own_secrets_and_one_that_is_not_there_is_told(engine: Engine) -> None:
    root = engine.server.client()
    name = f"team-{secrets.token_hex(4)}"
    root.adapter.post(f"/v1/sys/namespaces/{name}", json={})
    inside = engine.server.client(namespace=name)
    inside.sys.enable_secrets_engine("kv", path=engine.mount, options={"version": "2"})
    wait_for_engine(inside, engine.mount)
    with engine.open(namespace=name) as store, engine.open() as outside:
        put(store, NAME)
        assert [*store.list()] == [NAME]
        assert [*outside.list()] == []
        assert Health.BROKEN not in {one.health for one in store.examine()}
    with engine.open(namespace="nowhere") as store, pytest.raises(StoreUnavailableError, match="or namespace"):
        store.read(NAME)


def test_tls_is_verified_with_the_authority_that_is_named(
    engine: Engine, vault_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BACKOFF_SECONDS", 0.0)
    certificate = Certificate.make(tmp_path)
    with CuttingProxy("127.0.0.1", vault_server.port, accept_tls=certificate.server_context()) as proxy:
        with engine.open(proxy=proxy, tls="on") as store:
            with pytest.raises(StoreUnavailableError, match="certificate cannot be verified") as caught:
                store.read(NAME)
            assert "ca_file" in caught.value.hint
            assert proxy.requests == []
        with engine.open(proxy=proxy, tls="on", ca_file=str(certificate.ca_file)) as store:
            put(store, NAME)
            assert {one.part: one.health for one in store.examine()}["TLS"] is Health.WORKS
        for variable in ("VAULT_CACERT", "BAO_CACERT", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as scoped:
                scoped.setenv(variable, str(certificate.ca_file))
                with engine.open(proxy=proxy, tls="on") as store:
                    store.read(NAME)


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to another address, which is itself, and remembers who came with a token."""

    def do_GET(self) -> None:
        if self.path.startswith("/elsewhere"):
            self.server.came.append(self.headers.get("X-Vault-Token"))  # type: ignore[attr-defined]
        self.send_response(307)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def test_a_server_that_sends_us_elsewhere_is_not_followed(engine: Engine) -> None:
    with serving(_Elsewhere) as server:
        server.came = []  # type: ignore[attr-defined]
        elsewhere = Engine(Server(server.server_address[1], "a token"), engine.mount)
        with elsewhere.open() as store, pytest.raises(StoreUnavailableError, match="sends us to another address"):
            store.read(NAME)
        assert server.came == []  # type: ignore[attr-defined]


class _Page(BaseHTTPRequestHandler):
    """A web server that answers everything with a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def test_a_web_server_that_is_no_vault_is_told(engine: Engine) -> None:
    with serving(_Page) as server:
        page = Engine(Server(server.server_address[1], "a token"), engine.mount)
        with page.open() as store:
            with pytest.raises(StoreUnavailableError, match="neither Vault nor OpenBao"):
                store.read(NAME)
            assert [one.part for one in store.examine()] == ["server"]


def test_a_server_that_takes_a_request_and_says_nothing_is_asked_once(engine: Engine, proxy: CuttingProxy) -> None:
    with engine.open() as store:
        put(store, NAME)
    with engine.open(proxy=proxy, timeout="1s") as store:
        store.read(NAME)
        proxy.mend()
        proxy.latency = 600.0
        with pytest.raises(StoreUnavailableError, match="it took too long"):
            store.read(NAME)
        assert len(proxy.requests) == 1


def test_a_sealed_server_is_told_with_the_command_that_opens_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BACKOFF_SECONDS", 0.0)
    with running_server(tmp_path_factory.mktemp("bao")) as server:
        engine = make_engine(server)
        with engine.open() as store:
            put(store, NAME)
            server.client().sys.seal()
            with pytest.raises(StoreUnavailableError, match="is sealed") as caught:
                store.read(NAME)
            assert "unseal" in caught.value.hint
            assert [(one.part, one.health) for one in store.examine()] == [("server", Health.BROKEN)]
