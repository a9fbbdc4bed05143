"""Where findings sit: which commits brought an object, by whom, to which paths.

One ``git log --raw`` over all refs names each object that each commit brings; merges appear with what they changed
themselves. It costs about a tenth of reading the objects, and is asked only when there are findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vantage_secrets.leaks.finding import Attribution, Occurrence
from vantage_secrets.leaks.history.repository import Repository

_LOG = (
    *("log", "--all", "--raw", "-c", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--root"),
    *("--no-show-signature", "--format=%x01%H %T %ct %an <%ae>"),
)
_PERSON = re.compile(rb"^(?:committer|tagger) (.*) (\d+) [+-]\d{4}$", re.MULTILINE)
_AUTHOR = re.compile(rb"^author (.*) (\d+) [+-]\d{4}$", re.MULTILINE)


def sightings_of(repository: Repository, kinds: Mapping[str, str]) -> dict[str, list[Occurrence]]:
    """Return the commits that bring each of some blobs and trees, newest first.

    Args:
        repository: Where they are.
        kinds: Their ids, each with ``tree`` or something else.

    Raises:
        InvalidInputError: Git cannot go through the history.
    """
    wanted = {id_.encode() for id_ in kinds}
    found: dict[str, list[Occurrence]] = {}
    width = 2 * repository.id_bytes
    with_trees = ["-t"] if "tree" in kinds.values() else []
    for part in repository.output(*_LOG, *with_trees).split(b"\x01")[1:]:
        head, *fields = part.split(b"\0")
        if with_trees and (root := head.split(b" ", 2)[1]) in wanted:
            found.setdefault(root.decode(), []).append(_occurrence(head, b"."))
        for position, field in enumerate(fields):
            changed = field.lstrip(b"\n")
            # ":mode mode old new status", and "::mode mode mode old old new status" for a merge of two.
            if changed[:1] != b":":
                continue
            new = changed[1 + 14 + width + 1 :][:width] if changed[1:2] != b":" else changed.split(b" ")[-2]
            if new in wanted and position + 1 < len(fields):
                found.setdefault(new.decode(), []).append(_occurrence(head, fields[position + 1]))
    return found


def _occurrence(head: bytes, path: bytes) -> Occurrence:
    commit, _tree, committed_at, author = head.rstrip(b"\n").decode("utf-8", "replace").split(" ", 3)
    return Occurrence(commit, path.decode("utf-8", "replace"), author, int(committed_at))


def of_commit(id_: str, data: bytes) -> Occurrence:
    """Return the occurrence that a commit's or tag's own text is."""
    at = _PERSON.search(data)
    by = _AUTHOR.search(data) or at
    author = by[1].decode("utf-8", "replace") if by else ""
    return Occurrence(id_, "", author, int(at[2]) if at else 0)


def reachable_commits(repository: Repository, ids: Iterable[str]) -> set[str]:
    """Return those of some commits and tags that a ref leads to."""
    wanted = set(ids)
    if not wanted:
        return set()
    listed = repository.output("rev-list", "--all").decode().split()
    tags = repository.output("for-each-ref", "--format=%(objectname)").decode().split()
    return wanted.intersection(listed) | wanted.intersection(tags)


def summed_up(occurrences: Iterable[Occurrence]) -> Attribution:
    """Return the attribution of a finding from the commits that bring it."""
    ordered = sorted(set(occurrences), key=_age)
    if not ordered:
        return Attribution(None, None, 0, (), (), is_reachable=False)
    return Attribution(
        ordered[0],
        ordered[-1],
        len({occurrence.commit for occurrence in ordered}),
        tuple(sorted({occurrence.path for occurrence in ordered if occurrence.path})),
        tuple(sorted({occurrence.author for occurrence in ordered if occurrence.author})),
        is_reachable=True,
    )


def _age(occurrence: Occurrence) -> tuple[int, str]:
    return occurrence.committed_at, occurrence.commit


def by_path(occurrences: Mapping[str, list[Occurrence]], id_: str) -> dict[str, list[Occurrence]]:
    """Return an object's occurrences for each path it was brought to; one without a path when there are none."""
    paths: dict[str, list[Occurrence]] = {}
    for occurrence in occurrences.get(id_, []):
        paths.setdefault(occurrence.path, []).append(occurrence)
    return paths or {"": []}
