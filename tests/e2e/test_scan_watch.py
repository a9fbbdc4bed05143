"""``scan watch`` as a process: hooks and webhooks tell it of pushes, and no push is lost."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.e2e.desk import Desk
from tests.leaks.watch_scene import WEBHOOK_SECRET, Clone, Daemon, GitServer, blocking_git, waiting_records
from vantage_secrets.bootstrap import initialise
from vantage_secrets.manifest import FILE_NAME
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.embedded import open_embedded


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled rules are kept: compiling them takes longer than these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def server(tmp_path: Path, cache: Path) -> GitServer:
    return GitServer(tmp_path, cache)


def leak(work: Clone, name: str = "settings.env") -> str:
    return work.commit(f"KAFKA_SASL_PASSWORD={canary()}\n", name=name)


def test_a_push_that_a_hook_hands_over_is_told_once(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--socket", str(server.socket))
    work = server.clone(bare)
    with Daemon(server, "--repository", f"platform/collector={bare}", "--socket", str(server.socket)) as daemon:
        assert daemon.until("scan")["new"] == 0
        commit = leak(work)
        code, written = work.push()
        assert code == 0
        assert "scanned here" not in written
        found = daemon.until("finding")
        assert (found["repository"], found["place"]["path"], found["line"]) == ("platform/collector", "settings.env", 1)
        assert found["attribution"]["first"]["commit"] == commit
        scan = daemon.until("scan")
        assert (scan["new"], scan["unread"]) == (1, 0)
        assert scan["pushes"][0]["updates"][0][0] == "refs/heads/main"
        work.push_of(f"AT={time.time_ns()}\n", name="other.env")
        scan = daemon.until("scan")
        assert (scan["new"], scan["told_before"]) == (0, 1)
        assert scan["read"]["blob"] == 1  # all others were read before
        assert daemon.stop() == 0
    with Daemon(server, "--repository", f"platform/collector={bare}", "--once") as daemon:
        assert daemon.until("scan")["told_before"] == 1
        assert daemon.told() == []
        assert daemon.process.wait(timeout=60) == 0
    assert waiting_records(server) == []


def test_two_pushes_at_once_are_each_told_once(server: GitServer) -> None:
    names = ("collector", "worker")
    bares = {name: server.bare(name) for name in names}
    works = []
    for name, bare in bares.items():
        server.install(bare, "--socket", str(server.socket))
        for number in (1, 2):
            work = server.clone(bare, f"{name}-{number}")
            leak(work, f"{name}-{number}.env")
            works.append((work, f"HEAD:refs/heads/{number}"))
    watched = [word for name, bare in bares.items() for word in ("--repository", f"{name}={bare}")]
    with Daemon(server, *watched, "--socket", str(server.socket)) as daemon:
        pushes = [work.start_push(ref) for work, ref in works]
        assert [push.communicate(timeout=90) and push.returncode for push in pushes] == [0] * 4
        found = {(daemon.until("finding")["place"]["path"]) for _push in pushes}
        assert found == {f"{name}-{number}.env" for name in names for number in (1, 2)}
        assert daemon.stop() == 0
        assert len(daemon.told()) == 4
    with Daemon(server, *watched, "--once") as daemon:  # what came while the last one scanned still waits
        assert [daemon.until("scan")["new"] for _name in names] == [0, 0]
        assert daemon.process.wait(timeout=60) == 0
    assert waiting_records(server) == []


def test_a_kill_in_the_middle_of_a_scan_loses_no_push(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--socket", str(server.socket))
    work = server.clone(bare)
    watched = ("--repository", f"collector={bare}")
    # Its first scan never gets beyond 'git fetch'.
    words = (*watched, "--socket", str(server.socket), "--fetch")
    with blocking_git(server.folder) as path, Daemon(server, *words, env={"PATH": path}) as daemon:
        leak(work)
        assert "scanned here" not in work.push()[1]
        assert len(waiting_records(server)) == 1
        daemon.kill()
        assert daemon.told() == []
    assert len(waiting_records(server)) == 1
    with Daemon(server, *watched, "--once") as daemon:
        assert daemon.until("finding")["place"]["path"] == "settings.env"
        assert daemon.until("scan")["pushes"][0]["updates"][0][0] == "refs/heads/main"
        assert daemon.process.wait(timeout=60) == 1
    assert waiting_records(server) == []


def test_a_fetch_that_fails_keeps_the_push_and_is_said_without_the_address(server: GitServer) -> None:
    bare = server.bare()
    password = canary()
    server.git(bare, "remote", "add", "origin", f"http://ana:{password}@127.0.0.1:1/collector.git")
    (bare / "config").rename(bare / "config.CLEAR")
    (bare / "config").symlink_to("config.CLEAR")
    with Daemon(server, "--repository", f"collector={bare}", "--fetch", "--once") as daemon:
        assert "Fetching failed" in daemon.until("problem")["reason"]
        assert daemon.process.wait(timeout=60) == 3


def test_one_process_at_a_time_uses_a_state_folder(server: GitServer) -> None:
    watched = ("--repository", f"collector={server.bare()}")
    with Daemon(server, *watched):
        code, written = server.command(*watched, "--state", str(server.state), "--once")
    assert code == 2
    assert "Another process watches" in written


def test_once_ends_as_a_scan_does(server: GitServer) -> None:
    bare = server.bare()
    work = server.clone(bare)
    words = ("--repository", f"collector={bare}", "--state", str(server.state), "--once")
    assert server.command(*words)[0] == 0
    leak(work)
    work.push()
    assert server.command(*words)[0] == 1
    assert server.command(*words)[0] == 0  # it was told
    work.push_of("MODE=fast\n", name="other.env")
    blob = server.git(bare, "rev-parse", "main:other.env")
    broken = bare / "objects" / blob[:2] / blob[2:]
    broken.chmod(0o600)
    broken.write_bytes(b"nothing of Git's")
    code, written = server.command(*words)
    assert code == 3
    assert '"event": "unread"' in written or '"event": "problem"' in written


# Webhooks


def body_of(repository: str = "platform/collector", **more: Any) -> bytes:
    content = {"ref": "refs/heads/main", "before": "0" * 40, "after": "1" * 40, **more}
    content["repository"] = {"full_name": repository}
    content["project"] = {"path_with_namespace": repository}
    return json.dumps(content).encode()


def signature(body: bytes, secret: str = WEBHOOK_SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(body: bytes, secret: str = WEBHOOK_SECRET, event: str = "push") -> dict[str, str]:
    return {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={signature(body, secret)}"}


def gitlab(token: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": token}


def gitea(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"X-Gitea-Event": "push", "X-Gitea-Signature": signature(body, secret)}


def ask(daemon: Daemon, body: bytes, headers: dict[str, str], *, method: str = "POST", path: str = "/push") -> int:
    host, _colon, port = daemon.started["listen"].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        assert answer.read() == b""
        return answer.status
    finally:
        connection.close()


def listening(server: GitServer, bare: Path, *words: str, **options: Any) -> Daemon:
    return Daemon(server, "--repository", f"platform/collector={bare}", "--listen", "127.0.0.1:0", *words, **options)


def test_each_forge_is_heard_with_the_right_secret_only(server: GitServer) -> None:
    push = body_of(object_kind="push")
    wrong = "another secret, as long as that one"
    with listening(server, server.bare()) as daemon:
        assert daemon.until("scan")["pushes"] == []
        for origin, right in {"github": github(push), "gitlab": gitlab(), "gitea": gitea(push)}.items():
            assert ask(daemon, push, right) == 202
            assert daemon.until("scan")["pushes"][0]["origin"] == origin
        for headers in (github(push, wrong), gitlab(wrong), gitea(push, wrong), {"X-GitHub-Event": "push"}):
            assert ask(daemon, push, headers) == 401
        assert ask(daemon, push + b" ", github(push)) == 401  # signed, and changed on the way


def test_strangers_learn_nothing_and_senders_little(server: GitServer) -> None:
    known, unknown = body_of(), body_of("platform/other")
    wrong = "another secret, as long as that one"
    with listening(server, server.bare()) as daemon:
        assert {ask(daemon, body, github(body, wrong)) for body in (known, unknown, b"{", b"")} == {401}
        assert {ask(daemon, body, github(body)) for body in (unknown, b"{", b"[]", b"\xff")} == {204}
        assert ask(daemon, known, github(known, event="ping")) == 204
        assert ask(daemon, known, github(known), path="/other") == 404
        assert ask(daemon, b"", {}, method="GET", path="/health") == 200
        assert ask(daemon, b"", {}, method="PUT") == 501
        assert ask(daemon, b"", {"Content-Length": "25000001"}) == 413
        assert ask(daemon, b"", {"Content-Length": "-1"}) == 411
        assert daemon.stop() == 0
        assert [scan["pushes"] for scan in daemon.told("scan")] == [[]]


def test_a_webhook_makes_a_mirror_fetch_what_was_pushed(server: GitServer) -> None:
    origin = server.bare("origin")
    work = server.clone(origin)
    work.push_of("MODE=fast\n")
    mirror = server.folder / "mirror.git"
    server.git(server.folder, "clone", "-q", "--mirror", str(origin), str(mirror))
    with listening(server, mirror, "--fetch") as daemon:
        assert daemon.until("scan")["new"] == 0
        commit = leak(work)
        work.push()
        body = body_of("Platform/Collector")  # forges do not tell upper from lower case
        assert ask(daemon, body, github(body)) == 202
        assert daemon.until("finding")["attribution"]["first"]["commit"] == commit


def test_a_flood_of_pushes_needs_no_room(server: GitServer) -> None:
    body = body_of()
    with blocking_git(server.folder) as path, listening(server, server.bare(), "--fetch", env={"PATH": path}) as daemon:
        assert {ask(daemon, body, github(body)) for _push in range(130)} == {202}
        assert len(waiting_records(server)) == 100


def test_a_secret_file_is_private_and_may_hold_two_during_a_change(server: GitServer) -> None:
    secret = server.folder / "webhook.CLEAR"
    new, old = canary("new"), canary("old")
    secret.write_text(f"{new}\n{old}\n")
    secret.chmod(0o644)
    bare = server.bare()
    words = ("--repository", f"platform/collector={bare}", "--listen", "127.0.0.1:0", "--secret-file", str(secret))
    code, written = server.command(*words)
    assert code == 5
    assert "chmod 600" in written
    secret.chmod(0o600)
    push = body_of()
    with listening(server, bare, "--secret-file", str(secret)) as daemon:
        assert [ask(daemon, push, github(push, each)) for each in (new, old, WEBHOOK_SECRET)] == [202, 202, 401]
        secret.write_text(f"{new}\n")
        assert [ask(daemon, push, github(push, each)) for each in (new, old)] == [202, 401]
    secret.write_text("short\n")
    code, written = server.command(*words)
    assert code == 2
    assert "fewer than 16 bytes" in written


def test_without_a_secret_nothing_listens(server: GitServer) -> None:
    words = ("--repository", f"collector={server.bare()}", "--listen", "127.0.0.1:0")
    code, written = server.command(*words, env={"VANTAGE_SECRETS_WEBHOOK_SECRET": ""})
    assert code == 2
    assert "A webhook needs a secret." in written


# With a manifest


class Notices:
    """A place of Apprise's that takes notices, or does not."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.is_away = False
        notices = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not notices.is_away:
                    notices.taken.append(json.loads(body))
                self.send_response(503 if notices.is_away else 200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/{canary('place')}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def notices() -> Iterator[Notices]:
    opened = Notices()
    yield opened
    opened.close()


def store_value(folder: Path, name: str, value: str) -> None:
    options = {"key_file": str(folder / ".vantage-secrets/key")}
    url = f"embedded://{folder}/.vantage-secrets/secrets.db"
    with open_embedded(url, environment="test", options=options) as store:
        version = store.stage(SecretName(name), SecretValue(value), "put")
        store.promote(SecretName(name), version.id, expect_current=None)


@pytest.fixture
def desk(server: GitServer) -> Desk:
    initialise(server.folder, environment="test")
    return Desk(server.folder)


def test_a_value_of_the_store_is_refused_by_its_name(server: GitServer, desk: Desk) -> None:
    value = desk.hold("KAFKA_SASL_PASSWORD")
    bare = server.bare()
    server.install(bare, "--refuse", "--known")
    code, written = server.clone(bare).push_of(f"nothing that looks like a password: {value.encode().hex()}\n")
    assert code == 1
    assert "This is KAFKA_SASL_PASSWORD, version 1, CURRENT" in written


def test_the_webhook_secret_may_come_from_the_store(server: GitServer, desk: Desk) -> None:
    with (server.folder / FILE_NAME).open("a") as file:
        file.write(
            '\n[secrets.WEBHOOK_SECRET]\nname = "webhook"\nkind = "static"\npurpose = "Pushes"\nowner = "platform"\n'
            'consumers = ["watcher"]\nmax_age = "90d"\ngrace = "1h"\nrequired = "never"\n'
        )
    value = canary("webhook")
    store_value(server.folder, "webhook", value)
    push = body_of()
    with listening(server, server.bare(), "--secret", "WEBHOOK_SECRET") as daemon:
        assert ask(daemon, push, github(push, value)) == 202
        assert ask(daemon, push, github(push)) == 401


_QUIET = {"PYTHONWARNINGS": ""}
"""Apprise imports a module that this Python warns of."""


def test_people_are_told_of_a_new_finding_once(server: GitServer, desk: Desk, notices: Notices) -> None:
    with (server.folder / FILE_NAME).open("a") as file:
        file.write('\n[notifications]\nsecrets = ["ops-place"]\n')
    store_value(server.folder, "ops-place", notices.url)
    bare = server.bare()
    work = server.clone(bare)
    words = ("--repository", f"collector={bare}", "--state", str(server.state), "--once")
    leak(work)
    work.push()
    assert server.command(*words, env=_QUIET)[0] == 1
    assert server.command(*words, env=_QUIET)[0] == 0
    (told,) = notices.taken
    assert told["title"] == "1 new leak in collector"
    assert "settings.env:1, by Author <author@dev.example>" in told["message"]


def test_people_who_cannot_be_reached_are_told_later(server: GitServer, desk: Desk, notices: Notices) -> None:
    with (server.folder / FILE_NAME).open("a") as file:
        file.write('\n[notifications]\nsecrets = ["ops-place"]\n')
    store_value(server.folder, "ops-place", notices.url)
    bare = server.bare()
    work = server.clone(bare)
    words = ("--repository", f"collector={bare}", "--state", str(server.state), "--once")
    leak(work)
    work.push()
    notices.is_away = True
    code, written = server.command(*words, env=_QUIET)
    assert code == 1
    assert "was not taken" in written
    notices.is_away = False
    assert server.command(*words, env=_QUIET)[0] == 0
    assert len(notices.taken) == 1
