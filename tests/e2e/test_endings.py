"""How commands end: exit codes, errors, tracebacks, pipes, the keyboard; and that every end is on record."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import canary
from tests.e2e.desk import Desk, wait_until

KAFKA = "KAFKA_SASL_PASSWORD"


def _manifest(desk: Desk, old: str, new: str) -> None:
    path = desk.folder / "vantage-secrets.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _two_lines(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) == 2 and lines[0].startswith("error[") and lines[1].startswith("hint: ")


def test_no_manifest_ends_with_usage_and_names_init(bare_desk: Desk) -> None:
    done = bare_desk.run("status")
    assert (done.code, done.out) == (2, "")
    assert _two_lines(done.err)
    assert "Run 'vantage-secrets init' to write one" in done.err


def test_a_mistake_in_the_manifest_is_named_with_its_line(desk: Desk) -> None:
    _manifest(desk, "[client]", "[clinet]")
    done = desk.run("status")
    assert (done.code, done.out) == (2, "")
    assert "error[invalid_manifest]: " in done.err
    line = (desk.folder / "vantage-secrets.toml").read_text().splitlines().index("[clinet]") + 1
    assert f"vantage-secrets.toml:{line}: " in done.err


@pytest.mark.parametrize("path", ["key", "secrets.db"])
def test_files_that_others_may_read_are_refused_as_denied(desk: Desk, path: str) -> None:
    (desk.folder / ".vantage-secrets" / path).chmod(0o644)
    done = desk.run("list")
    assert (done.code, done.out) == (5, "")
    assert "error[insecure_permissions]" in done.err
    assert desk.last_command()["outcome"] == "denied"
    assert desk.last_command()["why"] == "insecure_permissions"


def test_a_missing_key_and_another_environment_are_denied(desk: Desk) -> None:
    (desk.folder / ".vantage-secrets/key").rename(desk.folder / "moved")
    done = desk.run("list")
    assert (done.code, done.out) == (5, "")
    assert "error[encryption_key_not_found]" in done.err
    (desk.folder / "moved").rename(desk.folder / ".vantage-secrets/key")
    _manifest(desk, 'environment = "test"', 'environment = "production"')
    done = desk.run("list")
    assert (done.code, done.out) == (5, "")
    assert "error[environment_mismatch]" in done.err


def test_a_damaged_store_ends_with_integrity_and_a_missing_one_with_unavailable(desk: Desk) -> None:
    store = desk.folder / ".vantage-secrets/secrets.db"
    store.write_bytes(b"\xff" * 8192)
    done = desk.run("list")
    assert (done.code, done.out) == (8, "")
    assert "error[store_integrity]" in done.err
    store.unlink()
    done = desk.run("list")
    assert (done.code, done.out) == (7, "")
    assert "error[store_unavailable]" in done.err


def test_an_audit_log_that_must_not_be_missed_stops_the_command(desk: Desk) -> None:
    desk.hold(KAFKA)
    _manifest(desk, 'on_unwritable = "spool"', 'on_unwritable = "refuse"')
    audit = desk.folder / ".vantage-secrets/audit"
    audit.rename(desk.folder / "away")
    audit.write_text("in the way")
    done = desk.run("get", KAFKA)
    assert (done.code, done.out) == (7, ""), "no value is given that is not on record"
    assert "error[audit_unwritable]" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["get"],
        ["status", "--jsn"],
        ["get", KAFKA, "--stage"],
        ["set", KAFKA, "--shape", "round"],
        ["--bogus"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_ends_with_usage_like_any_error(shown: Desk, words: list[str]) -> None:
    done = shown.run(*words)
    assert (done.code, done.out) == (2, "")
    assert _two_lines(done.err), done.err
    assert done.err.startswith("error[usage]: ")
    assert "--help" in done.err


@pytest.mark.parametrize("words", [[], ["migrate"]], ids=" ".join)
def test_a_group_without_a_command_shows_its_help_and_ends_with_usage(shown: Desk, words: list[str]) -> None:
    done = shown.run(*words)
    assert (done.code, done.out) == (2, "")
    assert "Usage: vantage-secrets" in done.err


def test_debug_shows_a_traceback_without_values(desk: Desk) -> None:
    desk.hold(KAFKA)
    (desk.folder / ".vantage-secrets/key").chmod(0o644)
    done = desk.run("--debug", "set", KAFKA, stdin=canary())
    assert done.code == 5
    assert "Traceback (most recent call last):" in done.err
    assert "\nerror[insecure_permissions]: " in done.err
    assert "Traceback" not in desk.run("set", KAFKA, stdin=canary()).err


def test_debug_behind_the_command_says_where_it_belongs(shown: Desk) -> None:
    done = shown.run("status", "--debug")
    assert done.code == 2
    assert "hint: --debug stands in front of the command: vantage-secrets --debug status\n" in done.err


def test_a_fault_of_ours_shows_its_type_and_no_text(desk: Desk) -> None:
    program = (
        "import vantage_secrets.cli.read as read\n"
        "def fail(*_, **__): raise ZeroDivisionError(input())\n"
        "read.print_rows = fail\n"
        "from vantage_secrets.cli import main\n"
        "main(['history', 'KAFKA_SASL_PASSWORD'])\n"
    )
    value = desk.hold(KAFKA)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=desk.folder, env=desk.environment(), input=value, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "error[internal]: An unexpected ZeroDivisionError; this is a fault of vantage-secrets.\n"
        "hint: Run it again with --debug in front of the command to see where.\n"
    )
    assert desk.last_command()["why"] == "internal"


@pytest.mark.parametrize("words", [["status"], ["--help"]], ids=" ".join)
@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
def test_a_reader_that_leaves_early_is_no_error(shown: Desk, words: list[str], buffered: bool) -> None:
    process = shown.start(*words, env={} if buffered else {"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def test_ctrl_c_ends_quietly_with_130_and_is_on_record(desk: Desk) -> None:
    question = "Remove vantage/kafka-sasl-password with all versions"
    desk.hold(KAFKA)
    done = desk.at_terminal("delete", KAFKA, answers=[(question, "\x03")])
    assert done.code == 130
    assert "Traceback" not in done.text
    assert desk.last_command()["why"] == "interrupted"
    for _ in range(2):
        desk.hold("VANTAGE_API_KEY")
    waiting = desk.at_terminal("rotate", "VANTAGE_API_KEY", "--watch", answers=[("; waiting: ", "\x03")])
    assert waiting.code == 130
    assert "Traceback" not in waiting.text
    assert "error[" not in waiting.text
    assert desk.last_command()["outcome"] == "failed"


def test_a_process_that_crashes_leaves_no_core_dump(desk: Desk, tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def allow_core_dumps() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)

    process = desk.start("set", KAFKA, stdin=reading, preexec_fn=allow_core_dumps)
    os.close(reading)
    os.write(writing, canary().encode())
    limits = Path(f"/proc/{process.pid}/limits")
    wait_until(lambda: _core_limit(limits) == "0", "the limit")
    process.send_signal(signal.SIGABRT)
    process.communicate()
    os.close(writing)
    assert process.returncode == -signal.SIGABRT
    assert not list(tmp_path.rglob("core*"))


def _core_limit(limits: Path) -> str:
    [line] = [line for line in limits.read_text().splitlines() if line.startswith("Max core file size")]
    return line.split()[4]


def test_every_command_leaves_an_event_with_its_words_and_its_outcome(desk: Desk) -> None:
    value = canary()
    (desk.folder / "CLEAR.env").write_text(f"API_KEY={value}\n")
    expected = {
        ("list",): ("list", "success", ""),
        ("status", "--check"): ("status", "success", ""),
        ("describe", KAFKA): (f"describe {KAFKA}", "success", ""),
        ("history", KAFKA): (f"history {KAFKA}", "absent", "secret_not_found"),
        ("get", KAFKA): (f"get {KAFKA}", "absent", "secret_not_found"),
        ("get", "nope"): ("get nope", "absent", "unknown_secret"),
        ("rotate", KAFKA): (f"rotate {KAFKA}", "failed", "rotation_error"),
        ("delete", KAFKA): (f"delete {KAFKA}", "failed", "invalid_input"),
        ("migrate", "import", "CLEAR.env", "--yes"): ("migrate import CLEAR.env", "success", ""),
        ("store", "show"): ("store show", "success", ""),
        ("store", "rotate-key"): ("store rotate-key", "success", ""),
        ("run", "true"): ("run true", "success", ""),
    }
    for words, (subject, outcome, why) in expected.items():
        desk.run(*words)
        event = desk.last_command()
        assert (event["subject"], event["outcome"]) == (subject, outcome), words
        assert event["why"] == why
        assert "vantage-secrets/" in event["where"]


def test_init_is_the_first_event_of_a_log(bare_desk: Desk) -> None:
    bare_desk.ok("init")
    first = bare_desk.events()[0]
    assert (first["action"], first["subject"]) == ("cli:command:run", "init")


def test_reads_writes_and_absence_in_the_store_are_on_record(desk: Desk) -> None:
    desk.ok("set", KAFKA, stdin=canary())
    desk.ok("get", KAFKA, reveals=True)
    desk.run("get", KAFKA, "--stage", "previous")
    desk.ok("delete", KAFKA, "--yes")
    found = [(event["action"], event["outcome"], event["why"]) for event in desk.events()]
    for expected in (
        ("store:version:stage", "success", f"set {KAFKA}"),
        ("store:version:promote", "success", f"set {KAFKA}"),
        ("store:secret:read", "success", f"get {KAFKA}"),
        ("store:secret:read", "absent", "version_not_found"),
        ("store:secret:delete", "success", f"delete {KAFKA}"),
    ):
        assert expected in found
