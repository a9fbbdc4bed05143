"""The documentation is true to the code, complete, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import vantage_secrets

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "generate-docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
BIN = Path(sys.executable).parent


def of_every_page(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """The tool as a module; it sets variables that must not stay."""
    before = dict(os.environ)
    loader = SourceFileLoader("generate_docs", str(TOOL))
    spec = spec_from_loader("generate_docs", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = kept
    yield module
    os.environ.clear()
    os.environ.update(before)


def test_what_is_generated_is_current() -> None:
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_that_is_not_current_is_named_with_the_command_to_run_and_then_renewed(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: exit-codes -->\nold\n<!-- end of generated -->\nafter\n")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["--check"]) == 1
    assert capsys.readouterr().err == "page.md is not current. Run: .venv/bin/python tools/generate-docs\n"
    assert "old" in page.read_text()
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    assert re.fullmatch(r"before\n<!-- .*\| 8 \| .*<!-- end of generated -->\nafter\n", page.read_text(), re.DOTALL)


def test_the_help_in_the_readme_is_what_the_program_prints() -> None:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [BIN / "vantage-secrets", "--help"], env=environment, capture_output=True, text=True, check=True
    )
    printed = "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n")
    assert f"```text\n{printed}\n```" in (ROOT / "README.md").read_text("utf-8")


def test_the_reference_has_a_section_for_every_command_and_every_error(generator: ModuleType) -> None:
    commands = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    assert [words for words, _help in generator.commands() if f"## `{words}`\n" not in commands] == []
    errors = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    kinds = generator.descendants(vantage_secrets.errors.VantageSecretsError)
    assert [kind.__name__ for kind in kinds if f"## `{kind.__name__}`\n" not in errors or kind.code not in errors] == []


def test_every_block_that_a_page_names_is_closed_and_of_a_kind_that_is_made(generator: ModuleType) -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        named = re.findall(r"^<!-- generated: (\S+) -->$", text, re.MULTILINE)
        assert named == generator.BLOCK.findall(text), page
        assert set(named) <= set(generator.BLOCKS), page


@pytest.mark.parametrize("page", PAGES, ids=of_every_page)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=of_every_page)
def test_no_page_speaks_of_one_machine(page: Path) -> None:
    assert re.findall(r"/(?:work|tmp|home|root|Users)/\S*", page.read_text("utf-8")) == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = set(re.findall(r"([\w./-]+\.md)$", navigation, re.MULTILINE))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")}


def test_every_command_that_a_page_mentions_exists_and_has_the_options(generator: ModuleType) -> None:
    helps = {words.removeprefix("vantage-secrets").strip(): text for words, text in generator.commands()}
    mentioned = re.compile(r"(?<![\w/.-])vantage-secrets ([a-z][a-z-]*(?: [a-z][a-z-]*){0,2})\b([^`'\"\n|]*)")
    wrong = []
    for page in PAGES:
        for words, rest in mentioned.findall(page.read_text("utf-8")):
            parts = words.split(" ")
            known = next((name for end in (3, 2) if (name := " ".join(parts[:end])) in helps), parts[0])
            options = re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.partition(" -- ")[0])
            if known not in helps or [option for option in options if option not in helps[known]]:
                wrong.append(f"{of_every_page(page)}: vantage-secrets {words}{rest}")
    assert wrong == []


def test_the_changelog_has_the_version_of_the_package() -> None:
    assert f"\n## {vantage_secrets.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    # Not with --quiet: MkDocs 1.6 then counts no warnings, and --strict means nothing.
    done = subprocess.run(
        [BIN / "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = re.compile(r"""<(?:script|img|iframe|link)[^>]*\b(?:src|href)=["']?(https?:)?//|url\(["']?https?://""")
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css")]
    assert len(files) > len(list(ROOT.glob("docs/**/*.md")))
    assert [file.name for file in files if loaded.search(file.read_text("utf-8"))] == []
