"""A report for a person: what stands in it, what is left out, and that nothing in it steers a terminal."""

from __future__ import annotations

import re
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.leaks.sample_report import attribution, coverage, digest, finding, known, report, rich_report
from vantage_secrets.leaks.finding import Coverage, Finding, Place, Report, Status
from vantage_secrets.leaks.reports.page import columns
from vantage_secrets.leaks.reports.text import write_text

STYLE = re.compile(r"\x1b\[[0-9;]*m")
NASTY = st.text(st.characters(), max_size=60) | st.sampled_from(["::error::x", "a ##[group]", "\x1b[31m", "\u202etxt"])


def written(result: Report, *, colour: bool = False, width: int = 100, show_all: bool = False) -> str:
    stream = StringIO()
    write_text(result, stream, colour=colour, width=width, show_all=show_all)
    return stream.getvalue()


def ours(stage: str = "current", verdict: str = "CURRENT", **fields: object) -> Finding:
    return finding(rule="known-value", title="One of our own values", known=known(stage, verdict, **fields))


def test_a_finding_stands_under_its_place_with_position_title_rule_confidence_and_the_begin_of_its_fingerprint() -> (
    None
):
    text = written(report(finding("config/app.env", 3)))
    fingerprint = digest("github-token config/app.env 3")[:12]
    assert text.startswith(
        f"config/app.env\n  3:14   GitHub personal access token  github-token  high  {fingerprint}\n\n"
    )


def test_a_value_of_ours_that_opens_the_door_says_so_with_the_command_that_ends_it() -> None:
    text = written(report(ours()))
    assert "This is KAFKA_SASL_PASSWORD, version 3, CURRENT: it opens the door now.\n" in text
    assert "Run: vantage-secrets rotate KAFKA_SASL_PASSWORD\n" in text
    assert "owner platform; read by worker, collector\n" in text
    assert "\x1b[1;31mThis is KAFKA_SASL_PASSWORD" in written(report(ours()), colour=True)


@pytest.mark.parametrize(
    ("stage", "verdict", "said", "command"),
    [
        ("previous", "IN OVERLAP until 2026-01-31", "2026-01-31: it still opens the door.", "PASSWORD --finish\n"),
        ("pending", "PENDING", "PENDING: it opens the door as soon as it is promoted.", "rotate KAFKA_SASL_PASSWORD\n"),
        ("retired", "RETIRED since 2025-11-02", "2025-11-02: it opens nothing any more.", ""),
    ],
)
def test_each_stage_of_a_value_of_ours_has_its_own_words_and_command(
    stage: str, verdict: str, said: str, command: str
) -> None:
    text = written(report(ours(stage, verdict)), width=0)
    assert said in text
    assert command in text
    assert ("vantage-secrets rotate" in text) is bool(command)


def test_where_a_finding_sits_in_a_history_is_told() -> None:
    place = Place(".", "src/a.py", "ab" * 20, "blob")
    found = finding(place=place, attribution=attribution("src/a.py", "b.py", "c.py", "d.py", "e.py"))
    text = written(report(found))
    assert "first seen 2023-11-14 in 1f1f1f1f1f1f by Author <author@dev.example>\n" in text
    assert "last seen 2025-10-09 in 2e2e2e2e2e2e by Second <second@dev.example>\n" in text
    assert "brought by 4 commits of 2 authors\n" in text
    assert "also at b.py, c.py, d.py and 1 more\n" in text
    assert "no branch" not in text
    lost = found._replace(attribution=attribution("src/a.py", is_reachable=False))
    assert "no branch, tag, note or stash leads to it" in written(report(lost))


