"""``baseline``: create, update, show, audit, convert and import, with a scanner that knows what it looks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.leaks.made_findings import FILE_NAME, KEY, finding
from vantage_secrets.cli import baseline as commands
from vantage_secrets.errors import InvalidInputError, VersionConflictError
from vantage_secrets.leaks.baseline.entry import Verdict
from vantage_secrets.leaks.baseline.known import Baseline
from vantage_secrets.leaks.finding import Coverage, Finding, Place, Report, Status
from vantage_secrets.leaks.fingerprint import KEY_VARIABLE, FingerprintKey


class Scanner:
    """Finds the values that it is given, in files below the paths; says that it could not read what it is told."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.unreadable: list[str] = []
        self.calls: list[tuple[list[str], bool]] = []

    def __call__(
        self,
        paths: Sequence[Path],
        key: FingerprintKey,
        listener: Callable[[Finding, bytes], None] | None = None,
        *,
        history: bool = False,
    ) -> Report:
        assert key.key_id == KEY.key_id
        self.calls.append(([str(path) for path in paths], history))
        coverage, found = Coverage(), []
        for name in self.unreadable:
            coverage.miss(Place(".", name), "permission denied")
        for place, text in self._texts(paths):
            for value in self.values:
                for number, line in enumerate(text.split("\n"), 1):
                    if value in line:
                        each = finding(value, place, line=number, column=line.index(value) + 1)
                        found.append(each)
                        if listener is not None:
                            listener(each, value.encode())
        return Report(tuple(found), coverage, ("here",), 1, "ruleset", 0, 0.0, 0.0)

    def _texts(self, paths: Sequence[Path]) -> Iterator[tuple[Place, str]]:
        for path in paths:
            for file in sorted(path.glob("**/CLEAR*.py")) if path.is_dir() else [path]:
                yield Place(str(file.parent), file.name), file.read_text()


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scanner:
    made = Scanner()
    monkeypatch.setattr(commands, "scan_files", made)
    monkeypatch.setenv(KEY_VARIABLE, b"a key of the tests, 32 bytes long".hex())
    monkeypatch.chdir(tmp_path)
    return made


def plant(scanner: Scanner, name: str, value: str) -> str:
    scanner.values.append(value)
    with Path(name).open("a") as file:
        file.write(f"token = '{value}'\n")
    return value


def run(*words: str) -> int:
    """Return the exit code; errors are raised as they are."""
    code = commands.app(args=list(words), standalone_mode=False)
    return code if isinstance(code, int) else 0


def entries() -> dict[str, Verdict]:
    return {entry.location: entry.verdict for entry in Baseline.load(Path(FILE_NAME)).entries}


def test_create_writes_what_is_found_and_names_the_key(scanner: Scanner, capsys: pytest.CaptureFixture[str]) -> None:
    plant(scanner, "CLEAR-a.py", canary())
    assert run("create") == 0
    said = capsys.readouterr().out
    assert "1 finding written to .vantage-secrets-baseline.json." in said
    assert f"the fingerprint key {KEY.key_id}, from {KEY_VARIABLE}" in said
    assert entries() == {"CLEAR-a.py": Verdict.OPEN}
    assert scanner.calls == [(["."], False)]


def test_create_replaces_nothing_and_does_not_even_scan(scanner: Scanner) -> None:
    assert run("create") == 0
    with pytest.raises(VersionConflictError, match="is there already"):
        run("create")
    assert len(scanner.calls) == 1


