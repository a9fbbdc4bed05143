"""A real ClickHouse 18.16 for tests, on free loopback ports: users in ``users.xml`` and ``users.d``, none made by SQL.

No pytest in here, so that the demo, the benchmarks and the crash tests can start the same server.
"""

from __future__ import annotations

import hashlib
import http.client
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.servers.certificate import Certificate

ADMIN = "admin"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

_CONFIG = """\
<yandex>
    <logger><level>information</level><log>{folder}/server.log</log><errorlog>{folder}/errors.log</errorlog></logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http_port}</http_port>
    <tcp_port>{tcp_port}</tcp_port>
{tls}    <path>{folder}/data/</path>
    <tmp_path>{folder}/tmp/</tmp_path>
    <format_schema_path>{folder}/schemas/</format_schema_path>
    <user_files_path>{folder}/files/</user_files_path>
    <users_config>{folder}/users.xml</users_config>
    <mark_cache_size>67108864</mark_cache_size>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <query_log>
        <database>system</database><table>query_log</table>
        <flush_interval_milliseconds>200</flush_interval_milliseconds>
    </query_log>
</yandex>
"""

_TLS = """\
    <https_port>{port}</https_port>
    <openSSL><server>
        <certificateFile>{certificate.ca_file}</certificateFile>
        <privateKeyFile>{certificate.key_file}</privateKeyFile>
        <verificationMode>none</verificationMode>
    </server></openSSL>
"""

_USERS = """\
<yandex>
    <profiles>
        <default><log_queries>1</log_queries><background_pool_size>2</background_pool_size></default>
        <writer><log_queries>1</log_queries><max_memory_usage>2000000000</max_memory_usage></writer>
    </profiles>
    <quotas><default/><writer/></quotas>
    <users>
{users}    </users>
</yandex>
"""

RIGHTS = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"
"""What a user of ``users.xml`` has beside a password, unless a test says otherwise."""


