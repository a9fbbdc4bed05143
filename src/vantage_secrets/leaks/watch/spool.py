"""Records that must outlive the process: each is a file of its own, durable before anybody is told that it is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.stores.embedded.files import make_private_folder, sync_folder, write_private_file


class Record(NamedTuple):
    """A record and its file."""

    path: Path
    content: dict[str, Any]


class Spool:
    """A folder of records, oldest first. Safe from several threads; a record is whole or not there at all.

    Args:
        folder: Where; made with mode 0700 when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder
        for draft in folder.glob(".*.draft"):  # of a process that was killed while it wrote: nobody was told of it
            draft.unlink(missing_ok=True)

    def add(self, content: Mapping[str, Any]) -> Record:
        """Keep a record; when this returns, it survives the machine's sudden end.

        Raises:
            OSError: The disk is full or takes no files; nothing is kept.
        """
        path = self._folder / f"{time.time_ns():020d}-{os.urandom(4).hex()}.json"
        write_private_file(path, json.dumps(content).encode())
        return Record(path, dict(content))

    def records(self) -> list[Record]:
        """Return all records, oldest first.

        Raises:
            InvalidInputError: A file in the folder is no record.
        """
        return [Record(path, self._read(path)) for path in sorted(self._folder.glob("[0-9]*.json"))]

    def remove(self, record: Record) -> None:
        """Forget a record. Safe to repeat."""
        record.path.unlink(missing_ok=True)
        sync_folder(self._folder)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise InvalidInputError(
                f"'{path}' is damaged, and nobody knows what it said.",
                hint="Scan the watched repositories with 'vantage-secrets scan --history', then remove the file.",
            )
        return content
