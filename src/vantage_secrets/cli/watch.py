"""``vantage-secrets scan watch``: the daemon that scans what is pushed."""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vantage_secrets.errors import InvalidInputError, ManifestNotFoundError

if TYPE_CHECKING:
    from vantage_secrets.leaks.finding import Report
    from vantage_secrets.leaks.watch.watcher import Notify, Watcher, WatchSettings


_LEAK = "leak"
"""The topic of a notice."""


def watch(words: Sequence[str], manifest: Path | None) -> int:
    """Do what ``words`` ask for and return the exit code.

    Args:
        words: What stands behind ``scan watch``.
        manifest: The manifest that was named in front of it.
    """
    from vantage_secrets.cli import watch_hook, watch_words

    if words[:1] == ["hook"]:
        return watch_hook.run_hook(watch_words.hook_parser().parse_args(words[1:]), manifest)
    if words[:1] == ["install"]:
        return watch_hook.install(watch_words.install_parser().parse_args(words[1:]), manifest)
    return _daemon(watch_words.daemon_parser().parse_args(words), manifest)


def _daemon(chosen: argparse.Namespace, manifest: Path | None) -> int:
    import signal

    from vantage_secrets.leaks.watch.watcher import Watcher

    watcher = Watcher(_watch_settings(chosen, manifest))
    try:
        signal.signal(signal.SIGTERM, lambda _number, _frame: watcher.stop())
        signal.signal(signal.SIGINT, lambda _number, _frame: watcher.stop())
        with ExitStack() as stack:
            _listen(chosen, manifest, watcher, stack)
            return watcher.run(once=chosen.once)
    finally:
        watcher.close()


def _watch_settings(chosen: argparse.Namespace, manifest: Path | None) -> WatchSettings:
    from vantage_secrets.cli.scan import fingerprint_key
    from vantage_secrets.cli.watch_hook import scanning, settings_in
    from vantage_secrets.cli.watch_words import repositories
    from vantage_secrets.clock import parse_duration
    from vantage_secrets.leaks.watch.watcher import WatchSettings

    every_seconds = parse_duration(chosen.every).total_seconds()
    if not 1 <= every_seconds <= 86_400:
        raise InvalidInputError("--every is from 1s to 1d.")
    if note := fingerprint_key(chosen).note:
        raise InvalidInputError(f"What was told before could not be known again. {note}")
    watched = repositories(chosen.repository)
    for path in watched.values():
        settings_in(path, chosen)  # a mistake in a baseline is found before anything is accepted

    def scan(path: Path) -> Report:
        with scanning(chosen, manifest, path, "scan watch") as made:
            made.read_history(path)
            return made.report()

    return WatchSettings(
        watched,
        chosen.state or _state_folder(os.environ),
        scan,
        _tell,
        _notify(manifest),
        chosen.fetch,
        every_seconds,
    )


def _state_folder(environment: Mapping[str, str]) -> Path:
    """Return this user's folder: XDG Base Directory Specification 0.8, ``XDG_STATE_HOME``."""
    home = environment.get("HOME")
    base = environment.get("XDG_STATE_HOME") or (home and f"{home}/.local/state")
    if not base:
        raise InvalidInputError("There is no HOME to keep the state in.", hint="Name a folder with --state.")
    return Path(base) / "vantage-secrets" / "watch"


_tell_lock = threading.Lock()


def _tell(happening: Mapping[str, Any]) -> None:
    with _tell_lock:  # servers tell from threads of their own
        print(json.dumps(happening), flush=True)


def _listen(chosen: argparse.Namespace, manifest: Path | None, watcher: Watcher, stack: ExitStack) -> None:
    """Start the servers that were asked for, each in a thread; they end with ``stack``."""
    from vantage_secrets.leaks.reports.wording import instant

    servers: list[Any] = []
    heard: dict[str, str] = {}
    if chosen.socket:
        from vantage_secrets.leaks.watch.unix_socket import PushSocket

        servers.append(PushSocket(chosen.socket, watcher.accept))
        heard["socket"] = str(chosen.socket)
    if chosen.listen:
        from vantage_secrets.cli.watch_secret import webhook_secrets
        from vantage_secrets.leaks.watch.http_server import WebhookServer

        secrets = webhook_secrets(chosen, manifest)
        secrets()  # one that is missing is found now
        server = WebhookServer(chosen.listen, secrets, watcher.accept, watcher.note_problem)
        servers.append(server)
        heard["listen"] = f"{server.server_address[0]!s}:{server.server_address[1]}"
    for server in servers:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    names = [name for name, _path in chosen.repository]
    _tell({"event": "started", "at": instant(time.time()), "repositories": names, **heard})


def _notify(manifest: Path | None) -> Notify:
    """Return what tells those whom the manifest's ``[notifications]`` name; without a manifest nobody is told.

    Raises:
        ManifestError: The manifest has a mistake.
        MissingExtraError: Apprise is not installed, and there is somebody to tell.
    """
    from vantage_secrets.cli.watch_hook import manifest_path
    from vantage_secrets.manifest import load

    try:
        path = manifest_path(manifest)
    except ManifestNotFoundError:
        return lambda _title, _text: []
    described = load(path)
    if not described.notifications.secrets:
        return lambda _title, _text: []
    from vantage_secrets.rotation.notifications import check_installed

    check_installed(described)
    return lambda title, text: _tell_people(path, title, text)


def _tell_people(manifest: Path, title: str, text: str) -> list[str]:
    from hashlib import sha256

    from vantage_secrets.bootstrap import open_workspace
    from vantage_secrets.errors import VantageSecretsError
    from vantage_secrets.rotation.notifications import Notice, Notifier
    from vantage_secrets.rotation.pauses import ALL

    try:
        workspace = open_workspace(manifest, why="scan watch")
    except VantageSecretsError as error:
        return [f"Nobody could be told: {error.message}"]
    try:
        places = workspace.manifest.notifications.secrets
        notifier = Notifier(workspace.database, places, lambda name: workspace.store.read(name).value)
        digest = sha256(f"{title}\0{text}".encode()).hexdigest()
        return notifier.tell([Notice(ALL, _LEAK, digest, title, text)])
    except VantageSecretsError as error:
        return [f"Nobody could be told: {error.message}"]
    finally:
        workspace.close()
