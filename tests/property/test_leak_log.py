"""Git's log names everything that a history consists of, and tells which commits brought it, whatever it is called."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaks.repositories import Repo
from vantage_secrets.leaks.finding import Occurrence
from vantage_secrets.leaks.history import log as log_module
from vantage_secrets.leaks.history.log import Log
from vantage_secrets.leaks.history.plan import Plan
from vantage_secrets.leaks.history.repository import Repository

Tree = dict[bytes, tuple[bytes, bytes]]
"""Mode and content of each file, by its path; for a submodule, the commit's id."""
SUBMODULE = b"160000"
MODES = (b"100644", b"100644", b"100755", b"120000")
# Git sorts a folder as if a slash stood behind its name, so "a-", "a." and "a0" change sides when "a" becomes one.
PLAIN_NAMES = (b"a", b"b", b"a-", b"a.b", b"a0", b"c")


def looks_like_a_change(id_: bytes) -> bytes:
    return b":100644 100644 %b %b M" % (id_, id_)


def strange_names(id_: bytes) -> list[bytes]:
    """Return names of files or persons with bytes that mean something in a log; ``id_`` is some object's."""
    return [
        *(b"\x01", b"\x01" + b"0" * 16 + id_ + b" " + id_ + b" 1 x y", b"quo\"te'", b"back\\slash", b"\xff\xfe"),
        *(looks_like_a_change(id_), b"x " + id_ + b" A", id_ + b" M", b":", "ü".encode(), b"sp ace", b"-n"),
    ]


class Commit(NamedTuple):
    parents: list[int]
    tree: Tree
    author: bytes
    committed_at: int


def put(tree: Tree, path: bytes, entry: tuple[bytes, bytes]) -> None:
    """Set a file; what is a folder at its path, or a file where it needs a folder, goes away."""
    parts = path.split(b"/")
    for count in range(1, len(parts)):
        tree.pop(b"/".join(parts[:count]), None)
    for other in [other for other in tree if other.startswith(path + b"/")]:
        del tree[other]
    tree[path] = entry


class RandomHistory:
    """Commits of a random history.

    Args:
        seed: Where it comes from.
        size: How many commits it has.
        id_length: Of the ids of its objects, in hexadecimal digits.
    """

    def __init__(self, seed: int, size: int, id_length: int) -> None:
        self._generator = random.Random(seed)
        self._id_length = id_length
        fake = self._id_of(b"0")
        strange = strange_names(fake)
        self._names = [*PLAIN_NAMES * 3, *strange, b"new\nline", b"ta\tb"]
        self._people = [b"Author", b"", *strange]
        self.commits: list[Commit] = []
        for _ in range(size):
            self.commits.append(self._commit())

    def _id_of(self, content: bytes) -> bytes:
        return (hashlib.sha256(content).hexdigest()).encode()[: self._id_length]

    def _commit(self) -> Commit:
        generator = self._generator
        parents = self._parents()
        tree = self._merged([self.commits[parent].tree for parent in parents])
        for _ in range(generator.choice([0, 1, 1, 2, 4]) if parents else 4):
            self._change(tree)
        # Clocks are not all right.
        committed_at = 1_700_000_000 + 100 * len(self.commits) + generator.choice([0, 0, 0, -350, 5_000])
        return Commit(parents, tree, generator.choice(self._people), committed_at)

    def _parents(self) -> list[int]:
        count = min(len(self.commits), self._generator.choice([0, 1, 1, 1, 1, 2, 2, 2, 3]))
        newest = range(max(0, len(self.commits) - 6), len(self.commits))
        return self._generator.sample(newest, min(count, len(newest)))

    def _merged(self, trees: list[Tree]) -> Tree:
        """Return a tree with each file as in some parent, or without it."""
        generator = self._generator
        if not trees or generator.random() < 0.3:
            return dict(generator.choice(trees)) if trees else {}
        merged: Tree = {}
        paths = sorted({path for tree in trees for path in tree})
        generator.shuffle(paths)
        for path in paths:
            entry = generator.choice(trees).get(path)
            if entry:
                put(merged, path, entry)
        return merged

    def _change(self, tree: Tree) -> None:
        generator = self._generator
        old = generator.choice(sorted(tree)) if tree else b""
        kind = generator.choice(["new", "new", "edit", "delete", "rename", "mode", "folder", "file", "submodule"])
        if kind == "new" or not old:
            put(tree, self._path(), self._entry())
        elif kind == "edit":
            put(tree, old, self._entry())
        elif kind == "delete":
            del tree[old]
        elif kind == "rename":
            put(tree, self._path(), tree.pop(old))
        elif kind == "mode" and tree[old][0] != SUBMODULE:
            tree[old] = generator.choice(MODES), tree[old][1]
        elif kind == "folder":
            entry = tree.pop(old)
            put(tree, old + b"/" + generator.choice(PLAIN_NAMES), generator.choice([entry, self._entry()]))
        elif kind == "file" and b"/" in old:
            put(tree, old.rpartition(b"/")[0], generator.choice([tree[old], self._entry()]))
        elif kind == "submodule":
            put(tree, generator.choice([old, self._path()]), (SUBMODULE, self._id_of(b"%d" % generator.randrange(3))))

    def _path(self) -> bytes:
        return b"/".join(self._generator.choices(self._names, k=self._generator.choice([1, 1, 2, 3])))

    def _entry(self) -> tuple[bytes, bytes]:
        # Few contents, so that the same object comes back, elsewhere too.
        return self._generator.choice(MODES), b"content %d" % self._generator.randrange(8)


