"""The baseline: what it knows, what it says, and that its file loses nothing."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.canary import canary
from tests.leaks.made_findings import FILE_NAME, KEY, TODAY, finding, in_file, known
from vantage_secrets.errors import InvalidInputError, StoreUnavailableError, VersionConflictError
from vantage_secrets.leaks.baseline import load_known
from vantage_secrets.leaks.baseline.document import parsed, written
from vantage_secrets.leaks.baseline.entry import Entry, Verdict, location_of
from vantage_secrets.leaks.baseline.known import Baseline
from vantage_secrets.leaks.finding import Attribution, Finding, Place, Status
from vantage_secrets.leaks.fingerprint import FingerprintKey


def new(folder: Path) -> Baseline:
    return Baseline(folder / FILE_NAME, KEY.key_id)


def judge(baseline: Baseline, found: Finding) -> tuple[str, str]:
    result = baseline.judge(found, b"")
    return result.status.value, result.reason


def saved(folder: Path, *findings: Finding) -> Baseline:
    baseline = new(folder)
    for found in findings:
        baseline.add(found, TODAY)
    baseline.save()
    return baseline


def test_a_value_at_its_place_is_known_whatever_its_rule_and_line(tmp_path: Path) -> None:
    value = canary()
    place = in_file(tmp_path, "a.py")
    baseline = saved(tmp_path, finding(value, place))
    assert judge(baseline, finding(value, place, rule="renamed", line=99)) == (
        "baseline",
        "known since 2026-06-15, not judged yet",
    )
    assert judge(baseline, finding(canary(), place)) == ("new", "")


def test_a_known_value_in_another_file_is_new_and_says_where_it_was(tmp_path: Path) -> None:
    value = canary()
    baseline = saved(tmp_path, finding(value, in_file(tmp_path, "a.py")))
    assert judge(baseline, finding(value, in_file(tmp_path, "b.py"))) == (
        "new",
        "The baseline has this value at a.py; this place is new",
    )


def test_a_value_judged_to_be_none_is_none_everywhere(tmp_path: Path) -> None:
    value = canary()
    baseline = saved(tmp_path, finding(value, in_file(tmp_path, "a.py")))
    baseline.judged(baseline.entries[0], Verdict.FALSE, "a test's own", "2026-07-01")
    assert judge(baseline, finding(value, in_file(tmp_path, "b.py"))) == (
        "baseline",
        "judged no secret on 2026-07-01: a test's own",
    )


def test_a_real_secret_is_told_to_be_real_and_does_not_end_a_scan(tmp_path: Path) -> None:
    value = canary()
    place = in_file(tmp_path, "a.py")
    baseline = saved(tmp_path, finding(value, place))
    baseline.judged(baseline.entries[0], Verdict.TRUE, "", "2026-07-01")
    assert judge(baseline, finding(value, place)) == ("baseline", "real, known since 2026-06-15")
    assert judge(baseline, finding(value, in_file(tmp_path, "b.py")))[0] == "new"


def test_no_verdict_hides_a_value_of_the_stores_that_still_opens_a_door(tmp_path: Path) -> None:
    value = canary()
    found = finding(value, in_file(tmp_path, "a.py"))
    baseline = saved(tmp_path, found)
    baseline.judged(baseline.entries[0], Verdict.FALSE, "", "2026-07-01")
    status, reason = judge(baseline, found._replace(known=known()))
    assert (status, "KAFKA_SASL_PASSWORD" in reason) == ("new", True)
    assert judge(baseline, found._replace(known=known(stage="retired")))[0] == "baseline"


def test_what_is_suppressed_stays_so(tmp_path: Path) -> None:
    found = finding(canary(), in_file(tmp_path, "a.py"))
    suppressed = found._replace(status=Status.SUPPRESSED, reason="made up")
    assert saved(tmp_path, found).judge(suppressed, b"") is suppressed


def test_an_entry_without_a_fingerprint_covers_nothing(tmp_path: Path) -> None:
    place = in_file(tmp_path, "a.py")
    redacted = finding(canary(), place)._replace(fingerprint="", reported_by="gitleaks")
    baseline = saved(tmp_path, redacted)
    assert judge(baseline, finding(canary(), place))[0] == "new"
    assert judge(baseline, redacted)[0] == "new"
    assert baseline.find(redacted) is not None


def test_a_scan_from_another_folder_or_of_one_file_finds_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    folder = str(tmp_path)
    seen = [location_of(Place(str(tmp_path), "src/a.py"), folder), location_of(Place(f"{folder}/src/a.py"), folder)]
    monkeypatch.chdir(tmp_path)
    seen += [location_of(Place(".", "src/a.py"), folder), location_of(Place("src", "a.py"), folder)]
    monkeypatch.chdir(tmp_path / "src")
    seen += [location_of(Place("..", "src/a.py", kind="staged"), folder), location_of(Place("a.py"), folder)]
    seen += [location_of(Place("..", "src/a.py", "0" * 40, "blob"), folder)]
    assert set(seen) == {"src/a.py"}


@pytest.mark.parametrize(
    ("place", "location"),
    [
        (Place("/repo", "", "ab12", "commit"), "ab12"),
        (Place("/repo", "", "ab12", "blob"), "ab12"),
        (Place("standard input", kind="stream"), "standard input"),
        (Place("kafka topic events", kind="record", detail="offset 3"), "kafka topic events"),
        (Place("https://host/repo", "a.py", "ab12", "blob"), "https://host/repo/a.py"),
        (Place("/repo", "x.tar!../../a.py", kind="member"), "x.tar!../../a.py"),
        (Place("/elsewhere", "a.py"), "../elsewhere/a.py"),
    ],
)
def test_what_is_no_file_has_a_place_too(place: Place, location: str) -> None:
    assert location_of(place, "/repo") == location


def test_an_object_is_known_under_each_path_that_its_history_had(tmp_path: Path) -> None:
    value = canary()
    baseline = saved(tmp_path, finding(value, in_file(tmp_path, "old/a.py")))
    blob = finding(value, Place(str(tmp_path), "new/a.py", "ab12", "blob"))
    moved = Attribution(None, None, 2, ("new/a.py", "old/a.py"), (), is_reachable=True)
    assert judge(baseline, blob)[0] == "new"
    assert judge(baseline, blob._replace(attribution=moved))[0] == "baseline"
    assert not baseline.add(blob._replace(attribution=moved), TODAY)
    assert [(entry.location, entry.object_id) for entry in baseline.entries] == [("old/a.py", "ab12")]


def test_another_key_is_refused_and_both_are_named(tmp_path: Path) -> None:
    saved(tmp_path)
    other = FingerprintKey(b"another key, also 32 bytes long..", origin="THE_VARIABLE")
    with pytest.raises(InvalidInputError) as caught:
        Baseline.load(tmp_path / FILE_NAME, other)
    assert all(word in caught.value.message for word in (KEY.key_id, other.key_id, "THE_VARIABLE"))
    assert Baseline.load(tmp_path / FILE_NAME).key_id == KEY.key_id


def test_the_file_has_an_entry_a_line_and_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    findings = [
        finding(canary(), in_file(tmp_path, f"{letter}.py"), line=number) for number, letter in enumerate("cab", 1)
    ]
    saved(tmp_path, *findings)
    content = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).unlink()
    saved(tmp_path, *reversed(findings))
    assert (tmp_path / FILE_NAME).read_bytes() == content
    lines = [line.strip().rstrip(",") for line in content.decode().splitlines() if "fingerprint" in line]
    assert [json.loads(line)["path"] for line in lines] == ["a.py", "b.py", "c.py"]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o644
    assert json.loads(content)["key_id"] == KEY.key_id


TEXT = st.text(max_size=20)


@settings(max_examples=60)
@given(
    st.lists(
        st.builds(
            Entry,
            location=TEXT | st.just("caf\udce9.py"),
            fingerprint=TEXT,
            rule=TEXT,
            line=st.integers(0, 10**6),
            object_id=TEXT,
            verdict=st.sampled_from(Verdict),
            note=TEXT,
            added=TEXT,
            judged=TEXT,
            reported_by=TEXT,
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_again(entries: list[Entry]) -> None:
    content = written("ab12", entries)
    key_id, again = parsed(content, "file")
    assert key_id == "ab12"
    assert sorted(again) == sorted(entries)
    assert content.count(b"\n") == (6 + len(entries) if entries else 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<<<<<<< HEAD", "not JSON: see line 1"),
        ("[]", "no baseline of version 1"),
        ('{"version": 2}', "no baseline of version 1"),
        ('{"version": 1, "entries": []}', "no key_id"),
        ('{"version": 1, "key_id": "", "entries": {}}', "no list of entries"),
        ('{"version": 1, "key_id": "", "entries": [7]}', "Entry 1 of .* is no object"),
        ('{"version": 1, "key_id": "", "entries": [{"path": "a", "rule": "r"}]}', "Entry 1 of .* has no fingerprint"),
        ('{"version": 1, "key_id": "", "entries": [{"paths": "a"}]}', "unknown paths"),
        (
            '{"version": 1, "key_id": "", "entries": [{"path": "a", "rule": "r", "fingerprint": 1}]}',
            "has a fingerprint",
        ),
        (
            '{"version": 1, "key_id": "", "entries": [{"path": "a", "rule": "r", "fingerprint": "", "line": true}]}',
            "has a line",
        ),
        (
            '{"version": 1, "key_id": "", "entries": [{"path": "a", "rule": "r", "fingerprint": "", "verdict": "no"}]}',
            "has a verdict",
        ),
    ],
)
def test_a_damaged_file_is_told_by_its_first_mistake(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        Baseline.load(path)


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file") as caught:
        load_known(tmp_path / FILE_NAME, KEY)
    assert "baseline create" in caught.value.hint
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        load_known(tmp_path / FILE_NAME, KEY)


def test_of_an_entry_that_a_merge_doubled_the_judged_one_counts(tmp_path: Path) -> None:
    entry = Entry("a.py", "f1", "r")
    for entries in ([entry, entry._replace(verdict=Verdict.TRUE)], [entry._replace(verdict=Verdict.TRUE), entry]):
        assert [kept.verdict for kept in Baseline(tmp_path / "b", "", entries).entries] == [Verdict.TRUE]


def test_two_who_change_it_at_once_lose_nothing(tmp_path: Path) -> None:
    saved(tmp_path)
    one, other = Baseline.load(tmp_path / FILE_NAME), Baseline.load(tmp_path / FILE_NAME)
    one.add(finding(canary(), in_file(tmp_path, "a.py")), TODAY)
    other.add(finding(canary(), in_file(tmp_path, "b.py")), TODAY)
    one.save()
    with pytest.raises(VersionConflictError, match="changed by somebody else"):
        other.save()
    assert [entry.location for entry in Baseline.load(tmp_path / FILE_NAME).entries] == ["a.py"]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_of_many_writers_at_the_same_moment_exactly_one_wins(tmp_path: Path) -> None:
    saved(tmp_path)
    rivals = [Baseline.load(tmp_path / FILE_NAME) for _ in range(8)]
    for number, rival in enumerate(rivals):
        rival.add(finding(canary(), in_file(tmp_path, f"{number}.py")), TODAY)
    gate, outcomes = threading.Barrier(8), []

    def write(rival: Baseline) -> None:
        gate.wait()
        try:
            rival.save()
            outcomes.append("written")
        except VersionConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=[rival]) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["written"]
    assert len(Baseline.load(tmp_path / FILE_NAME).entries) == 1


def test_a_new_baseline_never_replaces_one(tmp_path: Path) -> None:
    saved(tmp_path, finding(canary(), in_file(tmp_path, "a.py")))
    with pytest.raises(VersionConflictError):
        new(tmp_path).save()
    first, second = new(tmp_path / "x"), new(tmp_path / "x")
    (tmp_path / "x").mkdir()
    first.save()
    with pytest.raises(VersionConflictError):
        second.save()


def test_a_save_keeps_the_mode_and_the_link_and_writes_only_changes(tmp_path: Path) -> None:
    saved(tmp_path, finding(canary(), in_file(tmp_path, "a.py")))
    target, link = tmp_path / FILE_NAME, tmp_path / "link.json"
    target.chmod(0o600)
    link.symlink_to(target)
    baseline = Baseline.load(link)
    before = target.stat()
    baseline.save()
    assert os.path.samestat(before, target.stat())
    baseline.judged(baseline.entries[0], Verdict.TRUE, "", TODAY)
    baseline.save()
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert Baseline.load(target).entries[0].verdict is Verdict.TRUE


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="No such file"):
        new(tmp_path / "away").save()


def test_gone_entries_are_stale_when_the_scan_covered_them_and_was_ours(tmp_path: Path) -> None:
    kept, gone, unread, foreign = (finding(canary(), in_file(tmp_path, name)) for name in ("a", "b", "c", "d"))
    baseline = saved(tmp_path, kept, gone, unread, foreign._replace(reported_by="gitleaks"))
    stale = baseline.stale([kept], lambda entry: entry.location != "c")
    assert [entry.location for entry in stale] == ["b"]
    baseline.remove(stale)
    baseline.save()
    assert [entry.location for entry in Baseline.load(tmp_path / FILE_NAME).entries] == ["a", "c", "d"]
    assert judge(baseline, gone)[0] == "new"
    assert judge(baseline, gone._replace(place=in_file(tmp_path, "z"))) == ("new", "")


def test_adding_again_notes_the_line_and_keeps_the_verdict(tmp_path: Path) -> None:
    value = canary()
    found = finding(value, in_file(tmp_path, "a.py"))
    baseline = saved(tmp_path, found)
    baseline.judged(baseline.entries[0], Verdict.TRUE, "rotate it", "2026-07-01")
    assert not baseline.add(found._replace(line=17), "2026-08-01")
    entry = baseline.entries[0]
    assert (entry.line, entry.verdict, entry.note, entry.added) == (17, Verdict.TRUE, "rotate it", TODAY)
    assert baseline.judged(entry, Verdict.OPEN, "", TODAY).judged == ""
