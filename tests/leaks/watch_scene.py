"""A Git server for tests: bare repositories, clones that push, and the watcher as a process whose log is read."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.canary import leaks_in, planted

PROGRAM = Path(sys.executable).with_name("vantage-secrets")
PATIENCE_SECONDS = 60
WEBHOOK_SECRET = "a secret of the webhook, long enough"


class GitServer:
    """A folder with repositories. What is checked out is below ``CLEAR``, since values stand there."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.socket = folder / "watch.sock"
        (folder / "CLEAR").mkdir()
        self.environment = {
            "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(cache),
            "GIT_CONFIG_NOSYSTEM": "1",
            "TZ": "UTC",
            "PYTHONWARNINGS": "error",
            "VANTAGE_SECRETS_FINGERPRINT_KEY": "5a" * 32,
            "VANTAGE_SECRETS_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }

    def bare(self, name: str = "collector") -> Path:
        """A repository to push to."""
        path = self.folder / f"{name}.git"
        self.git(self.folder, "init", "-q", "--bare", "-b", "main", str(path))
        return path

    def clone(self, bare: Path, name: str = "work") -> Clone:
        path = self.folder / "CLEAR" / name
        self.git(self.folder, "clone", "-q", str(bare), str(path))
        self.git(path, "checkout", "-q", "-B", "main")
        return Clone(self, path)

    def git(self, folder: Path, *words: str) -> str:
        who = ("-c", "user.name=Author", "-c", "user.email=author@dev.example")
        done = subprocess.run(["git", "-C", folder, *who, *words], env=self.environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def command(self, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run ``vantage-secrets scan watch`` to its end; return its code and all that it wrote."""
        return self._run(("scan", "watch", *words), env or {})

    def vantage(self, *words: str) -> tuple[int, str]:
        """Run any command to its end; return its code and all that it wrote."""
        return self._run(words, {})

    def _run(self, words: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            [PROGRAM, *words], cwd=self.folder, env={**self.environment, **env}, capture_output=True, timeout=90
        )
        written = done.stdout + done.stderr
        assert leaks_in(written, planted()) == []
        return done.returncode, written.decode()

    def install(self, bare: Path, *words: str) -> None:
        code, written = self.command("install", str(bare), *words)
        assert code == 0, written


class Clone:
    """A developer's clone."""

    def __init__(self, server: GitServer, path: Path) -> None:
        self.server = server
        self.path = path

    def commit(self, content: str, *, name: str = "settings.env", message: str = "a change") -> str:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(content)
        self.server.git(self.path, "add", "-A")
        self.server.git(self.path, "commit", "-q", "-m", message)
        return self.server.git(self.path, "rev-parse", "HEAD")

    def head(self) -> str:
        return self.server.git(self.path, "rev-parse", "HEAD")

    def day(self) -> str:
        """The day of the newest commit, UTC."""
        return self.server.git(self.path, "log", "-1", "--date=format-local:%Y-%m-%d", "--format=%cd")

    def push_of(self, content: str, *, name: str = "settings.env") -> tuple[int, str]:
        """Commit a file, and push."""
        self.commit(content, name=name)
        return self.push()

    def start_push(self, *refs: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", "-C", self.path, "push", "origin", *(refs or ("HEAD:main",))],
            env=self.server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def push(self, *refs: str) -> tuple[int, str]:
        """Return Git's code and all that the pusher sees."""
        process = self.start_push(*refs)
        written = process.communicate(timeout=90)[0]
        assert leaks_in(written, planted()) == []
        return process.returncode, written.decode()


class Daemon:
    """``vantage-secrets scan watch`` as a process."""

    def __init__(self, server: GitServer, *words: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "scan", "watch", "--state", server.state, *words],
            cwd=server.folder,
            env={**server.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.seen: list[dict[str, Any]] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.started = self.until("started")

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def until(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Return the first happening from now on that is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            assert line, f"the watcher ended: {self.process.stderr.read().decode()}"  # type: ignore[union-attr]
            happening = json.loads(line)
            self.seen.append(happening)
            assert happening["event"] in (event, "started", "scan", "finding"), happening
            if happening["event"] == event and all(happening[key] == value for key, value in wanted.items()):
                return happening

    def stop(self) -> int:
        """End it politely."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        self.kill()
        return code

    def kill(self) -> None:
        """End it as the end of the machine would, and look through all that it wrote."""
        if self.process.stdout.closed:  # type: ignore[union-attr]
            return
        self.process.kill()
        self.process.wait()
        self._reader.join()
        while not self._lines.empty():
            line = self._lines.get()
            self.seen += [json.loads(line)] if line else []
        written = json.dumps(self.seen).encode() + self.process.stderr.read()  # type: ignore[union-attr]
        self.process.stdout.close()  # type: ignore[union-attr]
        self.process.stderr.close()  # type: ignore[union-attr]
        assert leaks_in(written, planted()) == []
        assert WEBHOOK_SECRET.encode() not in written

    def told(self, event: str = "finding") -> list[dict[str, Any]]:
        return [happening for happening in self.seen if happening["event"] == event]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


def waiting_records(server: GitServer) -> list[Path]:
    return sorted((server.state / "pushes").glob("*.json"))


@contextmanager
def blocking_git(folder: Path) -> Iterator[str]:
    """Give a PATH whose ``git fetch`` does not end before this does."""
    shim = folder / "shim"
    shim.mkdir()
    os.mkfifo(folder / "never")
    (shim / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *fetch*) exec cat "{folder}/never";; esac\nexec /usr/bin/git "$@"\n'
    )
    (shim / "git").chmod(0o755)
    yield f"{shim}:/usr/bin:/bin"
    # Who waits for words gets none now, also when the daemon above it is gone.
    os.close(os.open(folder / "never", os.O_RDWR))