@pytest.mark.parametrize(
    ("place", "heading"),
    [
        (Place(".", "a/b.env"), "a/b.env"),
        (Place("./src/", "a.env"), "src/a.env"),
        (Place("/srv/app", "a.env"), "/srv/app/a.env"),
        (Place("conf/a.env", "a.env"), "conf/a.env"),
        (Place("conf/a.env", ""), "conf/a.env"),
        (Place(".", "out.tar!in/a.env", kind="member"), "out.tar!in/a.env"),
        (Place("image.tar", "", kind="member", detail="layer 2"), "image.tar, layer 2"),
        (Place(".", "", "cd" * 20, "commit"), "commit cdcdcdcdcdcd"),
        (Place("/srv/app", "", "cd" * 20, "tag"), "tag cdcdcdcdcdcd of /srv/app"),
        (Place(".", "", "cd" * 20, "blob"), "blob cdcdcdcdcdcd"),
        (Place("standard input", kind="stream"), "standard input"),
        (Place("process 4711", "TOKEN", kind="environment"), "process 4711, TOKEN"),
        (Place("kafka topic events", "", "", "record", "partition 2"), "kafka topic events, partition 2"),
    ],
)
def test_every_kind_of_place_has_a_heading_that_finds_it_again(place: Place, heading: str) -> None:
    assert written(report(finding(place=place))).splitlines()[0] == heading


def test_encodings_are_told_from_outside_in() -> None:
    assert "written in base64, in it json\n" in written(report(finding(decoded=("base64", "json"))))
    assert "written in hex\n" in written(report(ours(spelling="hex")))


def test_the_same_value_again_in_one_file_is_one_entry() -> None:
    text = written(report(*(finding(line=line, fingerprint=digest("x")) for line in range(1, 9))))
    assert text.count("GitHub personal access token") == 1
    assert "the same value again at 2:14, 3:14, 4:14, 5:14, 6:14 and 2 more\n" in text
    assert text.count("8 findings in 1 place.") == 1


def test_findings_of_other_tools_without_a_fingerprint_are_not_taken_for_one() -> None:
    others = [finding(line=line, fingerprint="", reported_by="gitleaks") for line in (1, 2)]
    text = written(report(*others))
    assert text.count("reported by gitleaks") == 2


def test_many_findings_of_a_file_are_capped_and_the_surest_stay() -> None:
    weak = [finding(line=line, rule="weak-hint") for line in range(1, 28)]
    text = written(report(*weak, finding(line=40), ours()._replace(line=41)))
    assert "  … and 19 more here\n" in text
    assert "  40:14  GitHub personal access token" in text
    assert "CURRENT" in text
    everything = written(report(*weak, finding(line=40)), show_all=True)
    assert everything.count("weak-hint  low") == 27
    assert "more here" not in everything


def test_many_files_are_capped_and_a_value_of_ours_is_never_left_out() -> None:
    text = written(report(*(finding(f"f{number}.env") for number in range(150)), ours()))
    assert text.count("GitHub personal access token") == 99
    assert "… and 51 more in 51 places\n" in text
    assert "CURRENT: it opens the door now" in text


def test_settled_findings_are_counted_and_shown_only_when_all_is_asked_for() -> None:
    settled = [
        finding("a.env", status=Status.BASELINE, reason="rotated"),
        finding("b.env", status=Status.SUPPRESSED, reason="an example"),
    ]
    text = written(report(*settled))
    assert text.splitlines()[0] == "No new finding (1 in the baseline, 1 suppressed)."
    assert "a.env" not in text
    everything = written(report(*settled), show_all=True)
    assert "  [baseline]\n         note: rotated\n" in everything
    assert "  [suppressed]\n         note: an example\n" in everything


def test_clean_is_said_when_something_was_read_and_everything_that_was_asked_for() -> None:
    assert written(report()).splitlines() == [
        "Clean: nothing was found.",
        "Read 1,070 files, 12.3 MB, with 488 rules and 12 values of ours in 0.42 s.",
        "Exit code 0: nothing new was found, and everything that was asked for was read.",
    ]


def test_clean_is_not_said_when_something_was_not_read() -> None:
    covered = coverage(file=12)
    covered.miss(Place(".", "data/dump.bin"), "permission denied")
    text = written(report(covered=covered))
    assert "lean" not in text
    assert text.startswith("Nothing new was found in what was read, but not everything was read.\n")
    assert "Not read: 1\n  data/dump.bin: permission denied\n" in text
    assert "Exit code 3: not everything that was asked for could be read.\n" in text


