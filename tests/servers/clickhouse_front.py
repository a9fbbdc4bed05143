"""A fake for users over a real engine: ClickHouse's HTTP interface in front of ``chdb``.

The engine (26.9) has no place where it could keep users. So users, their methods, ends, grants and quotas are kept
here, in memory, and logins are checked here. What a statement about users says comes from the engine's own parser
(``formatQuery``), which also refuses what is no SQL. Everything else is the engine's: tables, queries, formats.

What it is not: privileges are not checked, but for who may change users; hosts are not, but for ``HOST NONE``; there
is no native protocol. ``chdb`` takes one session in a process, so a front is a process of its own.

Run: ``python -m tests.servers.clickhouse_front FOLDER``; it reads its administrator from standard input as JSON, and
writes its port on standard output.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.clickhouse_front_users import ADMIN, FrontError, Users

STOP_SECONDS_MAX = 30
_CONTROL = "/front"
_ABOUT_USERS = re.compile(
    r"(CREATE|ALTER|DROP) (USER|QUOTA|SETTINGS PROFILE|ROW POLICY)|GRANT|REVOKE|SHOW (CREATE USER|GRANTS)|SYSTEM FLUSH",
    re.I,
)
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\s*?(?:\n|$)", re.I | re.S)
_TO_COLUMNS = "apply_to_list Array(String), apply_to_except Array(String)"


class Front:
    """Users, and an engine for the rest.

    Args:
        folder: Where the engine keeps its tables.
        admin: The administrator's password as SHA-256, who alone may change users.
    """

    def __init__(self, folder: str, admin: str) -> None:
        from chdb import session

        self._engine = session.Session(folder)
        self._lock = threading.RLock()
        self.set_admin(admin)

    def set_admin(self, admin: str) -> None:
        """Begin anew, with this administrator."""
        self._admin = admin
        self.reset()

    def reset(self) -> None:
        """Forget all users but the administrator, all switches, and what was seen."""
        self.users = Users(self._admin)
        self.log: list[tuple[int, str, str]] = []
        self.seen: list[str] = []
        self.switches = self.users.switches

    def answer(self, name: str, query: bytes, data: bytes, form: str, agent: str) -> bytes:
        """Return what one statement answers."""
        now = int(datetime.now(UTC).timestamp())
        with self._lock:
            insert = _INSERT.match(query)
            if insert:
                return self._insert(insert[1].decode(), insert[2].decode(), query[insert.end() :] + data)
            text = (query + data).decode("utf-8", "replace")
            if _ABOUT_USERS.match(text.strip()):
                told = self._about_users(name, text)
            else:
                told = self._run(self._with_tables(text), form)
            self.log.append((now, name, agent))
            return told

    def _run(self, text: str, form: str) -> bytes:
        try:
            return bytes(self._engine.query(text, form).bytes())
        except RuntimeError as exc:
            found = re.match(r"(?:.*?)Code: (\d+)", str(exc), re.S)
            raise FrontError(int(found[1]) if found else 1000, str(exc)) from None

    def _insert(self, into: str, form: str, data: bytes) -> bytes:
        path = Path(self._engine._path) / f"insert-{secrets.token_hex(8)}"
        try:
            path.write_bytes(data)
            return self._run(f"{into} SELECT * FROM file('{path}', '{form}')", "TabSeparated")
        finally:
            path.unlink(missing_ok=True)

    def _with_tables(self, text: str) -> str:
        """Return a query in which tables that the engine has no rows for are those that the front keeps."""
        text = re.sub(r"(KILL QUERY) ON CLUSTER \S+", r"\1", text)
        version = self.switches.get("version")
        if version:
            text = re.sub(r"\bversion\(\)", f"'{version}'", text)
        users = [(name, user.storage) for name, user in self.users.users.items()]
        lists = {kind: [(name, *_both(*to)) for name, to in rows.items()] for kind, rows in self.users.lists.items()}
        methods_max = [("max_authentication_methods_per_user", str(self.switches.get("methods_max", 100)))]
        policies = [(name, *re.split(r" ON |\.", name), *to) for name, *to in lists["POLICY"]]
        for table, columns, rows in (
            ("users", "name String, storage String", users),
            ("quotas", f"name String, {_TO_COLUMNS}", lists["QUOTA"]),
            ("settings_profiles", f"name String, {_TO_COLUMNS}", lists["PROFILE"]),
            ("row_policies", f"name String, short_name String, database String, table String, {_TO_COLUMNS}", policies),
            ("server_settings", "name String, value String", methods_max),
            ("query_log", "time UInt32, user String, http_user_agent String", self.log),
        ):
            if f"system.{table}" in text:
                more = ", toDateTime(time) AS event_time, toDate(event_time) AS event_date, user AS initial_user"
                what = f"(SELECT *{more if table == 'query_log' else ''} FROM {_values(columns, rows)})"
                text = text.replace(f"system.{table}", what)
        return text

    def _about_users(self, name: str, text: str) -> bytes:
        text = re.sub(r"\s+FORMAT\s+\w+\s*$", "", text)
        parsed = self._run(f"SELECT formatQuery({_quoted(text)})", "TSVRaw").decode().strip()
        if parsed.startswith("SYSTEM FLUSH"):
            return b""
        if name != ADMIN:
            raise FrontError(497, f"{name}: Not enough privileges.")
        if parsed.startswith("SHOW"):
            return self.users.show(parsed)
        if self.switches.get("may_not_change"):
            raise FrontError(497, f"{name}: Not enough privileges.")
        if self.switches.get("changes_nothing"):
            return b""
        local = re.sub(r" ON CLUSTER \S+", "", parsed, count=1)
        self.users.change(local)
        if local != parsed:
            self._tell_peers(local)
        return b""

    def _tell_peers(self, text: str) -> None:
        for port in self.switches.get("peers", ()):
            try:
                _post(port, f"{_CONTROL}/run", text.encode())
            except OSError:
                raise FrontError(159, "Distributed DDL task was not executed on all hosts.") from None

    def run_for_peer(self, text: str) -> None:
        """Do what another server of the cluster was told."""
        with self._lock:
            self.seen.append(text)
            if not self.switches.get("changes_nothing"):
                self.users.change(text)


def _both(users: list[str], is_exception: bool) -> tuple[list[str], list[str]]:
    return ([], users) if is_exception else (users, [])


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _values(columns: str, rows: list[Any]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(cell, value))}]"
        return str(value) if isinstance(value, int) else _quoted(value)

    if not rows:
        return f"null('{columns}')"
    return f"values({_quoted(columns)}, {', '.join('(' + ', '.join(map(cell, row)) + ')' for row in rows)})"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def do_POST(self) -> None:
        url, body = urlsplit(self.path), self._body()
        if url.path.startswith(_CONTROL):
            return self._reply(200, self._control(url.path.removeprefix(f"{_CONTROL}/"), body))
        given = dict(parse_qsl(url.query))
        headers = "\n".join(f"{key}: {text}" for key, text in self.headers.items() if key != "Authorization")
        self.front.seen.append(f"{self.path}\n{headers}\n{body.decode('utf-8', 'replace')}")
        if self.front.switches.get("answers_html"):
            return self._reply(self.front.switches["answers_html"], b"<html>Code: nothing</html>")
        try:
            name, password = self._login(given)
            self.front.users.login(name, password)
            query, data = (given["query"].encode(), body) if "query" in given else (body, b"")
            form = given.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
            answer = self.front.answer(name, query, data, form, self.headers.get("User-Agent", ""))
        except FrontError as exc:
            status = 403 if exc.code == 516 else 500
            return self._reply(status, f"Code: {exc.code}. DB::Exception: {exc}".encode(), exc.code)
        return self._reply(200, answer)

    do_GET = do_POST  # noqa: N815

    def _control(self, verb: str, body: bytes) -> bytes:
        front = self.front
        if verb == "reset":
            front.reset()
        elif verb == "forget":
            front.seen.clear()
        elif verb == "admin":
            front.set_admin(body.decode())
        elif verb == "switch":
            front.switches.update(json.loads(body))
        elif verb == "run":
            front.run_for_peer(body.decode())
        return json.dumps(front.seen).encode()

    def _login(self, given: Mapping[str, str]) -> tuple[str, str]:
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            name, _, password = b64decode(basic[6:]).decode().partition(":")
            return name, password
        key = self.headers.get("X-ClickHouse-Key") or given.get("password", "")
        return self.headers.get("X-ClickHouse-User") or given.get("user", "default"), key

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding")
        if encoding == "lz4":
            import lz4.frame

            return bytes(lz4.frame.decompress(body))
        return gzip.decompress(body) if encoding == "gzip" else body

    def _reply(self, status: int, body: bytes, code: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Server-Display-Name", "front")
        self.send_header("X-ClickHouse-Timezone", "UTC")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: a request line could hold what nobody may see."""


