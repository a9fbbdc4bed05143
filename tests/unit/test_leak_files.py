"""A tree on the disk: everything is read, or told as not read."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.files import TreeSource

NOBODY = 65_534


def read(*paths: Path | str, coverage: Coverage | None = None, **options: object) -> dict[str, bytes]:
    """Return content by path inside the source."""
    coverage = Coverage() if coverage is None else coverage
    source = TreeSource([os.fspath(path) for path in paths], **options)  # type: ignore[arg-type]
    return {document.place.path: document.data for document in source.documents(coverage)}


def write(path: Path, data: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def reasons(coverage: Coverage) -> dict[str, str]:
    return {one.place.path: one.reason for one in coverage.unread}


def test_dotfiles_vendored_folders_and_what_git_ignores_are_read(tmp_path: Path) -> None:
    names = [".env", "node_modules/x/index.js", "poetry.lock", "a/b/c/d.txt", "ignored.log"]
    for name in names:
        write(tmp_path / name)
    write(tmp_path / ".gitignore", b"ignored.log\n")
    coverage = Coverage()
    assert sorted(read(tmp_path, coverage=coverage)) == sorted([*names, ".gitignore"])
    assert coverage.is_complete
    assert coverage.counts == {"file": 6}
    assert coverage.byte_count == 5 * len(b"content") + len(b"ignored.log\n")


def test_a_git_folder_is_read_but_for_its_objects(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    write(tmp_path / ".git/objects/aa/bb")
    write(tmp_path / ".git/modules/sub/HEAD")
    write(tmp_path / ".git/modules/sub/refs/x")
    write(tmp_path / ".git/modules/sub/objects/cc/dd")
    write(tmp_path / "objects/mine")
    coverage = Coverage()
    found = read(tmp_path, coverage=coverage)
    assert ".git/config" in found
    assert "objects/mine" in found
    assert not [path for path in found if "/objects/" in path]
    assert len([note for note in coverage.notes if "--history" in note]) == 2


def test_a_link_is_not_followed_unless_it_is_given(tmp_path: Path) -> None:
    target = write(tmp_path / "outside" / "file")
    tree = tmp_path / "tree"
    write(tree / "inside")
    (tree / "link").symlink_to(target)
    (tree / "folder").symlink_to(target.parent)
    (tree / "broken").symlink_to("nowhere")
    (tree / "loop").symlink_to(".")
    coverage = Coverage()
    assert list(read(tree, coverage=coverage)) == ["inside"]
    assert coverage.is_complete
    assert coverage.notes == ["4 symbolic links, which are not followed"]
    assert list(read(tree / "link")) == ["link"]
    assert list(read(tree / "folder")) == ["file"]


def test_a_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    os.link(write(tmp_path / "a"), tmp_path / "b")
    assert list(read(tmp_path)) == ["a"]


def test_fifos_and_sockets_are_noted_and_hold_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as place:
        place.bind("socket")
        coverage = Coverage()
        assert read(tmp_path, coverage=coverage) == {}
    assert coverage.notes == ["2 sockets, FIFOs or devices, which are not regular files"]


def test_a_fifo_that_takes_the_place_of_a_file_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "was-a-file")
    monkeypatch.setattr("vantage_secrets.leaks.sources.files._may_be_file", lambda _entry: True)
    assert read(tmp_path) == {}


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "secret").chmod(0)
    write(tmp_path / "locked" / "file")
    write(tmp_path / "open")
    (tmp_path / "locked").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o55)
    program = """
