"""What is staged is read as it is in the index, whatever lies in the working tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives import make_zip
from tests.canary import canary
from tests.leaks.repositories import Repo
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.staged import StagedSource


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "CLEAR")
    made.commit({"a": "1", "b": "2", "c/d": "3"})
    return made


def staged(repo: Repo, path: Path | None = None) -> tuple[dict[str, bytes], Coverage]:
    coverage = Coverage()
    documents = StagedSource(path or repo.folder).documents(coverage)
    return {each.place.path: each.data for each in documents}, coverage


def add(repo: Repo, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        file = repo.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        repo.git("add", "-f", "--", path)


def test_added_and_changed_files_are_read_from_the_index(repo: Repo) -> None:
    add(repo, {"a": b"changed", "new/ü n": b"new", "both1": b"same", "both2": b"same"})
    (repo.folder / "a").write_text("changed again")
    (repo.folder / "untracked").write_text("x")
    repo.git("rm", "-q", "b")
    found, coverage = staged(repo)
    assert found == {"a": b"changed", "new/ü n": b"new", "both1": b"same", "both2": b"same"}
    assert coverage.counts == {"staged file": 4}
    assert coverage.is_complete


def test_a_first_commit_is_read(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "CLEAR")
    add(repo, {"a": b"first"})
    assert staged(repo)[0] == {"a": b"first"}


def test_nothing_staged_is_nothing_to_read(repo: Repo) -> None:
    found, coverage = staged(repo)
    assert (found, coverage.counts, coverage.is_complete) == ({}, {}, True)


def test_a_subfolder_stands_for_its_repository(repo: Repo) -> None:
    repo.git("config", "diff.relative", "true")
    add(repo, {"a": b"changed", "c/d": b"changed too"})
    assert staged(repo, repo.folder / "c")[0].keys() == {"a", "c/d"}


def test_a_renamed_and_a_linked_file_are_read(repo: Repo) -> None:
    repo.git("mv", "a", "z")
    (repo.folder / "link").symlink_to(canary())
    repo.git("add", "link")
    found, _coverage = staged(repo)
    assert found.keys() == {"z", "link"}
    assert found["link"].startswith(b"cnry-"), "the target of a link is what Git keeps of it"


def test_a_staged_archive_is_read_inside(repo: Repo) -> None:
    add(repo, {"x.zip": make_zip({"in/side": b"text"})})
    assert staged(repo)[0]["x.zip!in/side"] == b"text"


def test_attributes_and_filters_change_nothing(repo: Repo) -> None:
    add(repo, {".gitattributes": b"*.x -diff binary\n", "a.x": b"\0binary"})
    assert staged(repo)[0]["a.x"] == b"\0binary"


def test_a_submodule_is_left_out(repo: Repo, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "inner")
    inner.commit({"x": "1"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "sub")
    assert staged(repo)[0].keys() == {".gitmodules"}


def test_a_missing_object_is_told_at_each_path(repo: Repo) -> None:
    add(repo, {"one": b"same text", "two": b"same text", "three": b"other"})
    repo.object_file(repo.git("rev-parse", ":one")).unlink()
    found, coverage = staged(repo)
    assert found == {"three": b"other"}
    assert sorted(each.place.path for each in coverage.unread) == ["one", "two"]


def test_a_damaged_object_is_told(repo: Repo) -> None:
    add(repo, {"one": b"some text", "two": b"other"})
    file = repo.object_file(repo.git("rev-parse", ":one"))
    file.chmod(0o644)
    file.write_bytes(b"damaged")
    found, coverage = staged(repo)
    assert found == {"two": b"other"}
    assert [each.place.path for each in coverage.unread] == ["one"]


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot read"):
        StagedSource(tmp_path)
