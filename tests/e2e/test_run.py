"""``run``: a program gets its secrets in memory, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary, leaks_in, planted
from tests.e2e.desk import Desk, wait_until
from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.manifest import FILE_NAME
from vantage_secrets.secret import SecretValue

KAFKA, WORKER = "KAFKA_SASL_PASSWORD", "WORKER_CLICKHOUSE_PASSWORD"
REPORT = """
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["VANTAGE_SECRETS_DIR"])
files = {key: path for key, path in os.environ.items() if key.endswith("_FILE")}
print(json.dumps({
    "folder": str(folder),
    "folder_mode": folder.stat().st_mode & 0o777,
    "files": files,
    "modes": [pathlib.Path(path).stat().st_mode & 0o777 for path in files.values()],
    "lengths": [pathlib.Path(path).stat().st_size for path in files.values()],
    "names": sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")),
    "environment": sorted(os.environ),
    "arguments": sys.argv[1:],
}))
"""
STAY = 'echo "$VANTAGE_SECRETS_DIR"; echo $$; exec sleep 100'


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    desk.hold(KAFKA)
    desk.hold(WORKER)
    return desk


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Process ids to end when the test does."""
    ids: list[int] = []
    yield ids
    for number in ids:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _report(desk: Desk, *words: str, env: dict[str, str] | None = None) -> dict[str, object]:
    script = desk.folder / "report.py"
    script.write_text(REPORT)
    record: dict[str, object] = desk.ok("run", *words, "--", "python3", str(script), "--debug", "-x", env=env).json
    return record


def _started(desk: Desk, *words: str) -> tuple[subprocess.Popen[bytes], Path, int]:
    """A running ``run``, the folder that its program has, and the program's process id."""
    process = desk.start("run", *words, "sh", "-c", STAY)
    assert process.stdout is not None
    folder, number = process.stdout.readline().decode().strip(), int(process.stdout.readline())
    return process, Path(folder), number


def test_the_program_finds_each_secret_in_a_private_file_in_memory_that_is_gone_afterwards(stocked: Desk) -> None:
    seen = _report(stocked)
    folder = Path(str(seen["folder"]))
    assert seen["folder_mode"] == 0o700
    assert seen["files"] == {f"{key}_FILE": f"{folder}/{key}" for key in (WORKER, KAFKA)}
    assert seen["modes"] == [0o400, 0o400]
    assert seen["lengths"] == [len(stocked.held(WORKER)), len(stocked.held(KAFKA))]
    assert seen["names"] == sorted([KAFKA, WORKER])
    assert not {KAFKA, WORKER} & set(seen["environment"])  # type: ignore[call-overload]
    assert seen["arguments"] == ["--debug", "-x"], "the program's options are its own"
    assert not folder.exists()
    kind = subprocess.check_output(["stat", "-f", "-c", "%T", folder.parent], text=True).strip()
    assert kind in {"tmpfs", "ramfs"}


def test_an_old_exported_variable_of_the_same_name_is_not_passed_on(stocked: Desk) -> None:
    seen = _report(stocked, "--only", KAFKA, env={KAFKA: "left over from a .env", "OTHER": "stays"})
    assert KAFKA not in seen["environment"]  # type: ignore[operator]
    assert "OTHER" in seen["environment"]  # type: ignore[operator]


def test_only_and_consumer_choose(stocked: Desk) -> None:
    assert _report(stocked, "--only", "vantage/kafka-sasl-password")["names"] == [KAFKA]
    assert _report(stocked, "--consumer", "worker")["names"] == sorted([KAFKA, WORKER])


def test_a_required_secret_of_the_consumer_that_is_not_there_keeps_the_program_from_starting(stocked: Desk) -> None:
    done = stocked.run("run", "--consumer", "collector", "touch", "started")
    assert (done.code, done.out) == (4, "")
    assert "error[secret_not_found]" in done.err
    assert not (stocked.folder / "started").exists()


def test_an_unknown_consumer_is_a_mistake_and_the_known_ones_are_named(shown: Desk) -> None:
    done = shown.run("run", "--consumer", "nobody", "true")
    assert done.code == 2
    assert "hint: Use one of: collector, query-api, shop, worker.\n" in done.err


def test_with_env_the_program_has_the_values_as_variables_and_no_files(stocked: Desk) -> None:
    words = ("run", "--env", "--only", KAFKA, "sh", "-c", f'printf %s "${KAFKA}:${{VANTAGE_SECRETS_DIR:-none}}"')
    assert stocked.ok(*words, reveals=True).out == f"{stocked.held(KAFKA)}:none"


