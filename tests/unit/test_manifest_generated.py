"""What is made from the field table is current: the shipped schema, the reference page; and it can be renewed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

import vantage_secrets
from vantage_secrets.manifest import __main__ as generator
from vantage_secrets.manifest import json_schema, render_default
from vantage_secrets.manifest.fields import SECRET, TABLES, TOP


@pytest.mark.parametrize("path", generator.generated_files(), ids=lambda path: path.name)
def test_the_generated_file_is_current(path: Path) -> None:
    current = path.read_text(encoding="utf-8") == generator.generated_files()[path]
    assert current, f"run 'python -m vantage_secrets.manifest --write' to renew {path.name}"


def test_the_schema_lies_inside_the_package_where_the_wheel_takes_it_from() -> None:
    assert generator.SCHEMA_FILE.parent == Path(vantage_secrets.__file__).parent


def test_the_schema_is_a_schema_and_the_default_manifest_follows_it() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(tomllib.loads(render_default()), json_schema())


def test_the_module_prints_the_schema_for_an_editor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vantage_secrets.manifest"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == json_schema()


def test_an_unknown_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--wirte"]) == 2
    assert "usage:" in capsys.readouterr().err


def test_write_renews_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "SCHEMA_FILE", tmp_path / "schema.json")
    monkeypatch.setattr(generator, "PAGE_FILE", tmp_path / "page.md")
    assert generator.main(["--write"]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == json_schema()
    assert (tmp_path / "page.md").read_text().startswith("# The manifest")


def test_the_page_describes_every_key_of_every_table() -> None:
    page = generator.PAGE_FILE.read_text(encoding="utf-8")
    for fields in (TOP, SECRET, *TABLES.values()):
        for field in fields:
            assert f"| `{field.name}` |" in page
            assert field.description in page
