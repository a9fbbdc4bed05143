"""``vantage-secrets scan`` as a person, a script and a hook type it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.archives import make_tar
from tests.canary import canary, leaks_in, planted
from tests.images import docker_image
from tests.leaks.compiled_rules import Desk, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.repositories import Repo

PATIENCE_SECONDS = 60


@pytest.fixture
def desk(tmp_path: Path, compiled_rules: Path) -> Desk:  # noqa: F811 - the fixture
    return Desk(tmp_path, compiled_rules)


@pytest.fixture
def tree(desk: Desk) -> Path:
    """A folder with a value in one file and one that is clean."""
    folder = desk.folder / "CLEAR"
    (folder / "src").mkdir(parents=True)
    (folder / "src/conf.ini").write_text(f"[db]\nkey = {canary()}\n")
    (folder / "clean.txt").write_text("hello\n")
    return folder


@pytest.mark.parametrize(("path", "code"), [("CLEAR/clean.txt", 0), ("CLEAR/src", 1), ("CLEAR", 1)])
def test_the_exit_code_says_what_was_found(desk: Desk, tree: Path, path: str, code: int) -> None:
    done = desk.scan(path)
    assert (done.returncode, done.stderr) == (code, b"")


def test_without_a_path_it_is_this_folder(desk: Desk, tree: Path) -> None:
    done = desk.scan(cwd=tree)
    assert done.returncode == 1
    assert done.stdout.startswith(b"src/conf.ini\n  2:7 ")


@pytest.mark.parametrize("report_format", ["text", "json", "sarif", "html"])
def test_every_format_tells_the_place_to_the_output_and_to_a_file(desk: Desk, tree: Path, report_format: str) -> None:
    printed = desk.scan("CLEAR", "--format", report_format)
    written = desk.scan("CLEAR", "--format", report_format, "--output", "report")
    assert (printed.returncode, written.returncode, written.stdout) == (1, 1, b"")
    for content in (printed.stdout, (desk.folder / "report").read_bytes()):
        assert b"conf.ini" in content
        assert not leaks_in(content, planted())
        if report_format in ("json", "sarif"):
            assert json.loads(content)


def test_a_report_through_a_pipe_that_closes_is_no_error(desk: Desk, tree: Path) -> None:
    process = desk.start("CLEAR", "--format", "html")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=PATIENCE_SECONDS)


def test_help_names_every_source_without_typer(desk: Desk) -> None:
    done = desk.scan("--help")
    assert done.returncode == 0
    for word in (b"--history", b"--staged", b"--stdin", b"--env-of", b"--image", b"--baseline", b"Exit codes"):
        assert word in done.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from vantage_secrets.cli import main; main(['scan', '--help'])"],
        capture_output=True,
        check=True,
    )
    for heavy in (b"typer", b"rich", b"sqlalchemy", b"dataclasses", b"hyperscan"):
        assert not re.search(rb"\| +%b\b" % heavy, loaded.stderr), heavy


@pytest.mark.parametrize(
    "words",
    [
        ["--nonsense={}"],
        ["--max-file-size={}"],
        ["--max-file-size", "{}"],
        ["--jobs={}"],
        ["--env-of={}"],
        ["--format={}"],
        ["--since={}"],
        ["--jobs", "{}"],
        ["--stdin={}"],
        ["-x{}"],
        ["--password", "{}", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_told_with_a_hint_and_without_what_was_typed(desk: Desk, words: list[str]) -> None:
    value = canary()
    done = desk.scan(*(word.format(value) for word in words))
    assert done.returncode == 2
    assert b"hint: " in done.stderr
    assert done.stdout == b""
    assert not leaks_in(done.stderr, (value,))


@pytest.mark.parametrize(
    "words",
    [["no-such-file"], ["--history", "home"], ["--rules", "no-such.toml"], ["--baseline", "none"], ["--image", "none"]],
    ids=" ".join,
)
def test_what_is_not_there_is_never_clean(desk: Desk, words: list[str]) -> None:
    (desk.folder / "home").mkdir()
    done = desk.scan(*words)
    assert done.returncode in (2, 3)
    assert b"Clean" not in done.stdout
    assert b"fault of" not in done.stderr


def test_a_history_is_told_with_its_commits(desk: Desk) -> None:
    repo = Repo(desk.folder / "CLEAR")
    commit = repo.commit({"a": canary()})
    done = desk.scan("--history", "CLEAR", "--format", "json")
    assert done.returncode == 1
    assert commit.encode() in done.stdout


def test_what_is_staged_is_told_and_what_is_not_is_left(desk: Desk) -> None:
    repo = Repo(desk.folder / "CLEAR")
    repo.commit({"old": canary(), "both": "1"})
    assert desk.scan("--staged", cwd=repo.folder).returncode == 0
    (repo.folder / "not-added").write_text(canary())
    assert desk.scan("--staged", cwd=repo.folder).returncode == 0
    (repo.folder / "both").write_text(canary())
    repo.git("add", "both")
    (repo.folder / "both").write_text("changed again")
    done = desk.scan("--staged", cwd=repo.folder)
    assert done.returncode == 1
    assert done.stdout.startswith(b"both\n")


def test_the_environment_of_a_process_is_read(desk: Desk) -> None:
    value = canary()
    process = subprocess.Popen(
        ["sh", "-c", "echo ready; read line"],
        env={"TOKEN": value, "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        done = desk.scan("--env-of", str(process.pid))
    finally:
        process.communicate(b"\n")
    assert done.returncode == 1
    assert b"TOKEN" in done.stdout
    assert desk.scan("--env-of", str(process.pid)).returncode == 2


def test_an_archive_on_standard_input_is_read(desk: Desk) -> None:
    done = desk.scan("--stdin", given=make_tar({"etc/app": canary().encode()}))
    assert done.returncode == 1
    assert b"etc/app" in done.stdout


def test_a_saved_image_is_read_layer_by_layer(desk: Desk) -> None:
    settings = {"config": {"Env": [f"TOKEN={canary()}"]}}
    files = docker_image([make_tar({"etc/app.conf": canary().encode()})], settings)
    (desk.folder / "CLEAR.tar").write_bytes(make_tar(files))
    done = desk.scan("--image", "CLEAR.tar", "--format", "json")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["findings"]) == 2


def test_an_endless_stream_is_read_until_it_is_interrupted(desk: Desk) -> None:
    process = desk.start("--stdin", stdin=subprocess.PIPE)
    assert process.stdin is not None
    line = b"a line of a log without anything in it\n" * 1_000
    for _ in range(50):
        process.stdin.write(line)
    process.stdin.flush()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    assert process.stdout is not None
    assert b"Clean" not in process.stdout.read()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=PATIENCE_SECONDS) not in (0, 1)


def test_a_terminal_shows_colours_and_no_value(desk: Desk, tree: Path) -> None:
    text, code = at_terminal(desk, "CLEAR")
    assert code == 1
    assert b"\x1b[" in text
    assert b"conf.ini" in text
    assert not leaks_in(text, planted())
    assert b"\x1b[" not in at_terminal(desk, "CLEAR", env={"NO_COLOR": "1"})[0]


def test_long_work_shows_its_progress_at_a_terminal_only_and_wipes_it(desk: Desk) -> None:
    master, slave = pty.openpty()
    words = ("--stdin", "--format", "json", "--output", "report.json")
    process = desk.start(*words, env={"TERM": "xterm-256color"}, stdin=subprocess.PIPE, stdout=slave, stderr=slave)
    os.close(slave)
    assert process.stdin is not None
    seen = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"MB read" not in seen:  # for as long as there is work
        assert time.monotonic() < deadline, seen
        process.stdin.write(b"a line\n")
        process.stdin.flush()
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65_536)
    process.stdin.close()
    with contextlib.suppress(OSError):  # Linux says EIO when the last process has closed the terminal.
        while piece := os.read(master, 65_536):
            seen += piece
    os.close(master)
    assert process.wait() == 0
    assert seen.rstrip().endswith(b"\r\x1b[2K")
    assert b"MB read" not in desk.scan("--stdin", given=b"a line\n" * 1_000).stderr


def test_no_process_is_started_with_a_value_in_its_arguments(desk: Desk, tmp_path: Path) -> None:
    repo = Repo(desk.folder / "CLEAR")
    repo.commit({"a": canary()}, canary())
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "arguments"
    git = tools / "git"
    git.write_text(f'#!/bin/sh\necho "$*" >>{log}\nenv >>{log}\nPATH="{os.environ["PATH"]}" exec git "$@"\n')
    git.chmod(0o755)
    done = desk.scan("--history", "CLEAR", env={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert done.returncode == 1
    assert b"cat-file" in log.read_bytes()
    assert not leaks_in(log.read_bytes(), planted())


def at_terminal(desk: Desk, *words: str, env: dict[str, str] | None = None) -> tuple[bytes, int]:
    """Run it at a terminal and return all that was shown, and the exit code."""
    master, slave = pty.openpty()
    process = desk.start(*words, env={"TERM": "xterm-256color", **(env or {})}, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        ready, _, _ = select.select([master], [], [], PATIENCE_SECONDS)
        assert ready, "nothing came from the terminal"
        try:
            chunk = os.read(master, 65_536)
        except OSError:  # EIO: the last process at this terminal is gone
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    return seen, process.wait(timeout=PATIENCE_SECONDS)
