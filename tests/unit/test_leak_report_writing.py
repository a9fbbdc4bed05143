"""A report goes to a file, all of it or nothing, or to a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest

from tests.leaks.sample_report import RULES, rich_report
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks import reports
from vantage_secrets.leaks.reports import FORMATS, write_report

BEGINS = {"text": "config/app.env\n", "json": "{\n", "sarif": "{\n", "html": "<!doctype html>\n"}


def written(report_format: str, output: Path | None = None, **options: bool) -> str:
    stream = StringIO()
    write_report(rich_report(), RULES, report_format, output, stream=stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("report_format", FORMATS)
def test_every_format_goes_to_the_stream_or_to_a_file_and_is_the_same(report_format: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    assert written(report_format, path) == ""
    assert path.read_text("utf-8") == written(report_format)
    assert path.read_text("utf-8").startswith(BEGINS[report_format])


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError) as caught:
        written("xml")
    assert "text, json, sarif, html" in caught.value.hint


def test_a_file_is_never_coloured(tmp_path: Path) -> None:
    assert "\x1b[" in written("text", colour=True)
    written("text", tmp_path / "report.txt", colour=True)
    assert "\x1b[" not in (tmp_path / "report.txt").read_text("utf-8")


def test_a_file_may_be_read_by_others_whatever_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    before = os.umask(0o077)
    try:
        written("json", path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_was_there_is_replaced_and_a_link_is_not_followed(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "report.json"
    kept.write_text("mine")
    link.symlink_to(kept)
    written("json", link)
    assert kept.read_text() == "mine"
    assert json.loads(link.read_text())["schema_version"] == "1.0"
    assert not link.is_symlink()


def test_a_report_that_cannot_be_finished_leaves_what_was_there_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reports.os, "fchmod", full)
    with pytest.raises(OSError, match="No space left"):
        written("json", path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("name", ["missing/report.json", "file/report.json", "."])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="The report cannot be written to") as caught:
        written("json", tmp_path / name)
    assert caught.value.hint == "Name a file in a folder that exists and that you may write to."


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")))
    reader.start()
    written("json", pipe)
    reader.join()
    assert json.loads(read[0])["exit_code"] == 1
    assert pipe.is_fifo()


def test_a_text_report_imports_neither_rich_nor_json_nor_html() -> None:
    # Starting up is most of what a scan of one file takes.
    program = (
        "import io, sys\n"
        "from vantage_secrets.leaks.finding import Coverage, Report\n"
        "from vantage_secrets.leaks.reports import write_report\n"
        "result = Report((), Coverage(), ('.',), 1, '', 0, 0.0, 0.0)\n"
        "write_report(result, (), 'text', None, stream=io.StringIO())\n"
        "print([name for name in ('rich', 'json', 'html', 'dataclasses', 'datetime', 'typer', 'urllib') "
        "if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
