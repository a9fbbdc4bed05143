"""Which findings were told already, so that each is told once for a place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from vantage_secrets.leaks.finding import Finding
from vantage_secrets.stores.embedded.files import make_private_folder

_DIGITS = 32


class Told:
    """What was told of each repository: a file each, with a line for each value at each place.

    A line is a digest of the keyed fingerprint and the place; neither values nor paths can be found from it.

    Args:
        folder: Where; made with mode 0700 when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder

    def untold(self, repository: str, findings: Iterable[Finding]) -> list[Finding]:
        """Return those of ``findings`` that were not told yet, one for each value at each place."""
        known = self._lines(repository)
        fresh: dict[str, Finding] = {}
        for finding in findings:
            line = _line_of(finding)
            if line not in known:
                fresh.setdefault(line, finding)
        return list(fresh.values())

    def remember(self, repository: str, findings: Iterable[Finding]) -> None:
        """Note that ``findings`` were told, durably.

        Raises:
            OSError: It cannot be written; they are told again.
        """
        lines = "".join(f"{_line_of(finding)}\n" for finding in findings)
        if not lines:
            return
        descriptor = os.open(self._path(repository), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"\n{lines}".encode())  # a line that a sudden end cut off must not take one of these with it
            file.flush()
            os.fsync(descriptor)

    def _lines(self, repository: str) -> set[str]:
        path = self._path(repository)
        return set(path.read_text("ascii").split()) if path.exists() else set()

    def _path(self, repository: str) -> Path:
        return self._folder / f"{quote(repository, safe='')}.told"


def _line_of(finding: Finding) -> str:
    place = finding.place.path or finding.place.object_id
    text = f"{finding.fingerprint or finding.rule}\0{place}\0{finding.place.detail}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
