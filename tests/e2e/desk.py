"""A person at a desk: a folder with a workspace, the installed command, pipes and real terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.canary import canary, leaks_in, planted
from vantage_secrets.bootstrap import open_workspace
from vantage_secrets.clock import utc_now
from vantage_secrets.manifest import FILE_NAME
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.embedded import open_embedded
from vantage_secrets.testing import FakeClock

SCRIPT = Path(sys.executable).with_name("vantage-secrets")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE_SECONDS = 60
"""After so long a program that should have ended or asked is a failure."""


@dataclass(frozen=True)
class Finished:
    """How a run of the command ended."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def text(self) -> str:
        """What a terminal showed, without colours and with plain line ends."""
        return ANSI.sub("", self.out).replace("\r\n", "\n")


class Desk:
    """A folder to work in; every output is searched for planted values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir(parents=True, exist_ok=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": f"{SCRIPT.parent}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PYTHONWARNINGS": "error",
            **(extra or {}),
        }

    def start(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([SCRIPT, *words], cwd=self.folder, env=self.environment(env), **settings)

    def run(
        self, *words: str, stdin: str | bytes = b"", env: Mapping[str, str] | None = None, reveals: bool = False
    ) -> Finished:
        """Run the command with pipes, as a script does; ``reveals`` allows a value in its output."""
        process = self.start(*words, env=env, stdin=subprocess.PIPE)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = process.communicate(given, timeout=PATIENCE_SECONDS)
        return _checked(Finished(process.returncode, out, err.decode()), reveals)

    def ok(self, *words: str, **options: Any) -> Finished:
        """Run and insist on success."""
        done = self.run(*words, **options)
        assert done.code == 0, f"{words} ended with {done.code}: {done.err}"
        return done

    def at_terminal(
        self,
        *words: str,
        answers: Sequence[tuple[str, str]] = (),
        env: Mapping[str, str] | None = None,
        width: int = 80,
        reveals: bool = False,
    ) -> Finished:
        """Run the command at a terminal and answer each question when it is asked."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = self.start(
            *words, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=take_terminal
        )
        os.close(slave)
        try:
            seen = _converse(master, list(answers))
        finally:
            os.close(master)
        return _checked(Finished(process.wait(timeout=PATIENCE_SECONDS), seen, ""), reveals)

    def hold(self, name: str, value: str | None = None) -> str:
        """Put a value into the store without starting a process, and return it."""
        value = canary() if value is None else value
        workspace = open_workspace(self.folder / FILE_NAME)
        try:
            workspace.introduce(workspace.manifest.find(name), SecretValue(value))
        finally:
            workspace.close()
        return value

    def held(self, name: str) -> str:
        """The current value in the store, read without starting a process."""
        workspace = open_workspace(self.folder / FILE_NAME)
        try:
            return workspace.store.read(workspace.manifest.find(name).name).value.reveal_text()
        finally:
            workspace.close()

    def events(self) -> list[dict[str, Any]]:
        """The audit log's records, in order."""
        segments = sorted((self.folder / ".vantage-secrets/audit").glob("0*.jsonl"))
        return [json.loads(line) for path in segments for line in path.read_bytes().splitlines()]

    def last_command(self) -> dict[str, Any]:
        return [event for event in self.events() if event["action"] == "cli:command:run"][-1]


def put(folder: Path, name: str, *, days_ago: int) -> None:
    """Write a value and make it current, so many days ago by the store's clock."""
    clock = FakeClock(utc_now() - timedelta(days=days_ago))
    options = {"key_file": str(folder / ".vantage-secrets/key")}
    url = f"embedded://{folder}/.vantage-secrets/secrets.db"
    with open_embedded(url, environment="test", options=options, clock=clock) as store:
        version = store.stage(SecretName(name), SecretValue(canary()), "put")
        store.promote(SecretName(name), version.id, expect_current=None)


def wait_until(holds: Any, what: str) -> None:
    """Return as soon as ``holds()`` is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never saw: {what}"
        time.sleep(0.005)


def _converse(master: int, answers: list[tuple[str, str]]) -> bytes:
    seen, searched = b"", 0
    while True:
        ready, _, _ = select.select([master], [], [], PATIENCE_SECONDS)
        assert ready, f"nothing came from the terminal for {PATIENCE_SECONDS} s"
        try:
            chunk = os.read(master, 65536)
        except OSError:  # EIO: the last process at this terminal is gone
            chunk = b""
        if not chunk:
            assert not answers, f"never asked: {answers[0][0]!r}"
            return seen
        seen += chunk
        while answers and answers[0][0].encode() in seen[searched:]:
            question, answer = answers.pop(0)
            searched = seen.index(question.encode(), searched) + len(question)
            os.write(master, answer.encode())


def _checked(done: Finished, reveals: bool) -> Finished:
    shown = done.err.encode() + (b"" if reveals else done.raw)
    assert not leaks_in(shown, planted()), "a secret value was printed"
    return done
