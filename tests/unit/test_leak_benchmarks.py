"""The comparison with other scanners counts what it says: spots, memory, ratios, and void what found nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.leaks.known import KnownTimes
from benchmarks.leaks.labelled import Labelled
from benchmarks.leaks.page import OURS, Figures, against_fastest, bars, page
from benchmarks.leaks.repositories import (
    KNOWN_PATH,
    PLANTED_LINE,
    PLANTED_PATH,
    Prepared,
    make_repository,
    planted_blob,
    planted_text,
    prepared,
)
from benchmarks.leaks.running import bytes_of_family, clean_environment, run
from benchmarks.leaks.scanners import Scanner, ours, peers, version_in
from benchmarks.leaks.speed import Bench, FileTimes, RepositoryTimes, Times, has_planted, in_turns, is_slow

from tests.canary import canary
from tests.leaks.corpus.measuring import Label, measure

ROOT = Path(__file__).parents[2]
MB = 1_000_000
PEERS = ("kingfisher", "betterleaks", "gitleaks", "detect-secrets")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, Scanner]:
    for name in PEERS:
        file = tmp_path / "peers" / name / "bin" / name
        file.parent.mkdir(parents=True)
        file.write_text("")
    return {scanner.name: scanner for scanner in peers(tmp_path / "peers")}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("kingfisher 2.14.0\n", "2.14.0"),
        ("2.0.0-rc.4\n", "2.0.0-rc.4"),
        ("gitleaks version 8.30.1\n", "8.30.1"),
        ("vantage-secrets 0.1.0\n", "0.1.0"),
    ],
)
def test_the_version_of_a_scanner_is_what_it_says_of_itself(said: str, version: str) -> None:
    assert version_in(said) == version


def test_a_scanner_that_says_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say"):
        version_in("kingfisher\n")


def test_scanners_that_are_not_installed_are_named_with_the_way_to_install_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="kingfisher is not installed; run tools/install-leak-peers"):
        peers(tmp_path)
    assert (ROOT / "tools/install-leak-peers").exists()


def test_every_scanner_that_is_measured_is_pinned_with_hashes(installed: dict[str, Scanner]) -> None:
    files = {file.stem: file.read_text("utf-8") for file in (ROOT / "benchmarks/leaks/peers").glob("*.txt")}
    assert files.keys() == set(PEERS) == {name.split()[0] for name in installed}
    for text in files.values():
        pinned = [line for line in text.splitlines() if not line.startswith(("#", " "))]
        assert pinned
        assert all("==" in line for line in pinned)
        assert text.count("--hash=sha256:") >= len(pinned)


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("kingfisher", {"findings": [{"finding": {"path": "{target}/a/b.env", "line": 3}}]}),
        ("betterleaks", {"findings": [{"location": {"path": "{target}/a/b.env", "start_line": 3}}]}),
        ("gitleaks", [{"File": "{target}/a/b.env", "StartLine": 3}]),
        ("detect-secrets", {"results": {"a/b.env": [{"line_number": 3}]}}),
        (OURS, {"findings": [{"place": {"source": "{target}", "path": "a/b.env"}, "line": 3}]}),
    ],
)
def test_the_report_of_each_scanner_tells_paths_from_the_root_and_lines(
    name: str, report: object, installed: dict[str, Scanner], tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report).replace("{target}", str(tmp_path)))
    assert {**installed, OURS: ours()}[name].spots(file, tmp_path) == {("a/b.env", 3)}


def test_a_report_of_another_form_is_refused_and_not_taken_for_one_without_findings(
    installed: dict[str, Scanner], tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    file.write_text('{"results": []}')
    for scanner in (*installed.values(), ours()):
        with pytest.raises(ValueError, match="has another form"):
            scanner.spots(file, tmp_path)


def test_the_planted_token_counts_when_only_the_name_of_its_object_is_told(
    installed: dict[str, Scanner], tmp_path: Path
) -> None:
    (tmp_path / "planted").write_text(planted_text())
    blob = git(ROOT, "hash-object", "--no-filters", str(tmp_path / "planted"))
    assert blob == planted_blob()
    path = f"{tmp_path}/.git/objects/{blob[:2]}/{blob[2:]}"
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"findings": [{"finding": {"path": path, "line": PLANTED_LINE}}]}))
    assert has_planted(installed["kingfisher --turbo"].spots(file, tmp_path))
    assert not has_planted({(PLANTED_PATH, PLANTED_LINE + 1), ("other.env", PLANTED_LINE)})


def test_a_repository_is_made_the_same_each_time(tmp_path: Path) -> None:
    heads = {git(make_repository(tmp_path / name, 4), "rev-parse", "HEAD") for name in ("one", "two")}
    assert len(heads) == 1
    assert git(tmp_path / "one", "rev-list", "--count", "HEAD") == "4"


def test_a_copy_has_the_planted_files_in_its_history_only_and_the_source_stays_as_it_is(tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source", 3)
    before = git(source, "for-each-ref")
    known = canary()
    copy = prepared(source, tmp_path / "copy-CLEAR", known)
    assert git(source, "for-each-ref") == before
    assert (copy.commit_count, copy.name) == (5, "source")
    assert (copy.tree / PLANTED_PATH).read_text() == planted_text()
    assert not (copy.tree / KNOWN_PATH).exists()
    files = set(git(source, "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    assert {str(path.relative_to(copy.tree)) for path in copy.tree.rglob("*") if path.is_file()} == {
        *files,
        PLANTED_PATH,
    }
    assert git(copy.history, "show", f"planted~1:{KNOWN_PATH}") == f"notes\n{known}"
    assert set(git(copy.history, "ls-tree", "-r", "--name-only", "planted").splitlines()) == files


def test_our_own_command_finds_the_planted_token_in_a_tree_and_in_a_history(tmp_path: Path) -> None:
    copy = prepared(make_repository(tmp_path / "source", 3), tmp_path / "copy", "notes")
    environment = clean_environment(tmp_path / "home")
    scanner = ours()
    assert has_planted(run(scanner, scanner.tree, copy.tree, environment).spots)
    assert has_planted(run(scanner, scanner.history, copy.history, environment).spots)


HOLDER = """
import os, subprocess, sys
held = bytearray(30_000_000)
file = os.memfd_create("held")
os.write(file, b"x" * 40_000_000)
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, *sys.argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child; each holds 30 MB, and 40 MB in a file in memory that it has not mapped."""
    program = tmp_path / "holder.py"
    program.write_text(
        HOLDER.replace("sys.argv[1:]:", "sys.argv[1:] == ['first']:").replace("*sys.argv]", "sys.argv[0]]")
    )
    words = [sys.executable, str(program), "first"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_memory_is_that_of_all_processes_with_files_in_memory(holder: subprocess.Popen[bytes]) -> None:
    assert 140 * MB <= bytes_of_family(holder.pid) <= 240 * MB


def fake(folder: Path, name: str, path: str) -> Scanner:
    """Return a scanner that reports one finding, in our form."""
    folder.mkdir(exist_ok=True)
    report = json.dumps({"findings": [{"place": {"source": "", "path": path}, "line": PLANTED_LINE}]})
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {name} >> {folder}/runs\ncat > \"$1\" <<'E'\n{report}\nE\n")
    program.chmod(0o755)
    return Scanner(name, program, ("{report}",), (), ours().read)


def test_scanners_run_in_turns_and_one_that_does_not_find_the_token_has_no_figure(tmp_path: Path) -> None:
    good, blind, other = (
        fake(tmp_path / "bin", name, path)
        for name, path in ((OURS, PLANTED_PATH), ("blind", "other.env"), ("other", PLANTED_PATH))
    )
    bench = Bench(good, [blind, other], tmp_path, clean_environment(tmp_path / "home"), 2)
    times = in_turns(bench, lambda scanner: scanner.tree, tmp_path)
    assert times.seconds.keys() == {OURS, "other"}
    assert times.void == {"blind": "did not report the planted token"}
    runs = (tmp_path / "bin" / "runs").read_text().split()
    assert sorted(runs[:3]) == sorted(runs[3:6]) == sorted([OURS, "blind", "other"])
    assert runs[:3] != runs[3:6]


def test_a_scanner_that_writes_no_report_ends_the_comparison(tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ValueError, match="broken ended with 3 and wrote no report"):
        run(Scanner("broken", program, (), (), ours().read), (), tmp_path, clean_environment(tmp_path / "home"))


def test_only_what_takes_five_times_as_long_as_the_fastest_is_not_run_again() -> None:
    taken = {"fast": [1.0, 9.0], "fair": [5.0], "slow": [5.1]}
    assert [name for name in taken if is_slow(name, taken)] == ["slow"]


@pytest.mark.parametrize(("ours_seconds", "ratio", "holds"), [(0.8, "0.800", True), (0.81, "0.810", False)])
def test_a_bar_compares_with_the_fastest_other_scanner(ours_seconds: float, ratio: str, holds: bool) -> None:
    row = against_fastest("tree", {OURS: ours_seconds, "slow": 3.0, "fast": 1.0}, 0.8)
    assert (row.peer, row.ratio, row.holds) == ("1.00 s (fast)", ratio, holds)


def test_a_bar_without_a_figure_of_ours_does_not_hold() -> None:
    row = against_fastest("tree", {"fast": 1.0}, 0.8)
    assert (row.ours, row.holds) == ("void", False)


def sample(memory: int = 100 * MB, with_known: float = 1.2, found: int = 100) -> Figures:
    repository = Prepared("shop", Path("tree"), Path("history"), 1_200, 90 * MB)
    fast = Times({OURS: 0.4, "kingfisher": 1.0}, {"gitleaks": "did not report the planted token"})
    labels = [Label("a.env", line, line, 0, 1, "password", "") for line in range(1, 101)]
    results = {
        OURS: measure(labels, [("a.env", line) for line in range(1, found + 1)]),
        "kingfisher": measure(labels, [("a.env", 1), ("a.env", 200)]),
    }
    return Figures(
        {OURS: "0.1.0", "kingfisher": "2.14.0", "gitleaks": "8.30.1"},
        FileTimes(fast, fast),
        2.0,
        [RepositoryTimes(repository, fast, fast, 0.04, {OURS: memory, "kingfisher": 150 * MB})],
        [KnownTimes("shop", 10_000, 1.0, with_known, 0.9, 3.0, 1.5)],
        Labelled(1, 1, 100, results),
        5,
    )


def test_the_page_has_every_scanner_and_every_bar() -> None:
    figures = sample()
    rows = bars(figures)
    assert [row.what for row in rows if not row.holds] == []
    text = page(figures, rows)
    for words in (
        "gitleaks 8.30.1",
        "void: did not report the planted token",
        "| kingfisher ",
        "1.0%",
        "50.0%",
        "+20%",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("figures", "missed"),
    [
        (sample(memory=151 * MB), ["shop: memory, history"]),
        (sample(with_known=1.31), ["shop: history with 10,000 known values; beside it, without"]),
        (sample(found=96), ["labelled files: recall"]),
    ],
)
def test_a_bar_that_is_missed_is_told(figures: Figures, missed: list[str]) -> None:
    assert [row.what for row in bars(figures) if not row.holds] == missed