class ClickHouseServer:
    """A server in a folder of its own.

    Args:
        folder: Where its settings, state and logs lie; empty.
        users: Password by name, for users of ``users.xml``, beside the administrator.
        rights: Elements that a user has instead of ``RIGHTS``, by name.
        certificate: What it shows where it speaks HTTPS, or ``None`` where it does not.

    Attributes:
        http_port: Where it speaks HTTP, on loopback.
        https_port: Where it speaks HTTPS, on loopback, if it does.
        tcp_port: Where it speaks its native protocol, on loopback.
        users_file: Its ``users.xml``; passwords stand there as SHA-256 alone.
        users_folder: Its ``users.d``; empty.
        admin: The administrator's name.
        admin_password: The administrator's password.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str],
        rights: Mapping[str, str],
        certificate: Certificate | None = None,
    ) -> None:
        """Write the settings; nothing runs yet."""
        self.folder = folder
        self.users_file = folder / "users.xml"
        self.users_folder = folder / "users.d"
        self.admin, self.admin_password = ADMIN, f"clickhouse-admin-{secrets.token_hex(12)}"
        self.http_port, self.https_port, self.tcp_port = free_ports(3)
        for name in ("users.d", "data", "tmp", "schemas", "files"):
            (folder / name).mkdir()
        tls = _TLS.format(port=self.https_port, certificate=certificate) if certificate else ""
        ports = {"http_port": self.http_port, "tcp_port": self.tcp_port, "tls": tls}
        (folder / "config.xml").write_text(_CONFIG.format(folder=folder, **ports))
        self._write_users(users, rights)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it speaks HTTP."""
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Run it, and wait until the administrator can log in."""
        program = shutil.which("clickhouse-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise AssertionError("clickhouse-server is missing; run 'make test', which installs it")
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [program, f"--config-file={self.folder / 'config.xml'}"],
                stdout=console,
                stderr=console,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            assert self._process.poll() is None, f"ClickHouse ended: {self._tail()}"
            assert time.monotonic() < deadline, f"ClickHouse was not ready in {START_SECONDS_MAX} s: {self._tail()}"
            time.sleep(0.02)

    def stop(self, *, kill: bool = False) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def query(self, text: str, user: str | None = None, password: str | None = None) -> str:
        """Return the answer to a query by HTTP, as the administrator unless told otherwise.

        Raises:
            PermissionError: The server answered, and refused; its text begins with ``Code: N``.
        """
        headers = {"X-ClickHouse-User": user or self.admin, "X-ClickHouse-Key": password or self.admin_password}
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request("POST", "/", body=text.encode(), headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status != 200:
            raise PermissionError(body)
        return body

    def client(self, user: str | None = None, password: str | None = None, **more: Any) -> Client:
        """Return a client of the native protocol, the administrator's unless told otherwise; it connects when used."""
        return Client(
            "127.0.0.1",
            port=self.tcp_port,
            user=user or self.admin,
            password=password or self.admin_password,
            **more,
        )

    def opens_natively(self, user: str, password: str) -> bool:
        """Return whether a fresh login by the native protocol works."""
        client = self.client(user, password)
        try:
            return bool(client.execute("SELECT 1") == [(1,)])
        except ServerException as exc:
            if exc.code not in (192, 193):
                raise
            return False
        finally:
            client.disconnect()

    def set_users(self, users: Mapping[str, str], rights: Mapping[str, str] | None = None) -> None:
        """Have these users in ``users.xml``, beside the administrator, and none in ``users.d``; loaded at once.

        Args:
            users: Password by name.
            rights: Elements that a user has instead of ``RIGHTS``, by name.
        """
        for path in self.users_folder.iterdir():
            path.unlink()
        self._write_users(users, rights or {})
        if self._process is not None:
            self.query("SYSTEM RELOAD CONFIG")

    def share_admin(self, other: ClickHouseServer, users: Mapping[str, str]) -> None:
        """Take another server's administrator, as the servers of a cluster have one, and these users beside it."""
        self._write_users(users, {}, other.admin_password)
        self.query("SYSTEM RELOAD CONFIG")
        self.admin_password = other.admin_password

    def _write_users(self, users: Mapping[str, str], rights: Mapping[str, str], admin: str = "") -> None:
        entries = {ADMIN: admin or self.admin_password, **users}
        text = "".join(_user(*entry, rights.get(entry[0], RIGHTS)) for entry in entries.items())
        begun = self.folder / "users.xml.begun"
        begun.write_text(_USERS.format(users=text))
        begun.replace(self.users_file)

    def _answers(self) -> bool:
        try:
            return self.query("SELECT 1") == "1\n"
        except (OSError, http.client.HTTPException):
            return False

    def _tail(self) -> str:
        paths = [self.folder / "console.log", self.folder / "errors.log"]
        return "".join(path.read_text("utf-8", "replace")[-2000:] for path in paths if path.exists())


@contextmanager
def running_clickhouse(
    folder: Path,
    *,
    users: Mapping[str, str] | None = None,
    rights: Mapping[str, str] | None = None,
    certificate: Certificate | None = None,
) -> Iterator[ClickHouseServer]:
    """Run ClickHouse until the block ends.

    Args:
        folder: An empty folder for its state.
        users: Password by name, for users of ``users.xml``, beside the administrator.
        rights: Elements that a user has instead of ``RIGHTS``, by name.
        certificate: What it shows where it speaks HTTPS, or ``None`` where it does not.
    """
    server = ClickHouseServer(folder, users=users or {}, rights=rights or {}, certificate=certificate)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    places = [socket.socket() for _ in range(count)]
    try:
        for place in places:
            place.bind(("127.0.0.1", 0))
        return [place.getsockname()[1] for place in places]
    finally:
        for place in places:
            place.close()


def _user(name: str, password: str, rights: str) -> str:
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"        <{name}><password_sha256_hex>{digest}</password_sha256_hex>{rights}</{name}>\n"
