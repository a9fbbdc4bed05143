"""Git, run as a program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import IO

from vantage_secrets.errors import InvalidInputError

_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    # A partial clone must not go and fetch; what is missing is reported. Git before 2.44 knows only the second.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",  # an object that another one stands for is still there
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}
_PASSED_ON = ("GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
"""What Git tells its hooks: the index of ``commit -a``, and where the objects of a push wait."""

_PIPE_BYTES = 1_048_576
"""So much Git may be ahead of who reads what it writes: as much as Linux gives to everybody (pipe(7))."""


class Repository:
    """A Git repository on this machine.

    Args:
        path: A folder in it, or its bare folder.

    Raises:
        InvalidInputError: There is no repository, no Git, or Git refuses to open it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        asked = ("--show-object-format", "--is-bare-repository", "--is-shallow-repository")
        found = self.output("rev-parse", "--absolute-git-dir", "--git-common-dir", *asked)
        folder, common, object_format, is_bare, is_shallow = found.decode("utf-8", "surrogateescape").splitlines()
        self.folder = Path(folder)
        """Its ``.git`` folder."""
        self.common_folder = Path(os.path.normpath(path / common))
        """Where objects and refs are: another one than ``folder`` in a linked worktree."""
        self.id_bytes = 32 if object_format == "sha256" else 20
        """Length of an object's id."""
        self.is_bare = is_bare == "true"
        self.is_shallow = is_shallow == "true"

    def command(self, *words: str) -> list[str]:
        """Return the words that run Git on this repository."""
        return ["git", "-C", str(self.path), *words]

    def output(self, *words: str) -> bytes:
        """Return what a Git command prints.

        Raises:
            InvalidInputError: Git is not there, or ended with an error.
        """
        try:
            done = subprocess.run(  # noqa: S603 - the words are ours
                self.command(*words), capture_output=True, check=False, env=environment()
            )
        except FileNotFoundError as error:
            raise InvalidInputError("A history is read with Git, which is not here.", hint="Install git.") from error
        if done.returncode:
            raise self.failure(done.stderr)
        return done.stdout

    def failure(self, errors: bytes) -> InvalidInputError:
        """Return the error that what Git complained about amounts to."""
        return InvalidInputError(
            f"Git cannot read '{self.path}' as a repository: {first_line(errors)}.", hint=_hint(errors)
        )

    def start(
        self, *words: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
    ) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        """Start a Git command; return it with a file that takes its errors."""
        errors = os.fdopen(os.memfd_create("errors"), "w+b")
        process = subprocess.Popen(  # noqa: S603 - the words are ours
            self.command(*words), stdin=stdin, stdout=stdout, stderr=errors, env=environment(), pipesize=_PIPE_BYTES
        )
        return process, errors


def environment() -> dict[str, str]:
    """Return the environment Git runs with: nothing in the caller's points it to another repository."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("GIT_") or key in _PASSED_ON}
    return kept | _ENVIRONMENT


def first_line(errors: bytes) -> str:
    """Return the first line of what Git wrote to its errors."""
    return errors.decode("utf-8", "replace").partition("\n")[0].removeprefix("fatal: ").rstrip(".") or "no reason given"


def _hint(errors: bytes) -> str:
    if b"dubious ownership" in errors:
        return "It belongs to another user. If you trust it: git config --global --add safe.directory <its folder>"
    return "Give a folder of a repository; without --history any folder is scanned."