import os, sys
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.files import TreeSource
os.setgid(NOBODY); os.setuid(NOBODY)
coverage = Coverage()
print([document.place.path for document in TreeSource(["."]).documents(coverage)])
print([(one.place.path, one.reason) for one in coverage.unread])
""".replace("NOBODY", str(NOBODY))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    (tmp_path / "locked").chmod(0o755)
    assert done.stdout.splitlines() == [
        "['open']",
        "[('secret', 'permission denied'), ('locked', 'permission denied')]",
    ], done.stderr


def test_a_file_that_vanished_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name)
    coverage = Coverage()
    documents = TreeSource([str(tmp_path)]).documents(coverage)
    assert next(documents).place.path == "a"
    (tmp_path / "b").unlink()
    assert list(documents) == []
    assert reasons(coverage) == {"b": "it is not there"}


def test_a_sparse_file_of_5_gb_is_told_and_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(5 << 30)
    coverage = Coverage()
    assert read(tmp_path, coverage=coverage) == {}
    assert reasons(coverage) == {"huge": "larger than 256 MB"}
    os.truncate(tmp_path / "huge", 20)
    assert list(read(tmp_path)) == ["huge"]


def test_a_large_file_comes_in_pieces_of_its_whole(tmp_path: Path) -> None:
    line = b"%d\n" * 1
    data = b"".join(line % number for number in range(2_600_000))
    write(tmp_path / "large", data)
    documents = list(TreeSource([str(tmp_path)]).documents(Coverage()))
    assert len(documents) == 3
    assert max(len(document.data) for document in documents) < 9_000_000
    own = [document.data[document.owns_from : document.owns_to] for document in documents]
    assert b"".join(own) == data
    for document in documents:
        assert document.data.split(b"\n")[1] == b"%d" % (document.line_offset + 1)


def test_a_large_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "large", bytes(20_000_000))
    coverage = Coverage()
    documents = TreeSource([str(tmp_path)]).documents(coverage)
    next(documents)
    os.truncate(path, 100)
    list(documents)
    assert reasons(coverage) == {"large": "changed while it was read"}


def test_a_file_that_says_it_is_empty_is_read_to_its_end() -> None:
    found = read("/proc/self/status", "/proc/self/maps")
    assert found["status"].startswith(b"Name:")
    assert found["maps"].endswith(b"\n")


def test_an_lfs_pointer_is_no_content(tmp_path: Path) -> None:
    write(tmp_path / "model", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    coverage = Coverage()
    assert list(read(tmp_path, coverage=coverage)) == ["model"]
    assert reasons(coverage) == {"model": "Git LFS pointer: its content is not here"}


def test_names_that_are_no_text_are_read_and_can_be_printed(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"new\nline", b"\x1b[31mred"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(b"content")
    (tmp_path / os.fsdecode(b"d\xff")).mkdir()
    write(tmp_path / os.fsdecode(b"d\xff") / "x")
    found = read(tmp_path)
    assert sorted(found) == ["\\x1b[31mred", "caf\\xe9", "d\\xff/x", "new\\nline"]
    assert all(path.isprintable() and path.encode() for path in found)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.log", ["a/x.py", "b/a/y.py"]),
        ("a", ["b/x.log"]),
        ("a/*", ["b/a/y.py", "b/x.log"]),
        ("/a/", ["b/a/y.py", "b/x.log"]),
        ("b/*/y.py", ["a/x.py", "b/x.log"]),
        ("[", ["a/x.py", "b/a/y.py", "b/x.log"]),
    ],
)
def test_what_is_excluded_is_left_out_and_noted(tmp_path: Path, pattern: str, left: list[str]) -> None:
    for name in ("a/x.py", "b/a/y.py", "b/x.log"):
        write(tmp_path / name)
    coverage = Coverage()
    assert sorted(read(tmp_path, coverage=coverage, exclude=[pattern])) == left
    assert coverage.is_complete
    assert bool(coverage.notes) == (len(left) < 3)


def test_files_are_sources_of_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a" / "file")
    write(tmp_path / "top")
    monkeypatch.chdir(tmp_path)
    documents: list[Document] = list(TreeSource(["a/file", "top", "a/file"]).documents(Coverage()))
    assert [(document.place.source, document.place.path) for document in documents] == [("a", "file"), (".", "top")]


def test_an_archive_comes_with_what_is_inside_it(tmp_path: Path) -> None:
    write(tmp_path / "log.gz", gzip.compress(b"inside"))
    write(tmp_path / "large.gz", gzip.compress(os.urandom(17_000_000) + b"end"))
    found = {name: data[-6:] for name, data in read(tmp_path).items()}
    assert sorted(found) == ["large.gz", "large.gz!large", "log.gz", "log.gz!log"]
    assert found["log.gz!log"] == b"inside"
    assert found["large.gz!large"].endswith(b"end")


@pytest.mark.parametrize("name", ["missing", "fifo", "nul\0"])
def test_what_is_no_file_and_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidInputError):
        TreeSource([f"{tmp_path}/{name}"])


@pytest.mark.parametrize(("depth", "reason"), [(1_500, None), (2_500, "file name too long")])
def test_deep_folders_are_walked_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int, reason: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("f").write_bytes(b"content")
    os.chdir(tmp_path)
    try:
        coverage = Coverage()
        assert len(read(tmp_path, coverage=coverage)) == (reason is None)
        assert [one.reason for one in coverage.unread] == ([reason] if reason else [])
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
