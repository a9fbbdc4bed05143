"""Whether a repository has all that its history consists of: a list of what is there does not tell what is not.

Git follows every ref through commits and trees and names what it does not find. It does so while the objects are read.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import IO

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.repository import Repository, first_line

_FOLLOW = ("rev-list", "--objects", "--all", "--quiet", "--missing=print")
_NAMED_MAX = 100
"""So many missing objects are named, the others are counted."""


class Completeness:
    """A check under way, beside the reading of the objects.

    Args:
        repository: What is checked.
        label: Its name in reports.
    """

    def __init__(self, repository: Repository, label: str) -> None:
        self._repository = repository
        self._label = label
        self._process: subprocess.Popen[bytes]
        self._errors: IO[bytes]
        self._process, self._errors = repository.start(*_FOLLOW)

    def tell(self, coverage: Coverage) -> None:
        """Wait for the check, and tell what the history consists of and is not there."""
        with self._errors, self._process:
            listed = self._process.communicate()[0]
            self._errors.seek(0)
            reason = first_line(self._errors.read()) if self._process.returncode else ""
        missing = [line[1:].decode() for line in listed.splitlines() if line.startswith(b"?")]
        if reason:
            coverage.miss(Place(self._label, kind="history"), f"Git cannot follow it: {reason}")
        if missing and self._is_partial():
            reason = f"a partial clone: {len(missing):,} objects were left on its remote"
            coverage.miss(Place(self._label, kind="history"), reason)
        else:
            _tell_missing(missing, self._label, coverage.miss)
        if self._is_shallow():
            coverage.miss(
                Place(self._label, kind="history"), "a shallow clone: what came before its oldest commits is not here"
            )
        submodules = self._submodules()
        if submodules:
            coverage.notes.append(f"submodules are repositories of their own, which were not read: {submodules:,}")

    def stop(self) -> None:
        """End the check without its answer."""
        self._process.kill()
        with self._errors:
            self._process.communicate()

    def _is_shallow(self) -> bool:
        return self._repository.output("rev-parse", "--is-shallow-repository").strip() == b"true"

    def _is_partial(self) -> bool:
        return bool(self._asked("config", "--get-regexp", r"^remote\..*\.promisor$"))

    def _submodules(self) -> int:
        """Return how many submodules the commit that is checked out has."""
        return len(self._asked("config", "--blob", "HEAD:.gitmodules", "--get-regexp", r"^submodule\..*\.path$"))

    def _asked(self, *words: str) -> list[bytes]:
        """Return the lines of an answer that Git may not have."""
        try:
            return self._repository.output(*words).splitlines()
        except InvalidInputError:
            return []


def _tell_missing(missing: list[str], label: str, miss: Callable[[Place, str], None]) -> None:
    for id_ in missing[:_NAMED_MAX]:
        miss(Place(label, object_id=id_, kind="object"), "the object is missing")
    if len(missing) > _NAMED_MAX:
        miss(Place(label, kind="history"), f"{len(missing) - _NAMED_MAX:,} more objects are missing")
