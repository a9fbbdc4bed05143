"""``scan --validate`` with the real Kingfisher against a vendor's server of our own; nothing leaves this machine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.leaks.made_findings import finding as made_finding
from tests.leaks.made_findings import known
from vantage_secrets.errors import InvalidInputError, MissingExtraError
from vantage_secrets.leaks import validation
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.finding import Finding, Place, Status
from vantage_secrets.leaks.validation import Candidates

PROGRAM = Path(sys.executable).with_name("vantage-secrets")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled rules are kept: compiling them takes longer than these tests."""
    return tmp_path_factory.mktemp("cache")


def token(seed: str) -> str:
    return expand("ghp_{alnum:30}{github-checksum}", random.Random(seed))


class Vendor:
    """GitHub's ``/user`` for one live token."""

    def __init__(self, live: str) -> None:
        self.asked: list[str] = []
        self.processes = b""
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = self.headers.get("Authorization", "").removeprefix("token ")
                vendor.asked.append(given)
                vendor.processes += _words_and_environments()
                is_live = given == live
                body = json.dumps({"login": "ana"} if is_live else {"message": "Bad credentials"}).encode()
                self.send_response(200 if is_live else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _words_and_environments() -> bytes:
    """Return what other users may read of all processes but this one."""
    found = b""
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != str(os.getpid()):
            for name in ("cmdline", "environ"):
                try:
                    found += (folder / name).read_bytes()
                except OSError:
                    continue  # it has ended
    return found


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    opened = Vendor(token("live"))
    yield opened
    opened.close()


def scan(folder: Path, cache: Path, *words: str, env: dict[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """Return the report and what stood on standard error."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(cache),
        "VANTAGE_SECRETS_FINGERPRINT_KEY": "5a" * 32,
        **(env or {}),
    }
    command = [PROGRAM, "scan", "CLEAR", "--format", "json", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 1, done.stderr.decode()
    assert token("live").encode() not in done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr.decode()


def plant(folder: Path, content: str) -> None:
    (folder / "CLEAR").mkdir()
    (folder / "CLEAR" / "settings.env").write_text(content)


def test_a_vendor_says_which_values_are_live(tmp_path: Path, cache: Path, vendor: Vendor) -> None:
    live, dead = token("live"), token("dead")
    plant(tmp_path, f"A={live}\nB={dead}\nC={live}\nKAFKA_SASL_PASSWORD={canary()}\n")
    report, said = scan(tmp_path, cache, "--validate", "--validate-at", f"GITHUB_BASE_URL={vendor.url}")
    verdicts = {finding["line"]: finding["validity"] for finding in report["findings"]}
    assert verdicts == {1: "active", 2: "inactive", 3: "active", 4: "unknown"}
    assert sorted(vendor.asked) == sorted([live, dead])  # each once
    assert "each is sent to its own vendor" in said
    assert report["coverage"]["notes"] == []
    for value in (live, dead):
        assert value.encode() not in vendor.processes
    assert b"kingfisher_sdk" in vendor.processes  # it was looked at while it asked


def test_nobody_is_asked_when_that_was_not_wanted(tmp_path: Path, cache: Path, vendor: Vendor) -> None:
    plant(tmp_path, f"A={token('live')}\n")
    report, said = scan(tmp_path, cache, env={"GITHUB_BASE_URL": vendor.url})
    assert [finding["validity"] for finding in report["findings"]] == [""]
    assert (said, vendor.asked) == ("", [])


def test_what_is_allowed_is_not_sent(tmp_path: Path, cache: Path, vendor: Vendor) -> None:
    allowed = '# vantage-secrets: allow github-token reason="made up, for the tests"'
    plant(tmp_path, f"A={token('live')} {allowed}\nB={token('dead')}\n")
    report, _said = scan(tmp_path, cache, "--validate", "--validate-at", f"GITHUB_BASE_URL={vendor.url}", "--all")
    assert [finding["validity"] for finding in report["findings"]] == ["", "inactive"]
    assert vendor.asked == [token("dead")]


def candidates_of(cache: Path, vendor: Vendor, rule: str, value: str) -> tuple[Candidates, Finding]:
    finding = made_finding(value, Place("tree", "settings.env"), rule=rule)
    candidates = Candidates({"GITHUB_BASE_URL": vendor.url}, cache)
    candidates.take(finding, value.encode())
    return candidates, finding


@pytest.mark.parametrize(("rule", "is_asked"), [("github-token", True), ("paystack-key", False)])
def test_a_value_goes_to_the_vendor_that_its_rule_names_and_to_no_other(
    cache: Path, vendor: Vendor, rule: str, is_asked: bool
) -> None:
    # Whatever Kingfisher takes it for: its rule for Stripe, say, takes keys of Paystack too.
    candidates, finding = candidates_of(cache, vendor, rule, token("live"))
    (validated,) = candidates.validated([finding]).findings
    assert validated.validity == ("active" if is_asked else "unknown")
    assert vendor.asked == ([token("live")] if is_asked else [])


def test_values_of_the_store_and_kinds_without_a_vendor_are_no_candidates(cache: Path, vendor: Vendor) -> None:
    value = token("live")
    candidates, finding = candidates_of(cache, vendor, "generic-password", value)
    candidates.take(finding._replace(rule="github-token", known=known()), value.encode())
    candidates.take(finding._replace(rule="github-token", status=Status.BASELINE), value.encode())
    assert len(candidates) == 0
    assert value not in repr(candidates)
    assert candidates.validated([finding]).findings[0].validity == "unknown"


def test_a_vendor_that_does_not_answer_is_no_verdict(cache: Path) -> None:
    opened = Vendor(token("live"))
    opened.close()
    candidates, finding = candidates_of(cache, opened, "github-token", token("live"))
    done = candidates.validated([finding])
    assert (done.findings[0].validity, done.notes) == ("unknown", ())


def test_more_values_than_the_limit_are_said_to_be_left(
    cache: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "VALUES_MAX", 2)
    values = [token(f"number {number}") for number in range(3)]
    candidates, finding = candidates_of(cache, vendor, "github-token", values[0])
    findings = [finding]
    for value in values[1:]:
        findings.append(made_finding(value, Place("tree", "settings.env"), rule="github-token"))
        candidates.take(findings[-1], value.encode())
    done = candidates.validated(findings)
    assert [each.validity for each in done.findings] == ["inactive", "inactive", "unknown"]
    assert done.notes == ("Vendors were asked about 2 values only, of 3.",)
    assert len(vendor.asked) == 2


def test_a_child_that_does_not_end_is_ended_and_that_is_said(
    cache: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "_CHILD", "import sys, time; sys.stdin.read(); time.sleep(600)")
    monkeypatch.setattr(validation, "SECONDS_MAX", 0.1)
    monkeypatch.setattr(validation, "_START_SECONDS", 0.1)
    candidates, finding = candidates_of(cache, vendor, "github-token", token("live"))
    done = candidates.validated([finding])
    assert (done.findings[0].validity, done.notes) == ("unknown", ("Vendors could not be asked about all values.",))


def test_without_kingfisher_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError) as raised:
        Candidates({}, None)
    assert raised.value.hint == "pip install 'vantage-secrets[validate]'"


def test_an_endpoint_that_is_no_url_is_a_mistake() -> None:
    with pytest.raises(InvalidInputError):
        Candidates({"GITHUB_BASE_URL": "git.example.com"}, None)
