"""What is scanned: clones of repositories, or one that is made, each with a token planted in it."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vantage_secrets.leaks.examples import expand

PLANTED_PATH = "deploy/planted.env"
PLANTED_LINE = 3
KNOWN_PATH = "deploy/known.env"
_WORDS = (  # noqa: SIM905
    "account adapter agent batch buffer cache channel client cluster column config count cursor device document driver"
    " entry event field filter frame gateway graph handler header index item job key layer limit link list loader log"
    " mapper matrix message metric model module node number object offset option order page panel parser path policy"
    " process query queue reader record region report request resource result route row sample schema scope series"
    " server session shard signal source span state status step storage stream table tag target task template thread"
    " ticket timer trace tree unit update user value vector view window worker writer zone"
).split()
_LINES = (
    "    def {0}_{1}(self, {2}: int, {3}: str = '{4}') -> list[{5}]:",
    "        self._{0}_{1} = {2}.{3}({4}, timeout={n})",
    "        if {0}.{1} is None or {2}_{3} > {n}:",
    "            raise ValueError(f'the {0} of {1} has no {2}: {{{3}!r}}')",
    "        for {0}, {1} in enumerate({2}_{3}.{4}()):",
    "        # The {0} of a {1} is the {2} that its {3} had before the {4}.",
    "        return {0}.{1}({2}, key=lambda {3}: {3}.{4})",
    "    {0}-{1}: {{ {2}: {n}, {3}: '{4}/{5}' }}",
    "        log.debug('%s %s of %s', {0}.{1}, {2}, {3}[{n}])",
    "        assert {0}_{1}({2}) == {n}",
    "",
)
_RARE_LINES = (
    '    "{0}.{1}": {{"integrity": "sha256-{hash}", "{2}": "https://{3}.example.org/{4}/{5}"}},',
    "        password = settings.{0}_{1}.password",
    "        token = self.{0}.next_token({1})",
)
_RARE = 0.01
"""How often a line is a rare one: of the lines of flask and pip, 1 in 200 has a word for a secret."""
_FILE_COUNT = 240
_LINES_A_FILE = 260


class Prepared(NamedTuple):
    """A repository, ready to be scanned.

    Attributes:
        name: For the tables.
        tree: A folder with the files of its newest commit, and the planted one.
        history: A repository without checked-out files; one commit of another branch has the planted file.
        commit_count: How many commits it has.
        object_bytes: How much there is to read of its history: the contents of all objects.
    """

    name: str
    tree: Path
    history: Path
    commit_count: int
    object_bytes: int


def planted_text(seed: int = 1) -> str:
    """Return the text of the planted file: a token of a format that every scanner knows, in line ``PLANTED_LINE``."""
    token = expand("ghp_{alnum:30}{github-checksum}", random.Random(seed))
    return f"# Planted by the benchmark; it opens nothing.\nHOST=ci.example.org\nGITHUB_TOKEN={token}\n"


def planted_blob() -> str:
    """Return Git's name of the planted text: the SHA-1 of ``blob LENGTH NUL CONTENT`` (gitformat-pack)."""
    content = planted_text().encode()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


