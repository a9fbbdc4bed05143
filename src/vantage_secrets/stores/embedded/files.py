"""Files that only their owner may read: made so, and refused otherwise."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vantage_secrets.errors import InsecurePermissionsError

_OTHERS = 0o077


def check_private(path: Path) -> None:
    """Return when ``path`` is closed to group and others, or does not exist.

    Raises:
        InsecurePermissionsError: Group or others have any right to the file.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return
    if mode & _OTHERS:
        raise InsecurePermissionsError(
            f"{path} has mode {mode:04o}; allowed is 0600.",
            hint=f"Run 'chmod 600 {path}' and, if others may have read it, rotate what it holds.",
        )


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it with mode 0700; leave folders that exist as they are."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


def write_private_file(path: Path, content: bytes) -> None:
    """Make a file of mode 0600 durable under ``path``, wholly or not at all; never replaces one.

    Raises:
        FileExistsError: Something is there already.
        OSError: The file could not be written.
    """
    draft = draft_of(path)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # The umask may have taken the owner's rights.
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        publish(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    """Return a name beside ``path`` that nobody else uses, for a file that will get that name."""
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.draft")


def publish(draft: Path, path: Path) -> None:
    """Give the finished file ``draft`` its name ``path``, durably; of two rivals one gets ``FileExistsError``."""
    os.link(draft, path)  # Unlike rename, link never replaces what is there.
    draft.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