def test_create_takes_no_suppressed_findings(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(scanner, "CLEAR-a.py", canary())

    def suppressing(*words: Any, **options: Any) -> Report:
        report = scanner(*words, **options)
        return report._replace(findings=tuple(one._replace(status=Status.SUPPRESSED) for one in report.findings))

    monkeypatch.setattr(commands, "scan_files", suppressing)
    run("create")
    assert entries() == {}


def test_a_scan_that_could_not_read_everything_ends_with_3_and_says_what(
    scanner: Scanner, capsys: pytest.CaptureFixture[str]
) -> None:
    scanner.unreadable = ["secret.bin"]
    assert run("create") == 3
    assert "not read: ./secret.bin: permission denied" in capsys.readouterr().err
    assert entries() == {}
    assert run("update") == 3


def test_a_key_that_would_be_gone_makes_no_baseline(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (KEY_VARIABLE, "HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidInputError, match="cannot be compared"):
        run("create")
    assert scanner.calls == []


def test_update_adds_what_is_new_and_keeps_verdicts(scanner: Scanner, capsys: pytest.CaptureFixture[str]) -> None:
    plant(scanner, "CLEAR-a.py", canary())
    run("create")
    known = Baseline.load(Path(FILE_NAME))
    known.judged(known.entries[0], Verdict.TRUE, "", "2026-07-01")
    known.save()
    plant(scanner, "CLEAR-b.py", canary())
    assert run("update") == 0
    assert "1 finding added to .vantage-secrets-baseline.json; it has 2." in capsys.readouterr().out
    assert entries() == {"CLEAR-a.py": Verdict.TRUE, "CLEAR-b.py": Verdict.OPEN}


def test_update_tells_what_is_stale_and_removes_it_when_asked(
    scanner: Scanner, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("CLEAR-sub").mkdir()
    plant(scanner, "CLEAR-a.py", canary())
    plant(scanner, "CLEAR-sub/CLEAR-b.py", canary())
    run("create")
    Path("CLEAR-a.py").write_text("")
    Path("CLEAR-sub/CLEAR-b.py").write_text("")
    assert run("update") == 0
    assert "Stale: 2 findings are not there any more:\n  CLEAR-a.py:1" in capsys.readouterr().out
    run("update", "--prune", "CLEAR-sub")
    assert list(entries()) == ["CLEAR-a.py"]
    run("update", "--prune", "--history")
    assert list(entries()) == ["CLEAR-a.py"]
    scanner.unreadable = ["CLEAR-a.py"]
    assert run("update", "--prune") == 3
    assert list(entries()) == ["CLEAR-a.py"]
    scanner.unreadable = []
    capsys.readouterr()
    assert run("update", "--prune") == 0
    assert "Removed, as 1 finding is not there any more" in capsys.readouterr().out
    assert entries() == {}


def test_update_with_another_key_is_refused_before_the_scan(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    run("create")
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    with pytest.raises(InvalidInputError, match="was made with the fingerprint key"):
        run("update")
    assert len(scanner.calls) == 1


def test_show_lists_entries_for_people_and_programs(scanner: Scanner, capsys: pytest.CaptureFixture[str]) -> None:
    value = plant(scanner, "CLEAR-a.py", canary())
    run("create")
    capsys.readouterr()
    run("show", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["path"], row["verdict"], row["fingerprint"]) == ("CLEAR-a.py", "open", KEY.fingerprint(value.encode()))
    run("show", "--verdict", "true", "--json")
    assert json.loads(capsys.readouterr().out) == []
    run("show")
    assert "CLEAR-a.py\t1\tgeneric-password\topen\t" in capsys.readouterr().out


def test_audit_needs_a_person(scanner: Scanner) -> None:
    run("create")
    with pytest.raises(InvalidInputError, match="no terminal"):
        run("audit")


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    given = iter(answers)

    def take(_prompt: str) -> str:
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", take)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)


def test_audit_judges_one_after_the_other_and_shows_no_value(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [plant(scanner, f"CLEAR-{name}.py", canary(name)) for name in "abcd"]
    run("create")
    capsys.readouterr()
    answer(monkeypatch, "x", f"t was {values[0]}", "t rotate it", "s", "b", "f made up", "s", "q")
    run("audit")
    said = capsys.readouterr().out
    assert "1 of 4: CLEAR-a.py:1  generic-password\n  >     1  token = '•••'" in said
    assert "The note holds the value itself; it was not kept." in said
    assert said.endswith("2 judged; 2 open.\n")
    kept = {entry.location: (entry.verdict, entry.note) for entry in Baseline.load(Path(FILE_NAME)).entries}
    assert kept["CLEAR-a.py"] == (Verdict.TRUE, "rotate it")
    assert kept["CLEAR-b.py"] == (Verdict.FALSE, "made up")
    assert kept["CLEAR-c.py"][0] is Verdict.OPEN
    answer(monkeypatch)
    run("audit")
    assert capsys.readouterr().out.endswith("0 judged; 2 open.\n")


def test_audit_says_why_lines_are_not_shown(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(scanner, "CLEAR-a.py", canary())
    run("create")
    known = Baseline.load(Path(FILE_NAME))
    (entry,) = known.entries
    known.put(entry._replace(location="gone.py", object_id="ab12ab12ab12ab12", reported_by="gitleaks"))
    known.save()
    scanner.values.clear()
    capsys.readouterr()
    answer(monkeypatch, "s", "s")
    run("audit")
    said = capsys.readouterr().out
    assert "The scan does not find it there now" in said
    assert "reported by gitleaks" in said
    assert "git show ab12ab12ab12 (which shows the value)" in said


def test_convert_carries_verdicts_over_and_lists_the_rest(scanner: Scanner, capsys: pytest.CaptureFixture[str]) -> None:
    value, unfound, extra = plant(scanner, "CLEAR-a.py", canary()), canary(), plant(scanner, "CLEAR-a.py", canary())
    old = [
        {"type": "Secret Keyword", "hashed_secret": hashlib.sha1(each.encode()).hexdigest(), "is_secret": verdict}
        for each, verdict in ((value, False), (unfound, True))
    ]
    document = {"version": "1.5.0", "plugins_used": [], "results": {"CLEAR-a.py": old, "CLEAR-gone.py": [old[0]]}}
    Path(".secrets.baseline").write_text(json.dumps(document))
    assert run("convert", ".secrets.baseline") == 0
    captured = capsys.readouterr()
    assert "CLEAR-a.py:0  Secret Keyword, judged real: no rule of ours" in captured.out
    assert "CLEAR-gone.py:0  Secret Keyword, judged no secret: the file is not there" in captured.out
    assert "1 finding of the same files is in neither" in captured.err
    assert entries() == {"CLEAR-a.py": Verdict.FALSE}
    assert extra not in captured.out
    Path(FILE_NAME).unlink()
    run("convert", ".secrets.baseline", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["converted"], len(said["unmatched"]), said["not_in_the_old_one"]) == (1, 2, 1)


def test_convert_refuses_what_is_none(scanner: Scanner) -> None:
    Path("other.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="no baseline of detect-secrets"):
        run("convert", "other.json")


def report_of(value: str) -> str:
    place = {"StartLine": 1, "EndLine": 1, "StartColumn": 1, "EndColumn": 9, "Match": value, "File": "CLEAR-a.py"}
    return json.dumps([{"RuleID": "some-rule", "Description": "A token", "Secret": value, "Commit": "", **place}])


def test_import_adds_what_another_tool_reported_and_a_scan_of_ours_knows_it(
    scanner: Scanner, capsys: pytest.CaptureFixture[str]
) -> None:
    value = canary()
    Path("CLEAR-report.json").write_text(report_of(value))
    assert run("import", "CLEAR-report.json") == 0
    captured = capsys.readouterr()
    assert "1 finding of 1 added" in captured.out
    assert "holds values: delete it" in captured.err
    (entry,) = Baseline.load(Path(FILE_NAME)).entries
    assert (entry.location, entry.rule, entry.reported_by) == ("CLEAR-a.py", "some-rule", "gitleaks")
    plant(scanner, "CLEAR-a.py", value)
    run("update", "--prune")
    assert "0 findings added" in capsys.readouterr().out
    Path("CLEAR-report.json").write_text(report_of("REDACTED"))
    run("import", "CLEAR-report.json", "--from", "gitleaks")
    captured = capsys.readouterr()
    assert "1 finding came without a value: kept by place" in captured.err
    assert "delete it" not in captured.err
    assert len(Baseline.load(Path(FILE_NAME)).entries) == 2
