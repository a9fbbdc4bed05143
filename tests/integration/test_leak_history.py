"""A value is found wherever a repository can hold it, and told with the commits that brought it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives import make_tar, make_zip
from tests.canary import canary
from tests.leaks.repositories import Repo, Scanned, scan_history, small_matcher
from vantage_secrets.leaks.matching import Matcher


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return small_matcher(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "CLEAR")
    made.commit({"README": "hello"})
    return made


def scanned(repo: Repo, matcher: Matcher) -> Scanned:
    done = scan_history(repo.folder, matcher)
    assert done.coverage.is_complete, done.reasons
    return done


# places


@pytest.mark.parametrize(
    "path", [".env", "vendor/lib/x.js", "yarn.lock", "logo.svg", "a b/ü.ipynb", "deep/er/than/most/f", "-n", ":odd"]
)
def test_a_value_in_a_file_is_found(repo: Repo, matcher: Matcher, path: str) -> None:
    commit = repo.commit({path: f"a line\nkey = {canary()} # more\n"})
    found = scanned(repo, matcher).only
    assert (found.place.kind, found.place.path) == ("blob", path)
    assert (found.line, found.column) == (2, 7)
    assert found.attribution is not None
    assert found.attribution.first is not None
    assert found.attribution.first.commit == commit


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda value: b"\0\1\2" + value + b"\0\xff", id="binary"),
        pytest.param(lambda value: b"x" * 300_000 + b" " + value + b" " + b"y" * 300_000, id="a very long line"),
        pytest.param(lambda value: b"\r" + value + b"\r", id="old line ends"),
        pytest.param(lambda value: b"\xff\xfe\xfd " + value, id="no UTF-8"),
        pytest.param(lambda value: value, id="nothing but the value"),
    ],
)
def test_a_value_in_any_bytes_is_found(repo: Repo, matcher: Matcher, content: object) -> None:
    repo.commit({"data.bin": content(canary().encode())})  # type: ignore[operator]
    assert scanned(repo, matcher).places == [("blob", "data.bin")]


def test_attributes_and_ignored_files_hide_nothing(repo: Repo, matcher: Matcher) -> None:
    repo.commit({".gitattributes": "*.x -diff -text\n", ".gitignore": "*.y\n", "a.x": canary(), "b.y": canary()})
    assert scanned(repo, matcher).places == [("blob", "a.x"), ("blob", "b.y")]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_value_in_an_archive_is_found_where_the_archive_was(repo: Repo, matcher: Matcher, make: object) -> None:
    value = canary()
    repo.commit({"dist/all.bin": make({"conf/app.ini": f"one\n{value}".encode()})})  # type: ignore[operator]
    members = [each for each in scanned(repo, matcher).findings if each.place.kind == "member"]
    assert [(each.place.path, each.line) for each in members] == [("dist/all.bin!conf/app.ini", 2)]
    assert members[0].attribution is not None
    assert members[0].attribution.paths == ("dist/all.bin",)


def test_a_value_in_a_commit_message_is_found(repo: Repo, matcher: Matcher) -> None:
    commit = repo.commit({"a": "1"}, f"use\n\nthe key {canary()}\n")
    found = scanned(repo, matcher).only
    assert (found.place.kind, found.place.object_id, found.place.path) == ("commit", commit, "")
    assert found.attribution is not None
    assert found.attribution.is_reachable
    assert found.attribution.authors == ("Author <author@dev.example>",)


def test_a_value_in_an_annotated_tag_is_found(repo: Repo, matcher: Matcher) -> None:
    repo.git("tag", "-a", "v1", "-F", "-", given=f"the key {canary()}".encode())
    found = scanned(repo, matcher).only
    assert found.place.kind == "tag"
    assert found.attribution is not None
    assert found.attribution.is_reachable


def test_a_value_in_a_file_name_is_found_with_its_folder(repo: Repo, matcher: Matcher) -> None:
    repo.commit({f"conf/{canary()}": "1"})
    found = scanned(repo, matcher).only
    assert (found.place.kind, found.place.path) == ("tree", "conf")
    assert found.attribution is not None
    assert found.attribution.is_reachable


def test_a_value_in_a_file_name_at_the_top_is_found_and_attributed(repo: Repo, matcher: Matcher) -> None:
    commit = repo.commit({canary(): "1"})
    found = scanned(repo, matcher).only
    assert (found.place.kind, found.place.path) == ("tree", ".")
    assert found.attribution is not None
    assert found.attribution.first is not None
    assert found.attribution.first.commit == commit


def test_what_a_merge_changes_itself_is_found_at_the_merge(repo: Repo, matcher: Matcher) -> None:
    repo.commit({"a": "1\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"b": "1\n"})
    repo.git("checkout", "-q", "main")
    repo.commit({"c": "1\n"})
    repo.git("merge", "-q", "--no-ff", "--no-commit", "side")
    merge = repo.commit({"a": f"1\n{canary()}\n"}, "Merge side")
    assert len(repo.git("rev-list", "--parents", "-1", "HEAD").split()) == 3
    found = scanned(repo, matcher).only
    assert (found.place.path, found.line) == ("a", 2)
    assert found.attribution is not None
    assert found.attribution.first is not None
    assert found.attribution.first.commit == merge


def test_a_value_in_a_stash_is_found(repo: Repo, matcher: Matcher) -> None:
    (repo.folder / "README").write_text(canary())
    repo.git("stash", "-q")
    found = scanned(repo, matcher).only
    assert found.place.path == "README"
    assert found.attribution is not None
    assert found.attribution.is_reachable


def test_a_value_in_a_note_is_found(repo: Repo, matcher: Matcher) -> None:
    repo.git("notes", "add", "-F", "-", given=canary().encode())
    found = scanned(repo, matcher).only
    assert found.place.kind == "blob"
    assert found.attribution is not None
    assert found.attribution.is_reachable


def test_objects_that_nothing_leads_to_are_read_and_told_so(repo: Repo, matcher: Matcher) -> None:
    blob = repo.blob(canary())
    lost = repo.commit({"a": "1"}, f"the key {canary()}")
    repo.git("reset", "-q", "--hard", "HEAD~1")
    found = scanned(repo, matcher).findings
    assert {each.place.object_id for each in found} == {blob, lost}
    assert all(each.attribution is not None and not each.attribution.is_reachable for each in found)


def test_a_file_that_was_deleted_is_found(repo: Repo, matcher: Matcher) -> None:
    first = repo.commit({"old.env": canary()})
    repo.git("rm", "-q", "old.env")
    repo.commit({}, "remove it")
    found = scanned(repo, matcher).only
    assert found.place.path == "old.env"
    assert found.attribution is not None
    assert found.attribution.last is not None
    assert found.attribution.last.commit == first


def test_an_object_that_another_one_replaces_is_still_read(repo: Repo, matcher: Matcher) -> None:
    secret = repo.commit({"a": canary()}, f"with {canary()}")
    harmless = repo.git("commit-tree", "HEAD~1^{tree}", "-m", "nothing here")
    repo.git("replace", secret, harmless)
    blob = repo.git("--no-replace-objects", "rev-parse", f"{secret}:a")
    repo.git("replace", "-f", blob, repo.blob("x"))
    assert scanned(repo, matcher).places == [("blob", "a"), ("commit", "")]


@pytest.mark.parametrize("is_packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("words", [[], ["--object-format=sha256"]], ids=["SHA-1", "SHA-256"])
def test_every_kind_of_object_is_read_loose_and_packed(
    tmp_path: Path, matcher: Matcher, words: list[str], is_packed: bool
) -> None:
    repo = Repo(tmp_path / "CLEAR", *words)
    repo.commit({"a/b": canary(), canary(): ""}, canary())
    repo.git("tag", "-a", "v", "-m", canary())
    if is_packed:
        repo.pack()
    assert [kind for kind, _path in scanned(repo, matcher).places] == ["blob", "commit", "tag", "tree"]


def test_bare_repositories_worktrees_and_subfolders_are_read(repo: Repo, matcher: Matcher, tmp_path: Path) -> None:
    repo.commit({"sub/a": canary()})
    repo.git("clone", "-q", "--bare", str(repo.folder), str(tmp_path / "bare-CLEAR.git"))
    repo.git("worktree", "add", "-q", str(tmp_path / "tree-CLEAR"), "-b", "other")
    for path in (tmp_path / "bare-CLEAR.git", tmp_path / "tree-CLEAR", repo.folder / "sub", repo.folder / ".git"):
        done = scan_history(path, matcher)
        assert done.coverage.is_complete
        assert done.places == [("blob", "sub/a")]


def test_objects_of_an_alternate_are_read(repo: Repo, matcher: Matcher, tmp_path: Path) -> None:
    repo.commit({"a": canary()})
    repo.git("clone", "-q", "--shared", str(repo.folder), str(tmp_path / "CLEAR-borrower"))
    assert not list((tmp_path / "CLEAR-borrower/.git/objects").glob("??/*"))
    assert scan_history(tmp_path / "CLEAR-borrower", matcher).places == [("blob", "a")]


def test_a_submodule_is_not_followed_and_noted(repo: Repo, matcher: Matcher, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "inner-CLEAR")
    inner.commit({"a": canary()})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "lib/inner")
    repo.commit({}, "with a submodule")
    done = scanned(repo, matcher)
    assert done.findings == ()
    assert done.coverage.notes == ["submodules are repositories of their own, which were not read: 1"]


# attribution


def test_a_value_in_fifty_versions_of_a_file_is_one_finding(repo: Repo, matcher: Matcher) -> None:
    value = canary()
    commits = []
    for number in range(50):
        repo.author = "Second" if number % 2 else "Author"
        commits.append(repo.commit({"conf": "# line\n" * number + value}))
    found = scanned(repo, matcher).only
    told = found.attribution
    assert told is not None
    assert told.first is not None
    assert told.last is not None
    assert (told.first.commit, told.last.commit, told.commit_count) == (commits[0], commits[-1], 50)
    assert told.authors == ("Author <author@dev.example>", "Second <second@dev.example>")
    assert found.line == 50, "it is told where it stands in the newest version"
    assert told.last.committed_at - told.first.committed_at == 49 * 86_400


def test_a_renamed_file_is_told_with_each_path(repo: Repo, matcher: Matcher) -> None:
    repo.commit({"old": canary()})
    repo.git("mv", "old", "new")
    repo.commit({}, "rename")
    done = scanned(repo, matcher)
    assert done.places == [("blob", "new"), ("blob", "old")]
    assert len({each.fingerprint for each in done.findings}) == 1


def test_two_values_in_one_file_are_two_findings(repo: Repo, matcher: Matcher) -> None:
    repo.commit({"conf": f"{canary()}\n{canary()}\n"})
    assert [each.line for each in scanned(repo, matcher).findings] == [1, 2]


def test_several_cores_find_the_same_as_one(repo: Repo, matcher: Matcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vantage_secrets.leaks.history.objects.PIECE_BYTES", 2_000)
    monkeypatch.setattr("threading.active_count", lambda: 1)  # what runs the tests may have others
    for number in range(12):
        repo.commit({f"f{number}": f"{'text ' * 100}{canary()}"})
    one, many = (scan_history(repo.folder, matcher, cores=cores) for cores in (1, 4))
    assert len(one.findings) == 12
    assert one.findings == many.findings
    assert one.coverage.counts == many.coverage.counts
    assert one.coverage.byte_count == many.coverage.byte_count


def test_an_empty_repository_is_clean(tmp_path: Path, matcher: Matcher) -> None:
    assert scanned(Repo(tmp_path / "r"), matcher).findings == ()


def test_every_object_is_counted(repo: Repo, matcher: Matcher) -> None:
    repo.commit({"a": "1", "b/c": "2"})
    repo.git("tag", "-a", "v", "-m", "x")
    listed = repo.git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectsize)").splitlines()
    done = scanned(repo, matcher)
    assert done.read_count == len(listed)
    # The names in trees are told by the log, and not read again.
    read = [line for line in listed if not line.startswith("tree")]
    assert done.coverage.byte_count == sum(int(line.split()[1]) for line in read)
