"""Whether a repository has all that its history consists of: a list of what is there does not tell what is not."""

from __future__ import annotations

from collections.abc import Sequence

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.repository import Repository, first_line

_FOLLOW = ("rev-list", "--objects", "--all", "--quiet", "--missing=print")
_NAMED_MAX = 100
"""So many missing objects are named, the others are counted."""


def tell_missing(repository: Repository, label: str, missing: Sequence[bytes], coverage: Coverage) -> None:
    """Tell what a history consists of and is not there.

    Args:
        repository: Where it is not.
        label: The repository's name in reports.
        missing: Ids.
        coverage: Where it is told.
    """
    if missing and _answer(repository, "config", "--get-regexp", r"^remote\..*\.promisor$"):
        reason = f"a partial clone: {len(missing):,} objects were left on its remote"
        coverage.miss(Place(label, kind="history"), reason)
    else:
        for id_ in missing[:_NAMED_MAX]:
            coverage.miss(Place(label, object_id=id_.decode(), kind="object"), "the object is missing")
        if len(missing) > _NAMED_MAX:
            coverage.miss(Place(label, kind="history"), f"{len(missing) - _NAMED_MAX:,} more objects are missing")
    if repository.is_shallow:
        reason = "a shallow clone: what came before its oldest commits is not here"
        coverage.miss(Place(label, kind="history"), reason)


def followed(repository: Repository) -> tuple[list[bytes], str]:
    """Follow every ref as far as Git can; return the ids of what is missing, and why Git stopped if it did.

    This is for a history that has no log because something in it is missing or damaged, or one of which not all is
    in the log (``leads_past_commits``).
    """
    process, errors = repository.start(*_FOLLOW)
    with errors:
        listed = process.communicate()[0].splitlines()
        errors.seek(0)
        reason = first_line(errors.read()) if process.returncode else ""
    return [line[1:] for line in listed if line.startswith(b"?")], reason


def leads_past_commits(repository: Repository) -> bool:
    """Return whether a ref leads to something that is in no commit, such as a tagged tree: the log is silent on it."""
    kinds = repository.output("for-each-ref", "--format=%(objecttype) %(*objecttype)").split(b"\n")
    return bool({kind.strip() for kind in kinds} - {b"", b"commit", b"tag commit"})


def submodule_count(repository: Repository) -> int:
    """Return how many submodules the commit that is checked out has."""
    words = ("config", "--blob", "HEAD:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    return len(_answer(repository, *words))


def _answer(repository: Repository, *words: str) -> list[bytes]:
    """Return the lines of an answer that Git may not have."""
    try:
        return repository.output(*words).splitlines()
    except InvalidInputError:
        return []