def test_a_login_reaches_the_program_as_password_and_user_name(desk: Desk) -> None:
    password = canary()
    workspace = open_workspace(desk.folder / FILE_NAME)
    login = SecretValue({"username": "vantage_worker_b", "password": password})
    workspace.introduce(workspace.manifest.find(WORKER), login)
    workspace.close()
    user = "WORKER_CLICKHOUSE_USERNAME"
    seen = _report(desk, "--only", WORKER)
    assert seen["names"] == [WORKER, user]
    assert desk.ok("run", "--only", WORKER, "sh", "-c", f'cat "${user}_FILE"').out == "vantage_worker_b"
    words = ("run", "--env", "--only", WORKER, "sh", "-c", f'printf %s "${user} ${WORKER}"')
    assert desk.ok(*words, reveals=True).out == f"vantage_worker_b {password}"


@pytest.mark.parametrize("words", [[], ["--env", "--only", KAFKA]], ids=["files", "env"])
@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -TERM $$", 128 + 15)])
def test_the_exit_code_is_the_programs_own(stocked: Desk, words: list[str], script: str, code: int) -> None:
    process = stocked.start("run", *words, "sh", "-c", script)
    process.communicate()
    # With --env the command has become the program, so its parent sees the signal itself.
    expected = -15 if words and code > 128 else code
    assert process.returncode == expected


def test_the_files_go_when_the_program_fails_or_is_killed(stocked: Desk) -> None:
    for script in ('echo "$VANTAGE_SECRETS_DIR"; exit 3', 'echo "$VANTAGE_SECRETS_DIR"; kill -KILL $$'):
        done = stocked.run("run", "sh", "-c", script)
        assert done.code in (3, 128 + 9)
        assert not Path(done.out.strip()).exists()


def test_sigterm_reaches_the_program_and_the_files_go(stocked: Desk) -> None:
    script = 'trap "echo heard; exit 5" TERM; echo "$VANTAGE_SECRETS_DIR"; while :; do sleep 0.05; done'
    process = stocked.start("run", "sh", "-c", script)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().decode().strip())
    assert (folder / KAFKA).exists()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert (out, process.returncode) == (b"heard\n", 5)
    assert not folder.exists()


def test_ctrl_c_at_a_terminal_ends_the_program_and_the_files_go(stocked: Desk) -> None:
    script = 'echo "at $VANTAGE_SECRETS_DIR now"; exec sleep 100'
    done = stocked.at_terminal("run", "sh", "-c", script, answers=[(" now", "\x03")])
    assert done.code == 128 + signal.SIGINT
    assert not Path(done.text.split()[1]).exists()


def test_no_value_stands_in_a_command_line_or_an_environment(stocked: Desk, children: list[int]) -> None:
    process, folder, child = _started(stocked)
    children.append(child)
    for number in (process.pid, child):
        for place in ("cmdline", "environ"):
            assert not leaks_in(Path(f"/proc/{number}/{place}").read_bytes(), planted())
    assert leaks_in((folder / KAFKA).read_bytes(), planted()), "the search would have found one"
    process.terminate()
    process.communicate()


def test_a_killed_command_leaves_a_folder_that_lives_as_long_as_its_program(stocked: Desk, children: list[int]) -> None:
    process, folder, child = _started(stocked)
    children.append(child)
    process.kill()
    process.wait()
    assert (folder / KAFKA).exists()
    stocked.ok("run", "true")
    assert (folder / KAFKA).exists(), "the program still runs, and needs its files"
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in _state_of(child), "the program's end")
    stocked.ok("run", "true")
    assert not folder.exists()
    process.communicate()


def _state_of(number: int) -> str:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_program_that_is_not_there_gets_no_secret_read_for_it(stocked: Desk) -> None:
    done = stocked.run("run", "no-such-program")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error[delivery_error]: There is no program 'no-such-program'.\nhint: ")
    actions = [event["action"] for event in stocked.events()]
    assert "store:secret:read" not in actions
    assert stocked.last_command()["why"] == "delivery_error"


def test_each_delivery_is_on_record_with_its_program(stocked: Desk) -> None:
    stocked.ok("run", "--only", KAFKA, "true")
    delivered = [event for event in stocked.events() if event["action"] == "delivery:secret:deliver"]
    assert [(event["subject"], event["version_id"], event["why"]) for event in delivered] == [
        ("vantage/kafka-sasl-password", "1", "run true")
    ]


def test_the_folders_mode_does_not_depend_on_the_umask(stocked: Desk) -> None:
    stat = f'stat -c %a "$VANTAGE_SECRETS_DIR" "${KAFKA}_FILE"'
    script = f"umask 000; exec vantage-secrets run sh -c '{stat}'"
    out = subprocess.check_output(["sh", "-c", script], cwd=stocked.folder, env=stocked.environment(), text=True)
    assert [int(mode, 8) for mode in out.split()] == [0o700, 0o400]
