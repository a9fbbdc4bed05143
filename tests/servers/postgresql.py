"""A real PostgreSQL server for tests, demos and benchmarks: empty, on a free loopback port, gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg

from tests.servers.certificate import Certificate

START_SECONDS_MAX = 60
_OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "unix_socket_directories=",
    "max_connections=60",
    "wal_retrieve_retry_interval=100ms",
)


class PostgresqlServer:
    """A server; logins take a password by SCRAM-SHA-256, from loopback and for replication too.

    Attributes:
        port: Where it listens on loopback, without TLS.
        superuser: Who may do everything.
        password: The superuser's.
        log: What the server wrote.
    """

    superuser = "postgres"

    def __init__(self, data: Path, log: IO[bytes], password: str) -> None:
        """Know where everything is; :meth:`start` starts it."""
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            self.port: int = place.getsockname()[1]
        self.password = password
        self.log = Path(log.name)
        self._data, self._log = data, log
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", *, user: str = "") -> str:
        """Return a URL without a password, as a manifest takes it."""
        return f"postgresql://{user and user + '@'}127.0.0.1:{self.port}/{database}"

    def connect(
        self, user: str | None = None, password: str | None = None, database: str = "postgres", **options: Any
    ) -> psycopg.Connection[Any]:
        """Return a fresh connection that commits each statement, as the superuser unless told otherwise."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=self.superuser if user is None else user,
            password=self.password if password is None else password,
            autocommit=True,
            connect_timeout=10,
            **options,
        )

    def execute(self, *statements: str) -> None:
        """Do these as the superuser, one after the other."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def first_rule(self, rule: str) -> Iterator[None]:
        """Let a line of ``pg_hba.conf`` come before all others until the block ends."""
        file = self._data / "pg_hba.conf"
        rules = file.read_text()
        file.write_text(f"{rule}\n{rules}")
        self.reload()
        try:
            yield
        finally:
            file.write_text(rules)
            self.reload()

    @contextmanager
    def encrypted(self, certificate: Certificate) -> Iterator[None]:
        """Offer TLS with that certificate until the block ends."""
        for name, file in (("server.crt", certificate.ca_file), ("server.key", certificate.key_file)):
            (self._data / name).write_bytes(file.read_bytes())
            (self._data / name).chmod(0o600)
            _give_away(self._data / name)
        self.execute("ALTER SYSTEM SET ssl = on")
        self.reload()
        try:
            yield
        finally:
            self.execute("ALTER SYSTEM RESET ssl")
            self.reload()

    def reload(self) -> None:
        """Return when new sessions begin with the settings as the files have them now."""
        loaded_at = "SELECT pg_conf_load_time()"
        with self.connect() as connection:
            before = connection.execute(loaded_at).fetchone()
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            with self.connect() as connection:
                if connection.execute(loaded_at).fetchone() != before:
                    return
            time.sleep(0.01)
        raise AssertionError("PostgreSQL did not read its settings anew")

    def start(self) -> None:
        """Return when it answers."""
        options = [part for option in _OPTIONS for part in ("-c", option)]
        command = [program("postgres"), "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", *options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, **_as_postgres())
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), self.connect():
                return
            assert self._process.poll() is None, f"PostgreSQL ended: {self.log.read_text()[-2000:]}"
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL was not ready in {START_SECONDS_MAX} s")

    def stop(self) -> None:
        """End it, and every connection with it. Safe to repeat."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown"; SIGTERM would wait for clients to go
            self._process.wait()
            self._process = None


@contextmanager
def running_postgresql(folder: Path) -> Iterator[PostgresqlServer]:
    """Run a server until the block ends; its log goes to ``folder``, its data to a folder that it may reach."""
    with _place(folder) as (data, log):
        server = PostgresqlServer(data, log, secrets.token_hex(16))
        words = data.parent / "CLEAR-password"
        words.write_text(server.password)
        _give_away(words)
        _run(log, "initdb", "-D", data, "-U", server.superuser, f"--pwfile={words}", "-A", "scram-sha-256", "--no-sync")
        words.unlink()
        yield from _started(server)


@contextmanager
def running_standby(primary: PostgresqlServer, folder: Path) -> Iterator[PostgresqlServer]:
    """Run a standby that follows ``primary`` by streaming and answers reads, until the block ends."""
    with _place(folder) as (data, log):
        server = PostgresqlServer(data, log, primary.password)
        source = f"host=127.0.0.1 port={primary.port} user={primary.superuser} password={primary.password}"
        _run(log, "pg_basebackup", "-D", data, "-d", source, "-R", "--checkpoint=fast", "--no-sync")
        yield from _started(server)


def wait_until_followed(primary: PostgresqlServer, standby: PostgresqlServer) -> None:
    """Return when the standby has everything that the primary has now."""
    with primary.connect() as there, standby.connect() as here:
        position = there.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position).fetchone() == (True,):
                return
            time.sleep(0.01)
    raise AssertionError("the standby did not follow")


def program(name: str) -> str:
    """Return where that program of PostgreSQL's is.

    Raises:
        AssertionError: It is not installed.
    """
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(places[-1]) if places else shutil.which(name)
    if found is None:
        raise AssertionError(f"PostgreSQL's {name} is missing; run 'make test', which installs postgresql")
    return found


@contextmanager
def _place(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    # Pytest's folders let nobody else through, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as parent:
        _give_away(Path(parent))
        with (folder / f"{Path(parent).name}.log").open("wb") as log:
            yield Path(parent) / "data", log


def _started(server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _run(log: IO[bytes], name: str, *arguments: object) -> None:
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, stdout=log, stderr=log, check=False, **_as_postgres())
    assert done.returncode == 0, f"{name} failed: {Path(log.name).read_text()[-2000:]}"


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def _as_postgres() -> dict[str, Any]:
    """Return how to start a program as the user of Debian's package, where we may; else as ourselves."""
    return {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}