def test_clean_is_not_said_when_there_was_nothing_to_read() -> None:
    text = written(report(covered=Coverage()))
    assert "lean" not in text
    assert text.startswith("There was nothing to read.\nRead nothing, ")


def test_what_was_not_read_is_told_beside_findings_and_a_long_list_is_capped() -> None:
    covered = coverage()
    for number in range(30):
        covered.miss(Place(".", f"f{number}"), "permission denied")
    text = written(report(finding(), covered=covered))
    assert "Not read: 30\n" in text
    assert "  f19: permission denied\n  … and 10 more\n" in text
    assert text.count("permission denied") == 20
    assert written(report(finding(), covered=covered), show_all=True).count("permission denied") == 30


def test_kinds_of_things_read_are_counted_in_words() -> None:
    text = written(report(covered=coverage(file=1, member=2_000, **{"known from cache": 3})))
    assert "Read 1 file, 2,000 archive members and 3 objects known from the cache, 23.0 MB" in text


def test_what_comes_next_begins_with_replacing_the_value() -> None:
    text = written(report(ours(), finding()))
    after = text[text.index("\nNext\n") :].splitlines()
    assert after[3] == "   vantage-secrets rotate KAFKA_SASL_PASSWORD"
    assert after[4] == "   github-token: Revoke it under Settings, Developer settings."
    assert '   vantage-secrets: allow known-value reason="…"' in after
    assert "Next" not in written(report())


def test_notes_of_the_scan_are_shown() -> None:
    assert "Note: The object cache could not be written: no space left.\n" in written(rich_report())


def test_colours_change_nothing_but_the_colours() -> None:
    coloured = written(rich_report(), colour=True)
    assert STYLE.sub("", coloured) == written(rich_report())
    assert STYLE.search(written(rich_report())) is None
    assert all(line.count("\x1b[0m") >= line.count("\x1b[1m") for line in coloured.splitlines())


@given(path=NASTY, author=NASTY, reason=NASTY, width=st.integers(0, 130), colour=st.booleans())
def test_no_line_is_too_wide_and_nothing_from_outside_steers_a_terminal_or_a_runner(
    path: str, author: str, reason: str, width: int, colour: bool
) -> None:
    history = attribution("x")
    assert history.first
    history = history._replace(first=history.first._replace(author=author))
    covered = coverage()
    covered.miss(Place(path, path), reason)
    covered.notes.append(reason)
    found = finding(place=Place(path, path, "ab" * 20, "blob"), attribution=history, reason=reason)
    text = STYLE.sub("", written(report(found, covered=covered), colour=colour, width=width))
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text) is None
    for line in text.split("\n"):
        assert not width or columns(line) <= max(width, 40)
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_a_byte_that_is_no_utf8_and_a_mark_that_turns_text_are_written_out() -> None:
    text = written(report(finding("bad\udcff\u202egpj.env")))
    assert text.splitlines()[0] == "bad\\xff\\u202egpj.env"


def test_a_stream_that_has_no_ellipsis_gets_an_escape_and_no_error() -> None:
    below = BytesIO()
    stream = TextIOWrapper(below, encoding="ascii")
    write_text(report(*(finding(f"ü{number}.env") for number in range(150))), stream, colour=False, width=80)
    stream.flush()
    assert b"\\xfc1.env\n" in below.getvalue()
    assert b"\\u2026 and 50 more in 50 places" in below.getvalue()


def test_wide_characters_count_twice() -> None:
    text = written(report(finding("鍵" * 60)), width=80)
    assert text.splitlines()[:2] == ["鍵" * 40, "鍵" * 20]


def test_a_command_that_is_to_be_copied_stays_in_one_piece() -> None:
    text = written(report(ours("previous", "IN OVERLAP")), width=60)
    assert "         vantage-secrets rotate KAFKA_SASL_PASSWORD --finish\n" in text
