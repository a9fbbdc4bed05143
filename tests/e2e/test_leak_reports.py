"""A real scan's report has the place of a secret in every format, and the secret in none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.canary import canary, leaks_in
from vantage_secrets.leaks.reports import FORMATS
from vantage_secrets.leaks.reports.json_report import SCHEMA_FILE

PROGRAM = Path(sys.executable).with_name("vantage-secrets")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled rules are kept: compiling them takes longer than these tests."""
    return tmp_path_factory.mktemp("cache")


def scan(folder: Path, compiled: Path, *words: str) -> tuple[int, bytes]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(compiled),
        "VANTAGE_SECRETS_FINGERPRINT_KEY": "5a" * 32,
    }
    done = subprocess.run([PROGRAM, "scan", *words], cwd=folder, env=environment, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_no_format_of_a_real_scan_has_the_value(tmp_path: Path, compiled: Path) -> None:
    value = canary("leaked")
    tree = tmp_path / "CLEAR"
    tree.mkdir()
    (tree / "app.env").write_text(f"MODE=fast\nKAFKA_SASL_PASSWORD={value}\n")
    for report_format in FORMATS:
        output = tmp_path / f"report.{report_format}"
        code, printed = scan(tmp_path, compiled, "CLEAR", "--format", report_format, "--output", str(output), "--all")
        assert (code, printed) == (1, b"")
        assert b"CLEAR/app.env" in output.read_bytes() or b'"app.env"' in output.read_bytes()
        assert leaks_in(output.read_bytes(), (value,)) == []
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text("utf-8")))
    found = content["findings"][0]
    assert (found["line"], found["column"], found["length_bytes"]) == (2, 21, len(value))


def test_a_clean_tree_is_said_to_be_clean_on_standard_output(tmp_path: Path, compiled: Path) -> None:
    (tmp_path / "app.env").write_text("MODE=fast\n")
    code, printed = scan(tmp_path, compiled, "app.env")
    assert code == 0
    assert printed.startswith(b"Clean: nothing was found.\nRead 1 file, 10 B, with ")
