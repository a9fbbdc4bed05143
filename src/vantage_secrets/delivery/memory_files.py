"""Secrets as files that never touch a disk: a private folder on a file system in memory."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vantage_secrets.errors import DeliveryError
from vantage_secrets.secret import SecretValue

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
_PREFIX = "vantage-secrets-"
_LOCK = ".alive"


class MemoryFolder:
    """A folder of mode 0700 in memory, gone when it is closed; files in it have mode 0400.

    A lock inside says that it is in use. The lock's descriptor is inherited by the child, so the folder
    counts as used as long as either process lives; folders that nobody uses any more, left by a process
    that was killed, are removed when the next one is made.

    Raises:
        DeliveryError: There is no file system in memory that this user may write to.
    """

    def __init__(self) -> None:
        """Make the folder."""
        place = memory_place()
        _remove_abandoned(place)
        self.path, self.lock = _make_folder(place)

    def write(self, values: Mapping[str, SecretValue]) -> dict[str, Path]:
        """Write one file a value and return where each is; named fields are written as JSON."""
        paths = {}
        for key, value in values.items():
            path = self.path / key
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(value_bytes(value))
            paths[key] = path
        return paths

    def close(self) -> None:
        """Remove the folder with all files. Safe to repeat."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def value_bytes(value: SecretValue) -> bytes:
    """Return what a process is given of a value: text as UTF-8, bytes as they are, named fields as JSON."""
    content = value.reveal()
    if isinstance(content, dict):
        content = json.dumps(content, ensure_ascii=False)
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content


def memory_place() -> Path:
    """Return a writable folder on a file system in memory: the user's runtime folder, else ``/dev/shm``.

    Raises:
        DeliveryError: There is none.
    """
    candidates = [os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}", "/dev/shm"]  # noqa: S108
    for candidate in candidates:
        if candidate and os.access(candidate, os.W_OK | os.X_OK):
            place = Path(candidate).resolve()
            if _file_system_of(place) in MEMORY_FILE_SYSTEMS:
                return place
    raise DeliveryError(
        "There is no file system in memory that this user may write to.",
        hint="Mount a tmpfs at /dev/shm, or pass the secrets as environment variables with --env.",
    )


def _file_system_of(place: Path) -> str:
    """Return the type of the file system that holds ``place``, as in proc_pid_mountinfo(5)."""
    best, kind = -1, ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        mount = Path(fields[4].encode().decode("unicode_escape"))
        if place.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), fields[fields.index("-") + 1]
    return kind


def _make_folder(place: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds its lock.

    Between making the lock and taking it, another process may take the folder for abandoned and remove it.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getuid()}-", dir=place))
        lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits until whoever removes it is done
        if os.fstat(lock).st_nlink:
            return path, lock
        os.close(lock)


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}{os.getuid()}-*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:
            continue  # being made or removed by another process at this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(lock)