def prepared(source: Path, folder: Path, known: str) -> Prepared:
    """Return a copy of a repository with the planted token; the source stays as it is.

    Args:
        source: Where the repository is; with or without checked-out files.
        folder: Where the copy is made; it must not exist.
        known: A value of ours, planted in the history beside the token.

    Raises:
        subprocess.CalledProcessError: ``source`` has no repository, or one without a commit.
    """
    tree, history = folder / "tree", folder / "history"
    common = Path(_git(source, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    # As over a network, which is how a repository gets to who scans it: with what its refs lead to, in one pack.
    _git(source, "clone", "--quiet", "--mirror", "--no-local", str(common), str(history / ".git"))
    _git(history, "config", "core.bare", "false")
    head = _git(source, "rev-parse", "HEAD")
    index = {"GIT_INDEX_FILE": str(folder / "index")}
    _git(history, "read-tree", head, **index)
    tree.mkdir()
    _git(history, "checkout-index", "--all", f"--prefix={tree}/", **index)
    _plant(history, head, known, index)
    (tree / PLANTED_PATH).parent.mkdir(parents=True, exist_ok=True)
    (tree / PLANTED_PATH).write_text(planted_text(), "utf-8")
    sizes = _git(history, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectsize)").split()
    commit_count = int(_git(history, "rev-list", "--all", "--count"))
    return Prepared(source.resolve().name, tree, history, commit_count, sum(map(int, sizes)))


def _plant(history: Path, head: str, known: str, index: dict[str, str]) -> None:
    """Commit the planted files to a branch, and then take them out again."""
    for path, text in ((PLANTED_PATH, planted_text()), (KNOWN_PATH, f"notes\n{known}\n")):
        blob = _git(history, "hash-object", "-w", "--stdin", stdin=text)
        _git(history, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
    with_it = _commit(history, _git(history, "write-tree", **index), head)
    without = _commit(history, _git(history, "rev-parse", f"{head}^{{tree}}"), with_it)
    _git(history, "update-ref", "refs/heads/planted", without)


def _commit(history: Path, tree: str, parent: str) -> str:
    who = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in _WHO.items()}
    return _git(history, "commit-tree", tree, "-p", parent, "-m", "Settings of the deployment", **who)


_WHO = {"NAME": "Benchmark", "EMAIL": "benchmark@example.org", "DATE": "1700000000 +0000"}


def _git(folder: Path, *words: str, stdin: str = "", **environment: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *words],
        input=stdin,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    return done.stdout.strip()


def make_repository(folder: Path, commit_count: int, seed: int = 1) -> Path:
    """Make a repository of text like programs; the same seed gives the same commits. Returns ``folder``.

    Each commit changes about two files of about 14 KB: 3,500 of them make 100 MB of blobs.
    """
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    process = subprocess.Popen(["git", "-C", folder, "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as stream:
        for part in _fast_import(random.Random(seed), commit_count):
            stream.write(part)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, "git fast-import")
    _git(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    _git(folder, "repack", "-adfq", "--depth=50", "--window=10")
    return folder


def _fast_import(generator: random.Random, commit_count: int) -> Iterator[bytes]:
    """Yield a stream as git-fast-import(1) reads it."""
    files: dict[str, list[str]] = {}
    for number in range(commit_count):
        if number == 0:
            changed = [_path(generator) for _ in range(_FILE_COUNT)]
        else:
            changed = [*generator.sample(sorted(files), generator.randint(1, 3)), *_sometimes_new(generator)]
        message = " ".join(generator.choices(_WORDS, k=6)).capitalize()
        who = f"Benchmark <{generator.choice(_WORDS)}@example.org> {1_600_000_000 + number * 3_600} +0000"
        yield f"commit refs/heads/main\ncommitter {who}\n".encode()
        yield _data(message)
        for path in dict.fromkeys(changed):
            lines = files.setdefault(path, [])
            _edit(lines, generator)
            yield f"M 100644 inline {path}\n".encode() + _data("\n".join(lines) + "\n")


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)


def _sometimes_new(generator: random.Random) -> list[str]:
    return [_path(generator)] if generator.random() < 0.05 else []


def _path(generator: random.Random) -> str:
    suffix = generator.choice(("py", "py", "go", "ts", "java", "yaml", "json", "md"))
    return f"{generator.choice(_WORDS)}/{generator.choice(_WORDS)}/{'_'.join(generator.sample(_WORDS, 2))}.{suffix}"


def _edit(lines: list[str], generator: random.Random) -> None:
    """Fill an empty file, or change a few lines of another."""
    if not lines:
        lines += [_line(generator) for _ in range(generator.randint(_LINES_A_FILE // 2, _LINES_A_FILE * 3 // 2))]
        return
    at = generator.randrange(len(lines))
    lines[at : at + generator.randint(0, 6)] = [_line(generator) for _ in range(generator.randint(1, 6))]


def _line(generator: random.Random) -> str:
    words = generator.choices(_WORDS, k=6)
    lines = _RARE_LINES if generator.random() < _RARE else _LINES
    return generator.choice(lines).format(
        *words, n=generator.randrange(1_000), hash=f"{generator.getrandbits(256):064x}"
    )
