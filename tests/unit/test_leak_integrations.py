"""The hooks of pre-commit, the action for GitHub and the component for GitLab run the scan as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("vantage-secrets")
HOOKS = ROOT / ".pre-commit-hooks.yaml"
ACTION = ROOT / "action.yml"
COMPONENT = ROOT / "templates" / "vantage-secrets-scan.yml"

STUB = """#!/bin/sh
echo "$@" >> "$CALLS"
echo "key: ${VANTAGE_SECRETS_FINGERPRINT_KEY-none}" >> "$KEYS"
while [ $# -gt 1 ]; do
  if [ "$1" = --output ]; then echo report > "$2"; fi
  shift
done
exit "$EXIT_CODE"
"""


def read(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def action_step(name: str) -> dict[str, Any]:
    steps = [step for step in read(ACTION)[0]["runs"]["steps"] if name in (step.get("id"), step.get("name"))]
    assert len(steps) == 1
    assert isinstance(steps[0], dict)
    return steps[0]


def component_script() -> str:
    return "\n".join(read(COMPONENT)[1]["vantage-secrets-scan"]["script"][-1:])


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A program in the place of ours, where both the action and the component install it."""
    for folder in (tmp_path / "vantage-secrets", tmp_path / "vantage-secrets-scan"):
        program = folder / "bin" / "vantage-secrets"
        program.parent.mkdir(parents=True)
        program.write_text(STUB)
        program.chmod(0o755)
    return tmp_path


def run(words: list[str], folder: Path, code: int, **variables: str) -> tuple[int, list[str]]:
    """Run a script with the stub; return its exit code and how the stub was called."""
    calls = folder / "calls"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "CALLS": str(calls),
        "KEYS": str(folder / "keys"),
        "EXIT_CODE": str(code),
        **variables,
    }
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, calls.read_text().splitlines()


def run_action(folder: Path, code: int, **inputs: str) -> tuple[int, list[str], dict[str, str]]:
    step = action_step("scan")
    defaults = {name: str(value["default"]) for name, value in read(ACTION)[0]["inputs"].items()}
    given = {**defaults, **{name.replace("_", "-"): value for name, value in inputs.items()}}
    variables = {
        name: given[re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", r"\1", text)] for name, text in step["env"].items()
    }
    # As GitHub's runner starts the shell of a composite step.
    script = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    ended, calls = run(script, folder, code, **variables)
    outputs = dict(line.split("=", 1) for line in (folder / "outputs").read_text().splitlines())
    return ended, calls, outputs


def run_component(folder: Path, code: int, **variables: str) -> tuple[int, list[str]]:
    given = {"SCAN_BASELINE": "", "SCAN_ARGUMENTS": "", **variables}
    return run(["sh", "-e", "-c", component_script()], folder, code, **given)


def test_the_hooks_scan_before_a_commit_and_before_a_push() -> None:
    hooks = read(HOOKS)[0]
    assert [(hook["id"], hook["entry"], hook["stages"]) for hook in hooks] == [
        ("vantage-secrets-scan", "vantage-secrets scan --staged", ["pre-commit"]),
        ("vantage-secrets-scan-history", "vantage-secrets scan --history", ["pre-push"]),
    ]
    assert all(hook["always_run"] and not hook["pass_filenames"] for hook in hooks)


def test_the_hooks_install_what_the_extra_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for hook in read(HOOKS)[0]:
        assert hook["additional_dependencies"] == project["optional-dependencies"]["leaks"]


def test_every_option_in_hooks_action_and_component_is_one_of_the_scan() -> None:
    done = subprocess.run([PROGRAM, "scan", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scripts = [*(hook["entry"] for hook in read(HOOKS)[0]), action_step("scan")["run"], component_script()]
    used = {option for script in scripts for option in re.findall(r"(?<=[ (])--[a-z-]+", script)}
    assert {"--staged", "--history", "--baseline", "--format", "--output"} == used
    assert used <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_action_scans_the_history_twice_for_the_log_and_for_code_scanning(stub: Path) -> None:
    ended, calls, outputs = run_action(stub, 1)
    sarif = f"{stub}/vantage-secrets.sarif"
    assert calls == ["scan . --history", f"scan . --history --format sarif --output {sarif}"]
    assert outputs == {"exit-code": "1", "sarif": sarif}
    assert ended == 0  # the last step ends the job, after the upload


def test_the_action_takes_its_inputs_as_words_and_never_as_a_script(stub: Path) -> None:
    inputs = {"path": "a b; touch x", "history": "false", "baseline": "b c.json", "arguments": "--no-known -j 2"}
    _ended, calls, _outputs = run_action(stub, 0, **inputs)
    assert calls[0] == "scan a b; touch x --baseline b c.json --no-known -j 2"
    assert not (stub / "x").exists()
    assert "${{" not in action_step("scan")["run"]
    assert "${{" not in action_step("Install")["run"]


def test_the_action_gives_a_key_only_when_there_is_one(stub: Path) -> None:
    run_action(stub, 0)
    run_action(stub, 0, fingerprint_key="ab" * 32)
    assert (stub / "keys").read_text().splitlines()[::2] == ["key: none", f"key: {'ab' * 32}"]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_action_ends_as_the_scan_ended(stub: Path, code: int) -> None:
    _ended, calls, outputs = run_action(stub, code)
    assert outputs["exit-code"] == str(code)
    assert ("sarif" in outputs) is (code != 2)
    assert len(calls) == (1 if code == 2 else 2)
    last = action_step("End as the scan ended")
    assert last["env"] == {"CODE": "${{ steps.scan.outputs.exit-code }}"}
    done = subprocess.run(["bash", "-c", last["run"]], env={"CODE": outputs["exit-code"]}, check=False)
    assert done.returncode == code


def test_the_action_shows_the_findings_also_when_there_are_some() -> None:
    names = [step.get("name") for step in read(ACTION)[0]["runs"]["steps"]]
    assert names.index("Show in code scanning") < names.index("End as the scan ended")
    upload = action_step("Show in code scanning")
    assert upload["with"]["sarif_file"] == "${{ steps.scan.outputs.sarif }}"


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_component_ends_as_the_scan_ended_and_leaves_reports(stub: Path, code: int) -> None:
    ended, calls = run_component(stub, code, SCAN_BASELINE="known.json", SCAN_ARGUMENTS="-j 2")
    words = "scan . --history --baseline known.json -j 2"
    reports = [f"{words} --format {form} --output leak-report.{form}" for form in ("html", "sarif")]
    assert ended == code
    assert calls == [words, *(reports if code != 2 else [])]


def test_the_component_keeps_the_reports_and_clones_the_whole_history() -> None:
    header, body = read(COMPONENT)
    job = body["vantage-secrets-scan"]
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["paths"] == ["leak-report.html", "leak-report.sarif"]
    used = re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", COMPONENT.read_text("utf-8"))
    assert set(used) == set(header["spec"]["inputs"])


def test_the_page_has_every_input_of_action_and_component_with_its_default() -> None:
    page = (ROOT / "docs/how-to/scan-in-ci.md").read_text("utf-8")
    for inputs in (read(ACTION)[0]["inputs"], read(COMPONENT)[0]["spec"]["inputs"]):
        for name, described in inputs.items():
            default = f" `{described['default']}` " if described["default"] else " "
            assert f"| `{name}` |{default}|" in page, name


def test_the_page_names_the_hooks_that_there_are() -> None:
    page = (ROOT / "docs/how-to/scan-in-ci.md").read_text("utf-8")
    assert set(re.findall(r"- id: ([a-z-]+)", page)) == {hook["id"] for hook in read(HOOKS)[0]}
