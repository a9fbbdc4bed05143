"""A program of the user's as a target: the documented example keeps the contract, and bad programs do no harm."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import scrypt
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.targets import context, reading
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.command import CommandTarget
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse, Overlap, Probe, Target
from vantage_secrets.testing import TargetContract, TargetOutageContract
from vantage_secrets.testing.target_contract import Opens

PAGE = Path(__file__).parents[2] / "docs" / "targets" / "command.md"


@pytest.fixture
def documented_program(tmp_path: Path) -> Path:
    """The program that the page shows, in a file."""
    (program,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "#!" in code]
    assert len(program.splitlines()) < 60
    file = tmp_path / "door.py"
    file.write_text(program)
    return file


def _open(*command: str | Path, **settings: Any) -> CommandTarget:
    settings = {"timeout": timedelta(seconds=30), "command": tuple(map(str, command))} | settings
    account = settings.pop("account", "")
    return CommandTarget(context("command", account=account, **settings))


class TestTheDocumentedProgram(TargetContract):
    @pytest.fixture
    def target(self, documented_program: Path, tmp_path: Path) -> Target:
        return _open(sys.executable, "-S", documented_program, tmp_path / "door.json")

    @pytest.fixture
    def opens(self, tmp_path: Path) -> Opens:
        def opens(reading: SecretReading) -> bool:
            now, value = datetime.now(UTC).isoformat(), reading.value.reveal_text().encode()
            entries = json.loads((tmp_path / "door.json").read_text()).values()
            return any(
                scrypt(value, salt=bytes.fromhex(one["salt"]), n=1024, r=8, p=1).hex() == one["digest"]
                for one in entries
                if now < one["ends_at"]
            )

        return opens


class TestAProgramWhoseTargetIsAway(TargetOutageContract):
    @pytest.fixture
    def unreachable_target(self, program: Callable[..., CommandTarget]) -> Target:
        return program('say(answer="unavailable", message="no route to host")')

    @pytest.fixture
    def readings(self) -> tuple[SecretReading, SecretReading]:
        return reading(SecretValue(canary()), "1"), reading(SecretValue(canary()), "2")


class TestAProgramThatFails(TestAProgramWhoseTargetIsAway):
    @pytest.fixture
    def unreachable_target(self, program: Callable[..., CommandTarget]) -> Target:
        return program("sys.exit(3)")


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., CommandTarget]:
    """Return a maker of targets from the lines of a program, which find what was asked in ``asked``."""

    def make(body: str, **settings: Any) -> CommandTarget:
        file = tmp_path / "program.py"
        file.write_text(
            "import json, os, signal, subprocess, sys, time\n"
            "def say(**answer): print(json.dumps(answer))\n"
            f"asked = json.load(sys.stdin)\n{body}\n"
        )
        return _open(sys.executable, "-S", file, *settings.pop("arguments", ()), **settings)

    return make


@pytest.fixture
def first() -> SecretReading:
    return reading(SecretValue(canary()), "first")


def test_values_are_on_standard_input_and_nowhere_else(
    program: Callable[..., CommandTarget], first: SecretReading, tmp_path: Path
) -> None:
    told = tmp_path / "CLEAR-told.json"
    target = program(
        f"value = asked['pending']['value']; environment = open('/proc/self/environ').read()\n"
        f"command = open('/proc/self/cmdline').read()\n"
        f"open({str(told)!r}, 'w').write(json.dumps([asked, value in environment + command, os.getcwd()]))\n"
        "say(answer='ok')",
        account="ingest",
    )
    second = reading(SecretValue({"username": "u", "password": canary()}), "second")
    target.install(first, keep=second)
    asked, is_leaked, _ = json.loads(told.read_text())
    assert asked == {
        "protocol": 1,
        "verb": "install",
        "secret": "vantage/credential",
        "account": "ingest",
        "pending": {"version": "first", "value": first.value.reveal_text()},
        "keep": {"version": "second", "value": second.value.reveal()},
    }
    assert not is_leaked


def test_a_program_that_says_ok_to_everything_proves_nothing(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    target = program("say(answer='ok')")
    for verb in (target.verify, target.verify_refused):
        with pytest.raises(RotationError, match="answer is accepted or refused"):
            verb(first)


@pytest.mark.parametrize("word", ["accepted", "refused"])
def test_a_word_of_a_login_is_no_answer_to_an_order(
    program: Callable[..., CommandTarget], first: SecretReading, word: str
) -> None:
    target = program(f"say(answer='{word}')")
    for call in (target.probe, lambda: target.install(first, keep=None), lambda: target.revoke(first, keep=None)):
        with pytest.raises(RotationError, match="answer is ok"):
            call()


def test_verify_and_verify_refused_take_the_programs_word(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    accepting = program("say(answer='accepted')")
    accepting.verify(first)
    with pytest.raises(CredentialAcceptedError, match="still accepted"):
        accepting.verify_refused(first)
    refusing = program("say(answer='refused')")
    refusing.verify_refused(first)
    with pytest.raises(CredentialRefusedError):
        refusing.verify(first)


# what a program leaves to us


def test_a_program_is_asked_for_optional_verbs_only_when_it_knows_them(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    target = program("say(answer='ok' if asked['verb'] == 'probe' else 'error')")
    until = datetime(2030, 1, 1, tzinfo=UTC)
    assert target.limit(first, until=until, keep=None) == until
    assert target.last_used(first) == UNKNOWN_USE
    assert len(target.generate(first).reveal_text()) == 43


def test_a_program_that_knows_them_is_taken_at_its_word(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    target = program(
        "say(answer='ok', knows=['generate', 'limit', 'last_used', 'more'], value={'username': 'u', 'password': 'p'},"
        " ends_at='2029-01-01T02:00:00+02:00', at='2028-01-01T00:00:00Z')"
    )
    assert target.generate(None).reveal() == {"username": "u", "password": "p"}
    assert target.limit(first, until=datetime(2030, 1, 1, tzinfo=UTC), keep=None) == datetime(2029, 1, 1, tzinfo=UTC)
    assert target.last_used(first) == LastUse(True, datetime(2028, 1, 1, tzinfo=UTC))


def test_a_limit_that_would_lengthen_a_life_is_an_error(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    target = program("say(answer='ok', knows=['limit'], ends_at='2030-01-01T00:00:01Z')")
    with pytest.raises(RotationError, match="later than 2030-01-01 00:00:00"):
        target.limit(first, until=datetime(2030, 1, 1, tzinfo=UTC), keep=None)


def test_accounts_alternate_where_the_program_promises_it(program: Callable[..., CommandTarget]) -> None:
    target = program("say(answer='ok')", overlap="alternating-users", account="ingest")
    one = target.generate(None)
    two = target.generate(reading(one, "1"))
    three = target.generate(reading(two, "2"))
    plain = target.generate(reading(SecretValue(canary()), "0"))
    users = [value.field("username") for value in (one, two, three, plain)]
    assert users == ["ingest-a", "ingest-b", "ingest-a", "ingest-a"]
    assert target.probe().overlap is Overlap.ALTERNATING_USERS
    with pytest.raises(RotationError, match="Nothing says which accounts alternate"):
        program("say(answer='ok')", overlap="alternating-users").generate(None)


def test_a_probe_passes_on_what_the_program_says_on_one_line(program: Callable[..., CommandTarget]) -> None:
    target = program(r"say(answer='ok', summary='two\n\x1b[31m', accepted_count=2, warnings=['look\tout'])")
    assert target.probe() == Probe("two [31m", Overlap.TWO_CREDENTIALS, 2, ("look out",))


# programs that do not behave


MISTAKES = {
    "print('vsk')": "standard output is one JSON object",
    "print('[1]')": "standard output is one JSON object",
    "pass": "standard output is one JSON object",
    "say(answer=1)": "answer is a text",
    "say()": "answer is a text",
    "say(answer='perhaps')": "answer is ok",
    "say(answer='ok', accepted_count=True)": "accepted_count is a whole number",
    "say(answer='ok', warnings='none')": "warnings is a list of texts",
    "say(answer='ok', summary=[])": "summary is a text",
}


@pytest.mark.parametrize("body", MISTAKES)
def test_an_answer_that_is_not_of_the_protocol_is_refused_and_the_rule_is_named(
    program: Callable[..., CommandTarget], body: str
) -> None:
    with pytest.raises(RotationError, match="did not keep the protocol, by which " + MISTAKES[body]):
        program(body).probe()


@pytest.mark.parametrize(("body", "rule"), [("value=''", "value is"), ("value=7", "value is"), ("", "value is")])
def test_a_generated_value_that_is_none_is_refused(program: Callable[..., CommandTarget], body: str, rule: str) -> None:
    with pytest.raises(RotationError, match=rule):
        program(f"say(answer='ok', knows=['generate'], {body})").generate(None)


@pytest.mark.parametrize("ends_at", ["soon", "2030-01-01T00:00:00"])
def test_a_time_without_a_zone_is_refused(
    program: Callable[..., CommandTarget], first: SecretReading, ends_at: str
) -> None:
    with pytest.raises(RotationError, match="ends_at is a time with its zone"):
        program(f"say(answer='ok', knows=['limit'], ends_at='{ends_at}')").limit(
            first, until=datetime.now(UTC), keep=None
        )


def test_no_value_comes_back_in_a_message_or_from_standard_error(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    second = reading(SecretValue({"username": "u" * 9, "password": canary()}), "second")
    for answer, kind in (("error", RotationError), ("unavailable", TargetUnavailableError)):
        target = program(
            "kept = asked['keep']['value']['password']; mine = asked['pending']['value']\n"
            "print(mine, kept, file=sys.stderr)\n"
            f"say(answer='{answer}', message=f'cannot set {{mine}}\\nnor {{kept}}' + 'x' * 999)"
        )
        with pytest.raises(kind, match=r"cannot set \*\*\* nor \*\*\*x") as caught:
            target.install(first, keep=second)
        assert len(str(caught.value)) < 500
    with pytest.raises(TargetUnavailableError, match=r"exit code 1. It wrote [\d,]+ bytes on standard error"):
        program("raise RuntimeError(asked['reading']['value'])").verify(first)
    with pytest.raises(RotationError, match="one JSON object"):
        program("print(asked['reading']['value'])").verify(first)


def test_a_program_that_does_not_end_is_killed_with_all_that_it_started(
    program: Callable[..., CommandTarget], first: SecretReading, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    target = program(
        "child = subprocess.Popen(['sleep', '600'])\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)",
        timeout=timedelta(seconds=3),
    )
    with pytest.raises(TargetUnavailableError, match="did not end in time and was killed"):
        target.verify(first)
    _wait_until_gone(pids)


def test_what_a_program_leaves_running_is_killed_and_not_waited_for(
    program: Callable[..., CommandTarget], first: SecretReading, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    target = program(
        "child = subprocess.Popen(['sleep', '600'])\n"  # it holds the pipes
        f"open({str(pids)!r}, 'w').write(f'{{child.pid}}')\n"
        "say(answer='accepted')"
    )
    target.verify(first)
    _wait_until_gone(pids)


def test_a_program_that_talks_without_end_is_killed(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    with pytest.raises(RotationError, match="more than 65,536 bytes"):
        program("while True: print('x' * 9999)").verify(first)


def test_a_program_that_complains_at_length_is_heard_out(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    program("sys.stderr.write('x' * 1_000_000); say(answer='accepted')").verify(first)


def test_a_program_that_does_not_read_may_still_answer(tmp_path: Path) -> None:
    file = tmp_path / "program.sh"
    file.write_text('#!/bin/sh\nexec <&-\necho \'{"answer": "accepted"}\'\n')
    file.chmod(0o755)
    _open(file).verify(reading(SecretValue("x" * 25_000), "long"))


def test_the_longest_value_goes_through(program: Callable[..., CommandTarget]) -> None:
    longest = reading(SecretValue("\x01" * 25_600), "long")  # six bytes each in JSON: more than a pipe holds
    program("say(answer='accepted' if len(asked['reading']['value']) == 25_600 else 'refused')").verify(longest)


def test_a_program_killed_by_somebody_else_proves_nothing(
    program: Callable[..., CommandTarget], first: SecretReading
) -> None:
    with pytest.raises(TargetUnavailableError, match="exit code -9"):
        program("os.kill(os.getpid(), signal.SIGKILL)").verify_refused(first)


def test_bytes_are_not_given_to_a_program(program: Callable[..., CommandTarget]) -> None:
    with pytest.raises(RotationError, match="is bytes, which programs are not given"):
        program("say(answer='accepted')").verify(reading(SecretValue(b"\xff\xfe"), "raw"))


@pytest.mark.parametrize("name", ["/nowhere/program", "/etc/passwd"])
def test_a_program_that_cannot_be_started_is_named(name: str, first: SecretReading) -> None:
    with pytest.raises(RotationError, match=f"'{name}' cannot be started: "):
        _open(name).verify(first)


def test_a_target_without_a_program_is_refused() -> None:
    with pytest.raises(RotationError, match="has no program"):
        _open()


def _wait_until_gone(pids: Path) -> None:
    deadline = time.monotonic() + 10
    for pid in map(int, pids.read_text().split()):
        while time.monotonic() < deadline and _is_alive(pid):
            time.sleep(0.01)
        assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    """Return whether it runs; what was killed and not yet waited for by init does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()[-400:].replace(")", " ") and os.kill(pid, 0) is None
    except (FileNotFoundError, ProcessLookupError):
        return False