def stream_of(commits: Sequence[Commit]) -> bytes:
    """Return what ``git fast-import`` makes them of; each has a branch."""
    stream: list[bytes] = []
    for number, commit in enumerate(commits):
        name = commit.author + b" " if commit.author else b""
        person = b"%b<%d@\x01> %d +0000" % (name, number, commit.committed_at)
        stream.append(b"commit refs/heads/%d\nmark :%d\n" % (number, number + 1))
        stream.append(b"author %b\ncommitter %b\ndata 6\n%06d\n" % (person, person, number))
        for position, parent in enumerate(commit.parents):
            stream.append(b"%b :%d\n" % (b"merge" if position else b"from", parent + 1))
        stream.append(b"deleteall\n")
        for path, (mode, content) in commit.tree.items():
            is_submodule = mode == SUBMODULE
            stream.append(b"M %b %b %b\n" % (mode, content if is_submodule else b"inline", quoted(path)))
            if not is_submodule:
                stream.append(b"data %d\n%b\n" % (len(content), content))
    return b"".join(stream)


def quoted(path: bytes) -> bytes:
    return b'"%b"' % b"".join(b"\\%03o" % byte for byte in path)


class Made(NamedTuple):
    """A history in a repository.

    Attributes:
        numbers: The number of each commit in ``commits``, by its id.
        order: The ids of the commits as Git lists them, newest first.
        entries: What each commit's tree has: mode and id by path, of folders too; the root is ``.``.
    """

    commits: list[Commit]
    numbers: dict[str, int]
    order: list[str]
    entries: dict[str, Mapping[bytes, tuple[bytes, str]]]


def made(repo: Repo, commits: list[Commit]) -> Made:
    repo.git("fast-import", "--quiet", given=stream_of(commits))
    refs = repo.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)").splitlines()
    numbers = {id_: int(number) for id_, number in map(str.split, refs)}
    order = repo.git("rev-list", "--all").splitlines()
    assert sorted(order) == sorted(numbers)
    repository = Repository(repo.folder)
    return Made(commits, numbers, order, {id_: entries_of(repository, id_) for id_ in order})


def entries_of(repository: Repository, commit: str) -> dict[bytes, tuple[bytes, str]]:
    entries = {b".": (b"", repository.output("rev-parse", f"{commit}^{{tree}}").decode().strip())}
    for line in repository.output("ls-tree", "-r", "-t", "-z", "--full-tree", commit).split(b"\0")[:-1]:
        head, _tab, path = line.partition(b"\t")
        mode, _kind, id_ = head.split()
        entries[path] = mode, id_.decode()
    return entries


def all_ids(repo: Repo) -> set[bytes]:
    """Return what Git names when it follows every ref."""
    listed = Repository(repo.folder).output("rev-list", "--objects", "--all")
    return {line.partition(b" ")[0] for line in listed.splitlines()}


def slow_sightings(history: Made) -> dict[str, list[Occurrence]]:
    """Return, for each id, the commits that have it where none of their parents has it so."""
    ids = {number: id_ for id_, number in history.numbers.items()}
    found: dict[str, list[Occurrence]] = {}
    for commit in history.order:
        said = history.commits[history.numbers[commit]]
        before = [history.entries[ids[parent]] for parent in said.parents]
        author = f"{said.author.decode('utf-8', 'replace')} <{history.numbers[commit]}@\x01>"
        for path, entry in history.entries[commit].items():
            if path == b"." or all(parent.get(path) != entry for parent in before):
                occurrence = Occurrence(commit, path.decode("utf-8", "replace"), author, said.committed_at)
                found.setdefault(entry[1], []).append(occurrence)
    return found