class ClickHouseFront:
    """A running front, from another process.

    Attributes:
        port: Where it speaks HTTP, on loopback.
        admin: The administrator's name.
        admin_password: The administrator's password.
    """

    def __init__(self, folder: Path) -> None:
        """Start it, and wait until it says its port."""
        self.admin, self.admin_password = ADMIN, f"clickhouse-admin-{secrets.token_hex(12)}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(hashlib.sha256(self.admin_password.encode()).hexdigest().encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the front ended before it listened; run 'make test', which installs chdb"
        self.port = int(line)

    @property
    def url(self) -> str:
        """Where it speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[str]:
        """Every request so far, without its login: address, headers and body."""
        return list(json.loads(_post(self.port, f"{_CONTROL}/seen", b"")))

    def switch(self, **switches: Any) -> None:
        """Let it behave otherwise.

        Args:
            switches: ``version``; ``storage`` of users that are made from now on; ``changes_nothing``: it says yes and
                does no; ``answers_html``: a status with a page, as a
                proxy would; ``peers``: ports of the cluster's other fronts;
                ``methods_max``; ``may_not_change``: the administrator lacks the privilege.
        """
        _post(self.port, f"{_CONTROL}/switch", json.dumps(switches).encode())

    def forget_seen(self) -> None:
        """Begin ``seen`` anew."""
        _post(self.port, f"{_CONTROL}/forget", b"")

    def reset(self) -> None:
        """Forget users, switches and what was seen."""
        _post(self.port, f"{_CONTROL}/reset", b"")

    def share_admin(self, other: ClickHouseFront) -> None:
        """Take another front's administrator, as the servers of a cluster have one."""
        self.admin_password = other.admin_password
        digest = hashlib.sha256(self.admin_password.encode()).hexdigest()
        _post(self.port, f"{_CONTROL}/admin", digest.encode())

    def query(self, text: str, user: str | None = None, password: str | None = None) -> str:
        """Return the answer to a query, the administrator's unless told otherwise.

        Raises:
            PermissionError: The front answered, and refused; its text begins with ``Code: N``.
        """
        login = {"X-ClickHouse-User": user or self.admin, "X-ClickHouse-Key": password or self.admin_password}
        return _post(self.port, "/", text.encode(), login).decode()

    def stop(self) -> None:
        """End it. Safe to repeat."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def running_front(folder: Path) -> Iterator[ClickHouseFront]:
    """Run a front until the block ends; ``folder`` takes the engine's tables."""
    front = ClickHouseFront(folder)
    try:
        yield front
    finally:
        front.stop()


def _post(port: int, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        told = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise PermissionError(told.decode("utf-8", "replace"))
    return told


def _end_with_the_starter() -> None:
    """End when the process that started this one has ended, however it did."""
    sys.stdin.read()
    os._exit(0)


def _main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the engine's own end complains, and keeps nothing of worth
    _Handler.front = Front(sys.argv[1], sys.stdin.readline().strip())
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
