"""``scan watch hook`` and ``scan watch install``: the repository's own hook."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vantage_secrets.errors import InvalidInputError

if TYPE_CHECKING:
    from vantage_secrets.leaks.finding import Report
    from vantage_secrets.leaks.scanner import Scan, Settings
    from vantage_secrets.leaks.watch.pushes import RefUpdate


def run_hook(chosen: argparse.Namespace, manifest: Path | None) -> int:
    """Scan the push that Git tells of on standard input, or hand it over, and return the exit code."""
    from vantage_secrets.leaks.watch.pushes import read_updates

    try:
        updates = read_updates(sys.stdin.buffer)
    except ValueError:
        raise InvalidInputError(
            "What stands on standard input is not what Git tells a hook.",
            hint="Git runs this command itself. Put it into a repository: vantage-secrets scan watch install",
        ) from None
    if all(update.is_deletion for update in updates) or _is_handed_over(chosen, updates):
        return 0
    report = _report_on_push(chosen, manifest, updates)
    code = report.exit_code
    _tell_pusher(report, is_refused=bool(code) and chosen.refuse)
    # Before the push is taken, any other code than 0 refuses it, which must have been asked for.
    return code if chosen.refuse or "GIT_QUARANTINE_PATH" not in os.environ else 0


def _is_handed_over(chosen: argparse.Namespace, updates: Sequence[RefUpdate]) -> bool:
    if chosen.refuse or chosen.socket is None:
        return False
    from vantage_secrets.leaks.watch.unix_socket import hand_over

    answer = hand_over(chosen.socket, Path.cwd(), updates)
    if answer != "accepted":
        why = "does not watch this repository" if answer == "unknown" else "does not answer"
        print(f"The watcher {why}; the push is scanned here.", file=sys.stderr)
    return answer == "accepted"


def _report_on_push(chosen: argparse.Namespace, manifest: Path | None, updates: Sequence[RefUpdate]) -> Report:
    from vantage_secrets.leaks.watch.pushed import PushedSource

    with scanning(chosen, manifest, Path(), "scan watch hook") as made:
        source = PushedSource(Path(), updates, size_max=chosen.max_file_size)
        made.read(source, "what is pushed")
        report = made.report()
        return report._replace(findings=source.attributed(report.findings))


def _tell_pusher(report: Report, *, is_refused: bool) -> None:
    from vantage_secrets.leaks.reports import write_report
    from vantage_secrets.leaks.reports.wording import verdict

    if not report.exit_code:
        print(f"vantage-secrets: {verdict(report)}")
        return
    write_report(report, [], "text", None, stream=sys.stdout)
    if is_refused:
        print("\nThe push is refused. Take the values out of its commits, and push again.")
    sys.stdout.flush()


def install(chosen: argparse.Namespace, manifest: Path | None) -> int:
    """Put the hook into a repository or take it out, and return the exit code."""
    from vantage_secrets.leaks.watch.hook import install_hook, remove_hook

    name = "pre-receive" if chosen.refuse else "post-receive"
    if chosen.remove:
        was_there = remove_hook(chosen.repository, name)
        print(f"The {name} hook is gone." if was_there else f"There was no {name} hook of ours.")
        return 0
    print(f"Installed: {install_hook(chosen.repository, name, _hook_command(chosen, manifest), chain=chosen.chain)}")
    return 0


def _hook_command(chosen: argparse.Namespace, manifest: Path | None) -> list[str]:
    """Return the words of the hook, with whole paths: Git runs it in another folder and with a short PATH."""
    program = [sys.executable, "-P", "-c", "from vantage_secrets.cli import main; main()"]
    front = ["--manifest", str(manifest_path(manifest))] if chosen.known else []
    words = ["--refuse"] if chosen.refuse else []
    words += ["--baseline", chosen.baseline] if chosen.baseline else []  # Git runs it in the repository's folder
    for option in ("socket", "key_file"):
        if getattr(chosen, option):
            words += [f"--{option.replace('_', '-')}", str(Path(getattr(chosen, option)).absolute())]
    for path in chosen.rules:
        words += ["--rules", str(Path(path).absolute())]
    words += ["--known"] if chosen.known else []
    words += ["--jobs", str(chosen.jobs)] if chosen.jobs else []
    return [*program, *front, "scan", "watch", "hook", *words, "--max-file-size", str(chosen.max_file_size)]


@contextmanager
def scanning(chosen: argparse.Namespace, manifest: Path | None, repository: Path, words: str) -> Iterator[Scan]:
    """Give a new scan, which looks for the store's values too when that was asked for.

    Args:
        chosen: The command's words.
        manifest: The manifest that was named.
        repository: The folder that the baseline's path is seen from.
        words: What stands in the audit log.
    """
    from vantage_secrets.leaks.scanner import Scan

    with ExitStack() as stack:
        made = Scan(settings_in(repository, chosen))
        if chosen.known:
            from vantage_secrets.cli.session import recorded_session

            workspace = stack.enter_context(recorded_session(manifest, words))
            made.look_for(*workspace.known_values(made.coverage, made.recorder.key))
        yield made


def settings_in(repository: Path, chosen: argparse.Namespace) -> Settings:
    """Return the settings of a scan of that repository; the path of a baseline is seen from its folder."""
    from vantage_secrets.cli.scan import settings_of

    baseline = chosen.baseline and str(repository / chosen.baseline)
    return settings_of(argparse.Namespace(**{**vars(chosen), "baseline": baseline}))


def manifest_path(manifest: Path | None) -> Path:
    """Return the manifest that was named, or the nearest one.

    Raises:
        ManifestNotFoundError: There is none.
    """
    from vantage_secrets.manifest import find_manifest

    return (manifest or find_manifest()).absolute()