SETTINGS = """
[log]
    showRoot = false
    diffMerges = first-parent
    follow = true
    abbrevCommit = true
[diff]
    ignoreSubmodules = all
    renames = copies
    relative = true
    noPrefix = true
    orderFile = nowhere
[core]
    abbrev = 7
    quotePath = true
[color]
    ui = always
[i18n]
    logOutputEncoding = latin1
"""
"""What a user may have set, and what must change nothing."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories")


@pytest.mark.parametrize(("object_format", "id_length"), [("sha1", 40), ("sha256", 64)])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 14),
    part_bytes=st.sampled_from([50, 700, 262_144]),
    has_settings=st.booleans(),
)
def test_all_that_the_refs_lead_to_is_named_and_where_it_was_brought(
    seed: int, size: int, part_bytes: int, has_settings: bool, object_format: str, id_length: int, place: Path
) -> None:
    with tempfile.TemporaryDirectory(dir=place) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "_PART_BYTES", part_bytes)
        repo = Repo(Path(folder), f"--object-format={object_format}")
        history = made(repo, RandomHistory(seed, size, id_length).commits)
        if has_settings:
            with (repo.folder / ".git/config").open("a") as config:
                config.write(SETTINGS)
        (repo.folder / "a").mkdir()
        log = Log(Repository(repo.folder / "a"))
        plan = Plan(log)
        assert log.failure == ""
        assert set(plan.missing([])) == all_ids(repo)
        entries = [(path, *entry) for each in history.entries.values() for path, entry in each.items()]
        assert plan.trees == {id_.encode() for _path, mode, id_ in entries if mode in (b"", b"040000")}
        assert plan.has_submodules == any(mode == SUBMODULE for _path, mode, _id in entries)
        assert {(id_.decode(), path) for id_, path in plan.paths().items()} <= {(id_, path) for path, _, id_ in entries}
        assert [commit.decode() for commit, _root in log.commits()] == history.order
        told = log.sightings_of({id_ for _path, _mode, id_ in entries})
        expected = slow_sightings(history)
        assert {id_: sorted(some) for id_, some in told.items()} == {id_: sorted(s) for id_, s in expected.items()}
        for blob in plan.paths():
            order = [history.order.index(each.commit) for each in told[blob.decode()]]
            assert order == sorted(order), "the newest comes first"


# a file becomes a folder, and a folder a file

BEFORE: tuple[Tree, ...] = (
    {},
    {b"a": (b"100644", b"one")},
    {b"a": (b"100755", b"two")},
    {b"a": (SUBMODULE, b"1" * 40)},
    {b"a/x": (b"100644", b"one")},
    {b"a/x": (b"100644", b"two"), b"a/y": (b"100644", b"one")},
    {b"a/x/z": (b"100644", b"one")},
)
AFTER: tuple[Tree, ...] = (
    {b"a": (b"100644", b"new %d")},
    {b"a/x": (b"100644", b"new %d")},
    {b"a/x": (b"100644", b"one"), b"a/new": (b"100644", b"new %d")},
    {b"a/x": (SUBMODULE, b"1" * 40), b"a/y": (b"100644", b"new %d")},
    {b"a/x/z": (b"100644", b"new %d"), b"a/y": (b"100644", b"one")},
)
NEIGHBOURS: Tree = {b"a-": (b"100644", b"new %d, a-"), b"a.b": (b"100644", b"one"), b"a0": (b"100644", b"new %d, a0")}


def all_merges(parent_count: int) -> list[Commit]:
    """Return a merge of any such trees with each kind of result; what is new is in no other commit."""
    commits = [Commit([], {**tree, b"a0": (b"100644", b"old")}, b"A", 1) for tree in BEFORE]
    for parents in permutations(range(len(BEFORE)), parent_count):
        for after in AFTER:
            parts, number = {**after, **NEIGHBOURS}.items(), b"%d" % len(commits)
            tree = {path: (mode, content.replace(b"%d", number)) for path, (mode, content) in parts}
            commits.append(Commit(list(parents), tree, b"A", 2))
    return commits


@pytest.mark.parametrize("parent_count", [1, 2, 3])
def test_all_is_named_where_a_file_and_a_folder_have_one_name(parent_count: int, tmp_path: Path) -> None:
    repo = Repo(tmp_path)
    commits = all_merges(parent_count)
    repo.git("fast-import", "--quiet", given=stream_of(commits))
    plan = Plan(Log(Repository(repo.folder)))
    expected = all_ids(repo)
    assert len(expected) > 3 * len(commits)
    assert set(plan.missing([])) == expected
