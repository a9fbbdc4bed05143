"""Silence means that everything was read: whatever goes wrong, no scan ends with 0 that did not read all."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.archives import make_zip
from tests.canary import canary
from tests.leaks.compiled_rules import CANARY_RULE, Desk, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.repositories import Repo
from tests.own_mounts import in_own_mounts
from vantage_secrets.cli.scan import scan
from vantage_secrets.leaks.history import objects, scanning
from vantage_secrets.leaks.history.objects import Piece
from vantage_secrets.leaks.history.scanning import ObjectScan

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 12345\n"


@pytest.fixture
def desk(tmp_path: Path, compiled_rules: Path) -> Desk:  # noqa: F811 - the fixture
    return Desk(tmp_path, compiled_rules)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "CLEAR")
    made.commit({"README": "hello", "src/a.py": "print(1)\n" * 50, "src/b.py": "print(2)\n" * 50})
    made.commit({"src/a.py": "print(3)\n" * 50})
    return made


planted_elsewhere = pytest.mark.parametrize("is_planted", [False, True], ids=["clean", "with a secret elsewhere"])


def told(desk: Desk, is_planted: bool, *words: str, env: dict[str, str] | None = None) -> str:
    """Scan and return the report, which ends as it must when something was not read."""
    done = desk.scan("--all", *words, env=env)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == (1 if is_planted else 3), text
    assert "Clean" not in text
    return text


def plant(repo: Repo, is_planted: bool) -> None:
    if is_planted:
        repo.commit({"planted.txt": canary()})


# files


def without_power_over_files() -> list[str]:
    """Return the words behind which root is refused what its owner may not read."""
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv (util-linux) is needed"
    return [setpriv, "--bounding-set", "-dac_override,-dac_read_search"]


@planted_elsewhere
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_told(desk: Desk, tmp_path: Path, is_planted: bool, kind: str) -> None:
    tree = tmp_path / "CLEAR"
    (tree / "shut").mkdir(parents=True)
    (tree / "shut/file").write_text("x")
    (tree / "open").write_text(canary() if is_planted else "x")
    shut = tree / "shut" / ("file" if kind == "file" else "")
    shut.chmod(0)
    try:
        done = desk.scan("CLEAR", before=without_power_over_files())
    finally:
        shut.chmod(0o700)
    assert done.returncode == (1 if is_planted else 3)
    assert b"permission denied" in done.stdout


@planted_elsewhere
def test_a_sparse_file_of_5_gb_is_told_at_once(desk: Desk, tmp_path: Path, is_planted: bool) -> None:
    tree = tmp_path / "CLEAR"
    tree.mkdir()
    with (tree / "sparse").open("wb") as file:
        file.truncate(5_000_000_000)
    (tree / "open").write_text(canary() if is_planted else "x")
    try:
        assert "larger than" in told(desk, is_planted, "CLEAR")
    finally:
        (tree / "sparse").unlink()


@planted_elsewhere
def test_a_pointer_to_a_large_file_is_told(desk: Desk, repo: Repo, is_planted: bool) -> None:
    repo.commit({"large.bin": LFS_POINTER})
    plant(repo, is_planted)
    for words in (["CLEAR"], ["--history", "CLEAR"]):
        assert "Git LFS pointer" in told(desk, is_planted, *words)


def test_too_much_encoded_text_is_told_each_time(desk: Desk, repo: Repo) -> None:
    repo.commit({"bomb.txt": "\n".join(["aaa%3Dbbb%20" * 160] * 8_000)})
    for _ in range(2):
        assert "encoded text" in told(desk, False, "--history", "CLEAR")


@planted_elsewhere
def test_a_damaged_archive_in_a_history_is_told_each_time(desk: Desk, repo: Repo, is_planted: bool) -> None:
    whole = make_zip({"a": b"text " * 1_000})
    repo.commit({"cut.zip": whole[: len(whole) // 2]})
    plant(repo, is_planted)
    for _ in range(2):
        assert "damaged zip" in told(desk, is_planted, "--history", "CLEAR")


# repositories


def cut_pack(repo: Repo) -> None:
    pack = repo.pack()
    content = bytearray(pack.read_bytes())
    for position in range(len(content) // 3, len(content) // 3 + 40):
        content[position] ^= 0xFF
    pack.write_bytes(content)


def cut_index(repo: Repo) -> None:
    index = repo.pack().with_suffix(".idx")
    index.chmod(0o644)
    index.write_bytes(index.read_bytes()[:-200])


def no_pack(repo: Repo) -> None:
    repo.pack().unlink()


def no_blob(repo: Repo) -> None:
    repo.object_file(repo.git("rev-parse", "HEAD~1:src/a.py")).unlink()


def no_tree(repo: Repo) -> None:
    repo.object_file(repo.git("rev-parse", "HEAD~1:src")).unlink()


def no_commit(repo: Repo) -> None:
    repo.object_file(repo.git("rev-parse", "HEAD~1")).unlink()


def other_bytes(repo: Repo) -> None:
    file = repo.object_file(repo.git("rev-parse", "HEAD~1:src/a.py"))
    file.chmod(0o644)
    file.write_bytes(b"no object")


def cut_object(repo: Repo) -> None:
    file = repo.object_file(repo.git("rev-parse", "HEAD~1:src/a.py"))
    file.chmod(0o644)
    file.write_bytes(zlib.compress(b"blob 450\0" + b"print(1)\n" * 10))


def empty_object(repo: Repo) -> None:
    file = repo.object_file(repo.git("rev-parse", "HEAD~1:README"))
    file.chmod(0o644)
    file.write_bytes(b"")


def no_blob_of_a_tagged_tree(repo: Repo) -> None:
    """A tag of a tree, as Linux has one (v2.6.11-tree), leads to blobs that no commit has."""
    lost = repo.blob("nowhere else")
    repo.git("tag", "some-tree", repo.git("mktree", given=f"100644 blob {lost}\tfile\n".encode()))
    repo.object_file(lost).unlink()


def ref_to_nothing(repo: Repo) -> None:
    (repo.folder / ".git/refs/heads/gone").write_text("12" * 20 + "\n")


DAMAGES: list[Callable[[Repo], None]] = [
    *(cut_pack, cut_index, no_pack, no_blob, no_tree, no_commit, other_bytes, cut_object, empty_object, ref_to_nothing),
    no_blob_of_a_tagged_tree,
]


@planted_elsewhere
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_repository_is_told_each_time(
    desk: Desk, repo: Repo, is_planted: bool, damage: Callable[[Repo], None]
) -> None:
    damage(repo)
    if is_planted:
        repo.blob(canary())
    for _ in range(2):
        told(desk, is_planted, "--history", "CLEAR")


@planted_elsewhere
def test_a_damage_after_a_clean_scan_is_told_when_something_changes(
    desk: Desk, repo: Repo, tmp_path: Path, is_planted: bool
) -> None:
    assert desk.scan("--history", "CLEAR").returncode == 0
    lost = repo.git("rev-parse", "HEAD~1:src/a.py")
    repo.object_file(lost).unlink()
    plant(repo, is_planted)
    report = told(desk, is_planted, "--history", "CLEAR")
    assert lost[:10] in report, report


@planted_elsewhere
def test_a_shallow_clone_is_told(desk: Desk, repo: Repo, tmp_path: Path, is_planted: bool) -> None:
    plant(repo, is_planted)
    repo.git("clone", "-q", "--depth=1", f"file://{repo.folder}", str(tmp_path / "CLEAR-clone"))
    assert "shallow clone" in told(desk, is_planted, "--history", "CLEAR-clone")


@planted_elsewhere
@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_partial_clone_is_told_and_fetches_nothing(
    desk: Desk, repo: Repo, tmp_path: Path, is_planted: bool, left_out: str
) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    if is_planted:
        repo.commit({}, canary())
    clone = tmp_path / "CLEAR-clone"
    repo.git("clone", "-q", "--bare", f"--filter={left_out}", f"file://{repo.folder}", str(clone))
    before = sorted(clone.rglob("*.pack"))
    assert "partial clone" in told(desk, is_planted, "--history", "CLEAR-clone")
    assert sorted(clone.rglob("*.pack")) == before


def test_what_is_staged_and_missing_is_told(desk: Desk, repo: Repo) -> None:
    (repo.folder / "new").write_text("x" * 100)
    repo.git("add", "new")
    repo.object_file(repo.git("rev-parse", ":new")).unlink()
    done = desk.scan("--staged", cwd=repo.folder)
    assert done.returncode == 3
    assert b"the object is missing" in done.stdout


# Git itself

_GIT = """#!/bin/sh
case "$*" in *{words}*)
  {once}
  {death};;
