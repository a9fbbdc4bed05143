"""A second scan reads only what is new, and never says less than one that reads everything."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary import canary
from tests.leaks.repositories import CANARY_RULE, KEY, Repo, Scanned, scan_history, small_matcher
from vantage_secrets.leaks.finding import Status
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.matching import Matcher


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return small_matcher(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "CLEAR")
    made.commit({"README": "hello", "conf/a": f"key = {canary()}\n"}, "first")
    made.commit({"README": "hello again"}, f"second, with {canary()}")
    made.git("tag", "-a", "v1", "-m", "x")
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def same(one: Scanned, other: Scanned) -> bool:
    return one.findings == other.findings


def test_a_second_scan_reads_nothing_and_finds_the_same(repo: Repo, matcher: Matcher, cache: Path) -> None:
    first = scan_history(repo.folder, matcher, cache=cache)
    second = scan_history(repo.folder, matcher, cache=cache)
    assert len(first.findings) == 2
    assert same(first, second)
    assert (first.from_cache, second.from_cache) == (0, first.read_count)
    assert second.read_count == 0


def test_a_new_commit_is_all_that_is_read(repo: Repo, matcher: Matcher, cache: Path) -> None:
    first = scan_history(repo.folder, matcher, cache=cache)
    repo.commit({"conf/b": canary()})
    second = scan_history(repo.folder, matcher, cache=cache)
    assert second.coverage.counts == {"known from cache": first.read_count, "commit": 1, "tree": 2, "blob": 1, "tag": 0}
    assert same(second, scan_history(repo.folder, matcher))


def test_a_moved_branch_changes_who_is_reachable_without_reading(repo: Repo, matcher: Matcher, cache: Path) -> None:
    scan_history(repo.folder, matcher, cache=cache)
    repo.git("tag", "-d", "v1")
    repo.git("reset", "-q", "--hard", "HEAD~1")
    second = scan_history(repo.folder, matcher, cache=cache)
    assert second.read_count == 0
    assert same(second, scan_history(repo.folder, matcher))
    assert [each.attribution.is_reachable for each in second.findings if each.attribution] == [False, True]


def test_several_repositories_share_what_was_read(repo: Repo, matcher: Matcher, cache: Path, tmp_path: Path) -> None:
    first = scan_history(repo.folder, matcher, cache=cache)
    clone = tmp_path / "CLEAR-clone"
    repo.git("clone", "-q", str(repo.folder), str(clone))
    there = scan_history(clone, matcher, cache=cache)
    assert (there.read_count, there.from_cache) == (0, first.read_count)
    assert {each.place.source for each in there.findings} == {str(clone)}
    assert there.findings == scan_history(clone, matcher).findings


def test_the_same_blob_is_told_at_its_path_in_each_repository(
    repo: Repo, matcher: Matcher, cache: Path, tmp_path: Path
) -> None:
    scan_history(repo.folder, matcher, cache=cache)
    other = Repo(tmp_path / "CLEAR-other")
    other.commit({"elsewhere/b": (repo.folder / "conf/a").read_bytes()})
    assert scan_history(other.folder, matcher, cache=cache).only.place.path == "elsewhere/b"


def test_other_rules_and_another_key_read_again(repo: Repo, matcher: Matcher, cache: Path, tmp_path: Path) -> None:
    first = scan_history(repo.folder, matcher, cache=cache)
    more = small_matcher(tmp_path / "more", CANARY_RULE.replace("canary", "other").replace("32}", "30}"))
    for changed in (
        scan_history(repo.folder, more, cache=cache),
        scan_history(repo.folder, matcher, cache=cache, key=FingerprintKey(b"x" * 32)),
        scan_history(repo.folder, matcher, cache=cache, size_max=999_999),
    ):
        assert (changed.read_count, changed.from_cache) == (first.read_count, 0)


def test_a_key_of_one_process_keeps_nothing(repo: Repo, matcher: Matcher, cache: Path) -> None:
    scan_history(repo.folder, matcher, cache=cache, key=FingerprintKey(b"x" * 32, note="was not kept"))
    assert not cache.exists()


def test_what_a_comment_allows_until_a_day_is_told_after_it(repo: Repo, matcher: Matcher, cache: Path) -> None:
    repo.commit({"c": f'{canary()}  # vantage-secrets: allow canary reason="a test" until=2026-06-20\n'})

    def status(today: str) -> list[Status]:
        done = scan_history(repo.folder, matcher, cache=cache, today=today)
        return [each.status for each in done.findings if each.place.path == "c"]

    assert [status(day) for day in ("2026-06-15", "2026-06-15", "2026-06-20", "2026-06-21")] == [
        *([[Status.SUPPRESSED]] * 3),
        [Status.NEW],
    ]


def test_what_could_not_be_read_is_read_next_time(repo: Repo, matcher: Matcher, cache: Path) -> None:
    large = repo.git("rev-parse", "HEAD:conf/a")
    whole = repo.object_file(large).read_bytes()
    repo.object_file(large).chmod(0o644)
    repo.object_file(large).write_bytes(b"damaged")
    assert not scan_history(repo.folder, matcher, cache=cache).coverage.is_complete
    repo.object_file(large).write_bytes(whole)
    mended = scan_history(repo.folder, matcher, cache=cache)
    assert mended.coverage.is_complete
    assert len(mended.findings) == 2


def test_two_scans_at_once_leave_a_good_cache(repo: Repo, matcher: Matcher, cache: Path) -> None:
    expected = scan_history(repo.folder, matcher)
    done: list[Scanned] = []
    threads = [
        threading.Thread(target=lambda: done.append(scan_history(repo.folder, matcher, cache=cache))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.append(scan_history(repo.folder, matcher, cache=cache))
    assert all(same(each, expected) for each in done)
    assert len(done) == 5
    assert done[-1].read_count == 0


def test_many_scans_leave_few_files_and_lose_nothing(repo: Repo, matcher: Matcher, cache: Path) -> None:
    for number in range(20):
        repo.commit({f"f{number}": canary()})
        scan_history(repo.folder, matcher, cache=cache)
    assert len(list(cache.rglob("read-*"))) <= 17
    repo.commit({"last": "x"})
    done = scan_history(repo.folder, matcher, cache=cache)
    assert done.read_count == 3
    assert same(done, scan_history(repo.folder, matcher))


# damage


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + bytes(20))


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


DAMAGES: list[Callable[[Path], None]] = [flip, empty, cut, lengthen, folder_instead, dangling, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kinds", [["read-*"], ["state-*"], ["read-*", "state-*"]], ids="+".join)
def test_a_damaged_cache_hides_nothing(
    repo: Repo, matcher: Matcher, cache: Path, kinds: list[str], damage: Callable[[Path], None]
) -> None:
    expected = scan_history(repo.folder, matcher, cache=cache)
    files = [file for kind in kinds for file in cache.rglob(kind)]
    assert files
    for file in files:
        damage(file)
    assert same(scan_history(repo.folder, matcher, cache=cache), expected)
    repo.commit({"more": "x"})
    assert len(scan_history(repo.folder, matcher, cache=cache).findings) == 2


@pytest.mark.parametrize("part", ["read-*", "state-*"])
def test_no_flipped_byte_anywhere_hides_a_finding(repo: Repo, matcher: Matcher, cache: Path, part: str) -> None:
    scan_history(repo.folder, matcher, cache=cache)
    (file,) = cache.rglob(part)
    whole = file.read_bytes()
    for other in cache.rglob("state-*"):
        if other != file:
            other.unlink()
    for position in range(0, len(whole), max(1, len(whole) // 12)):
        content = bytearray(whole)
        content[position] ^= 0x20
        file.write_bytes(content)
        assert len(scan_history(repo.folder, matcher, cache=cache).findings) == 2
        for made in {*cache.rglob("read-*"), *cache.rglob("state-*")} - {file}:
            made.unlink()


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.leaks.repositories import scan_history, small_matcher
repo, cache, rules, when, number = sys.argv[1:]
left = int(number)
move = Path.replace
def replace(self, target):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    moved = move(self, target)
    if left == 0 and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return moved
Path.replace = replace
scan_history(Path(repo), small_matcher(Path(rules)), cache=Path(cache))
"""


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_scan_that_was_killed_while_it_wrote_hides_nothing(
    repo: Repo, matcher: Matcher, cache: Path, tmp_path: Path, when: str, number: int
) -> None:
    root = Path(__file__).parents[2]
    words = [str(repo.folder), str(cache), str(tmp_path / "rules"), when, str(number)]
    done = subprocess.run([sys.executable, "-c", _KILLED, *words], cwd=root, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert same(scan_history(repo.folder, matcher, cache=cache), scan_history(repo.folder, matcher))


def test_nothing_of_a_value_is_in_the_cache(repo: Repo, matcher: Matcher, cache: Path) -> None:
    found = scan_history(repo.folder, matcher, cache=cache).findings
    kept = b"".join(file.read_bytes() for file in cache.rglob("*") if file.is_file())
    assert all(each.fingerprint.encode() in kept for each in found)
    assert b"cnry" not in kept
    assert KEY.key_id.encode() not in kept
