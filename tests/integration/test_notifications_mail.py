"""Notices by mail, to a real SMTP server that wants a login; the URL with its password is seen nowhere."""

from __future__ import annotations

import email
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.canary import canary, leaks_in, planted
from tests.e2e.desk import put
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.clock import utc_now
from vantage_secrets.drivers.scheduler import Happening, Scheduler
from vantage_secrets.rotation.notifications import deliver_by_apprise
from vantage_secrets.secret import SecretValue
from vantage_secrets.testing import FakeClock

USER = "rotation"
HOUR = timedelta(hours=1)


class _Server:
    """Keeps the mails of whoever has logged in with the right password."""

    def __init__(self, password: str) -> None:
        self.mails: list[EmailMessage] = []
        self.password = password
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=_free_port(),
            authenticator=self.check,
            auth_require_tls=False,
        )

    def check(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        is_right = isinstance(login, LoginPassword) and login == LoginPassword(USER.encode(), self.password.encode())
        return AuthResult(success=is_right, handled=False)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if not session.authenticated:
            return "530 log in first"
        parsed = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        return "250 taken"

    def url(self, password: str) -> str:
        place = f"{USER}:{password}@127.0.0.1:{self.controller.port}"
        return f"mailto://{place}/?smtp=127.0.0.1&from=rotation@example.org&to=ops@example.org&mode=insecure"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(canary("smtp"))
    server.controller.start()
    yield server
    server.controller.stop()


def test_a_mail_arrives_with_title_and_body_and_the_password_is_nowhere(
    server: _Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deliver_by_apprise([server.url(server.password)], "Rotation of KEY failed", "No answer.\nWait.") == [True]
    [mail] = server.mails
    assert mail["Subject"] == "Rotation of KEY failed"
    assert mail["To"] == "ops@example.org"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "No answer." in body.get_content()
    seen = "".join(capfd.readouterr()).encode() + mail.as_bytes()
    assert not leaks_in(seen, planted())


def test_what_is_refused_unreachable_or_no_url_is_not_taken_and_keeps_no_other_from_it(
    server: _Server, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"json://{USER}:{canary('away')}@127.0.0.1:{nobody.getsockname()[1]}/"
        urls = [server.url(canary("wrong")), away, canary("no-url"), server.url(server.password)]
        assert deliver_by_apprise(urls, "title", "body") == [False, False, False, True]
    assert len(server.mails) == 1
    assert capfd.readouterr() == ("", "")


def test_a_place_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vantage_secrets.rotation.notifications.DELIVERY_SECONDS_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert deliver_by_apprise([f"json://127.0.0.1:{port}/"], "title", "body") == [False]


def test_nothing_is_imported_from_the_folder_that_one_stands_in(
    server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "apprise.py").write_text("raise SystemExit('taken from the folder')")
    monkeypatch.chdir(tmp_path)
    assert deliver_by_apprise([server.url(server.password)], "title", "body") == [True]


def test_a_rotation_that_fails_is_mailed_once_by_a_scheduler(server: _Server, tmp_path: Path) -> None:
    manifest = initialise(tmp_path, environment="test")
    with manifest.path.open("a") as file:
        file.write(_FAILING)
    put(tmp_path, "door", days_ago=89)
    clock = FakeClock(utc_now())
    told: list[Happening] = []
    with closing(open_workspace(manifest.path, clock=clock)) as workspace:
        place = workspace.manifest.find("OPS_PLACE")
        workspace.introduce(place, SecretValue(server.url(server.password)))
    scheduler = Scheduler(lambda: open_workspace(manifest.path, clock=clock), tell=told.append)
    for _ in range(3):
        assert not scheduler.run(every=HOUR, once=True)
        clock.advance(HOUR)
    [mail] = server.mails
    assert mail["Subject"] == "Rotation of DOOR failed"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "'/bin/false'" in body.get_content()
    assert [one.what for one in told if one.key == "DOOR"] == ["failed"] * 3
    assert not [one for one in told if one.what == "problem"]


_FAILING = """
[targets.command]
command = ["/bin/false"]

[secrets.DOOR]
name = "door"
kind = "command"
purpose = "A door whose program fails."
owner = "tests"

[secrets.OPS_PLACE]
name = "ops-place"
purpose = "Where people are told."
owner = "tests"
required = "never"

[notifications]
secrets = ["ops-place"]
"""