esac
exec {git} "$@"
"""


def git_that_dies(folder: Path, words: str, *, each_time: bool) -> dict[str, str]:
    """Return the environment with a Git that is killed when it is called with these words."""
    folder.mkdir()
    git = shutil.which("git")
    assert git is not None
    once = "" if each_time else f'if [ -e {folder}/died ]; then exec {git} "$@"; fi; touch {folder}/died'
    half = f'{git} "$@" | head -c 100; kill -9 $$'
    program = folder / "git"
    program.write_text(_GIT.format(words=words, once=once, death=half, git=git))
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@planted_elsewhere
@pytest.mark.parametrize("each_time", [False, True], ids=["once", "each time"])
@pytest.mark.parametrize("words", ["cat-file?--batch?--buffer", "--batch-all-objects", "log?--all"])
def test_a_git_that_is_killed_is_told(
    desk: Desk, repo: Repo, tmp_path: Path, is_planted: bool, words: str, each_time: bool
) -> None:
    if is_planted:
        repo.commit({}, canary())
    env = git_that_dies(tmp_path / "bin", words, each_time=each_time)
    done = desk.scan("--history", "CLEAR", env=env)
    assert done.returncode in ((1, 3) if is_planted else (3,)), done.stdout + done.stderr
    assert b"Clean" not in done.stdout
    assert b"fault of" not in done.stderr
    assert b"ot read" in done.stdout, "the report says what was not read"
    mended = desk.scan("--history", "CLEAR")
    assert mended.returncode == int(is_planted), "what was not read then is read now"


@pytest.mark.parametrize("cores", ["1", "2"])
def test_a_git_that_fails_is_told_where_whoever_started_us_ignores_ended_children(
    desk: Desk, repo: Repo, cores: str
) -> None:
    no_blob_of_a_tagged_tree(repo)
    words = ("--history", "CLEAR", "--jobs", cores)
    done = desk.scan(*words, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert done.returncode == 3, done.stdout + done.stderr
    assert b"the object is missing" in done.stdout


def test_findings_are_told_even_when_git_cannot_say_where_they_sit(desk: Desk, repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": canary()})
    done = desk.scan("--history", "CLEAR", env=git_that_dies(tmp_path / "bin", "log?--all", each_time=True))
    assert done.returncode == 1
    assert b"A value of the tests" in done.stdout


def test_without_git_a_history_is_not_scanned(desk: Desk, repo: Repo) -> None:
    done = desk.scan("--history", "CLEAR", env={"PATH": str(repo.folder)})
    assert done.returncode == 2
    assert b"Install git" in done.stderr


def test_a_process_that_is_killed_at_work_is_told_and_what_it_had_is_read_next_time(
    desk: Desk, repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"conf": f"key = {canary()}\n" + "more\n" * 100})
    lost, parent = repo.git("rev-parse", "HEAD:conf").encode(), os.getpid()
    examine = ObjectScan._examine

    def dying(scan: ObjectScan[object], result: object, piece: Piece, content: object) -> None:
        if os.getpid() != parent and any(header.startswith(lost) for header in piece.headers):
            os.kill(os.getpid(), signal.SIGKILL)
        examine(scan, result, piece, content)  # type: ignore[arg-type]

    def scanned() -> dict[str, Any]:
        code = scan(["--history", "CLEAR", "--jobs", "2", "--format", "json", "--rules", str(CANARY_RULE)])
        report = json.loads(capsys.readouterr().out)
        assert report["exit_code"] == code
        return dict(report)

    monkeypatch.chdir(desk.folder)
    monkeypatch.delenv("VANTAGE_SECRETS_CACHE_FOLDER")
    for name, text in desk.environment({}).items():
        monkeypatch.setenv(name, text)
    desk.share_rules()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "active_count", lambda: 1)  # other tests may have left some
        patch.setattr(scanning, "pieces", partial(objects.pieces, byte_count=300))
        patch.setattr(ObjectScan, "_examine", dying)
        report = scanned()
    assert report["exit_code"] == 3
    assert report["findings"] == []
    (unread,) = report["coverage"]["unread"]
    found = re.fullmatch(r"a process was ended that was to examine (\d+) objects", unread["reason"])
    assert found is not None
    read = report["coverage"]["counts"]
    again = scanned()
    assert again["exit_code"] == 1
    assert [finding["place"]["path"] for finding in again["findings"]] == ["conf"]
    counts = again["coverage"]["counts"]
    assert counts["blob"] == int(found[1])
    assert counts["known from cache"] == sum(read.values())
    assert scanned()["coverage"]["counts"] == {"known from cache": sum(read.values()) + int(found[1])}


# the cache and the output


_ON_TMPFS = 'mount -t tmpfs -o size={size} none "$0" && cp -r "$1"/. "$0" && {then} && shift && exec "$@"'


@planted_elsewhere
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_cache_that_takes_nothing_only_costs_time(desk: Desk, repo: Repo, is_planted: bool, kind: str) -> None:
    plant(repo, is_planted)
    place = desk.folder / "tmpfs"
    place.mkdir()
    then = {"full": 'head -c 99m /dev/zero >"$0"/fill 2>/dev/null; true', "read-only": 'mount -o remount,ro "$0"'}[kind]
    script = _ON_TMPFS.format(size="20m", then=then)
    before = in_own_mounts("sh", "-c", script, str(place), str(desk.cache))
    done = desk.scan("--history", "CLEAR", before=before, env={"XDG_CACHE_HOME": str(place)})
    assert done.returncode == int(is_planted), done.stdout + done.stderr
    assert b"The cache could not be written" in done.stdout


@pytest.mark.parametrize("words", [["--output", "/dev/full"], []], ids=["--output", "standard output"])
@planted_elsewhere
def test_a_report_that_cannot_be_written_is_no_success(
    desk: Desk, repo: Repo, is_planted: bool, words: list[str]
) -> None:
    plant(repo, is_planted)
    with Path("/dev/full").open("wb") as full:
        process = desk.start("CLEAR", *words, stdout=full)
        process.communicate(timeout=60)
    assert process.returncode not in (0, 1)


@planted_elsewhere
def test_two_scans_at_once_are_both_right(desk: Desk, repo: Repo, is_planted: bool) -> None:
    plant(repo, is_planted)
    both = [desk.start("--history", "CLEAR") for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [int(is_planted)] * 2
    assert desk.scan("--history", "CLEAR").returncode == int(is_planted)


def test_a_scan_that_is_killed_leaves_no_result_behind(desk: Desk, repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": canary()})
    program = tmp_path / "bin"
    program.mkdir()
    git = program / "git"
    git.write_text(f'#!/bin/sh\ncase "$*" in *log*) kill -9 $PPID;; esac\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    env = {"PATH": f"{program}:{os.environ['PATH']}"}
    words = ("--history", "CLEAR", "--format", "json", "--output", "report.json")
    assert desk.scan(*words, env=env).returncode == -signal.SIGKILL
    assert not (tmp_path / "report.json").exists()
    assert desk.scan("--history", "CLEAR").returncode == 1
