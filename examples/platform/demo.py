"""A small Vantage whose secrets rotate while events flow: nothing fails, nothing is lost, and the old ones are dead.

By itself it needs neither Kafka nor ClickHouse: stand-ins of this folder take their place, and the two API keys
rotate. With ``--full`` both servers are real, and all five secrets rotate.

Exit codes: 0 when everything went as promised, 1 when not, 2 when the command line has a mistake.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from doors import Door, clickhouse_door, http_door, kafka_door
from processes import HERE, ProcessError, Processes
from report import Report, Stored
from rotating import COMMAND, Rotations
from servers import Servers, running
from vantage_secrets.audit.verify import verify
from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.demo.telling import Teller
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.manifest import FILE_NAME, Manifest, load

API_KEYS = ("VANTAGE_API_KEY", "API_KEY")
PASSWORDS = ("WORKER_CLICKHOUSE_PASSWORD", "API_CLICKHOUSE_PASSWORD", "KAFKA_SASL_PASSWORD")
LOADS = {"events": "event-source", "queries": "dashboard"}
"""What is sent, and in the name of which consumer."""

REAUTH_MS = 5_000
"""How long Kafka lets a connection live on one authentication, in the full demo."""

IDLE_SECONDS_MAX = 8
"""When nothing has come into the table for so long, nothing more will."""

MARK = ".made-by-the-demo"
"""Says that a folder may be made anew."""


class Demo:
    """One run, in a folder of its own.

    Args:
        options: What the command line says.
        teller: Tells it.
    """

    def __init__(self, options: argparse.Namespace, teller: Teller) -> None:
        """Begin nothing yet."""
        self._options = options
        self._teller = teller
        self._folder: Path = options.directory.absolute()
        self._run = f"run{secrets.token_hex(4)}"
        self._rates: dict[str, float] = {"events": options.rate, "queries": options.query_rate}

    def tell(self) -> Report:
        """Run the whole story.

        Raises:
            ProcessError: A process did not do what it should.
            VantageSecretsError: A secret could not be read or written.
        """
        _make_anew(self._folder)
        values = {key: f"demo-{secrets.token_urlsafe(24)}" for key in (*API_KEYS, *PASSWORDS)}
        if not self._options.full:
            self._teller.step("Five secrets lie in a .env file; Kafka and ClickHouse are stand-ins in SQLite files")
            return self._platform(self._manifest(values, None), None)
        self._teller.step("A real Kafka and a real ClickHouse know the passwords of a .env file")
        with tempfile.TemporaryDirectory(prefix="vantage-platform-") as place:
            reauth_ms = None if self._options.no_reauth else REAUTH_MS
            with running(Path(place), values, reauth_ms=reauth_ms) as servers:
                return self._platform(self._manifest(values, servers), servers, Path(place))

    def _manifest(self, values: dict[str, str], servers: Servers | None) -> Manifest:
        """Make the store, bring the ``.env`` in through the real command, then say where its passwords open doors."""
        made = initialise(self._folder, environment="demo")
        text = (HERE / FILE_NAME).read_text()
        path = self._folder / FILE_NAME
        path.write_text(text.replace("[audit]\n", f'[audit]\npublic_key = "{made.audit.public_key}"\n'))
        env = self._folder / ".env"
        env.touch(mode=0o600)
        env.write_text("".join(f'{key}="{value}"\n' for key, value in values.items()))
        self._teller.step("They move into the store, and the file goes")
        words = [str(COMMAND), "--manifest", str(path), "migrate", "import", str(env), "--yes"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        env.unlink()
        if done.returncode:
            raise ProcessError(f"'migrate import' ended with {done.returncode}: {done.stdout}{done.stderr}")
        self._teller.note(next(line for line in done.stdout.splitlines() if "written" in line))
        if servers is not None:
            self._add_targets(path, servers)
        return load(path)

    def _add_targets(self, path: Path, servers: Servers) -> None:
        """Add ``targets.toml`` with the places of these servers, and the administrators' passwords to the store."""
        added = (HERE / "targets.toml").read_text()
        for there, here in servers.manifest_changes().items():
            added = added.replace(f'"{there}"', json.dumps(here))
        path.write_text(path.read_text() + added)
        for key, password in servers.administrators().items():
            words = [str(COMMAND), "--manifest", str(path), "set", key]
            done = subprocess.run(words, input=password, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ProcessError(f"'set {key}' ended with {done.returncode}: {done.stderr}")
        self._teller.note("The manifest says where Kafka and ClickHouse are, and who may change their users")

    def _platform(self, manifest: Manifest, servers: Servers | None, place: Path | None = None) -> Report:
        """Run the four services and the two loads, rotate, count."""
        state = self._folder / "state"
        state.mkdir()
        environment = {"PLATFORM_FOLDER": str(state), **(servers.environment() if servers else {})}
        processes = Processes(manifest.path, environment, state)
        workspace = Workspace(manifest, why="platform demo")
        try:
            self._teller.step("Collector, worker and query API start, each a process of its own")
            ports = {"events": processes.start_service("collector", "collector.py")}
            processes.start("worker", "worker.py")
            ports["queries"] = processes.start_service("query-api", "query_api.py")
            rotations = Rotations(workspace, self._doors(ports, servers), self._teller.note)
            self._rotate_under_load(processes, ports, state, rotations)
            tried_count, alive = rotations.try_all()
            stored = self._count(state, servers)
            values = rotations.values()
            processes.stop("collector", "query-api", "worker")
        finally:
            processes.kill_all()
            workspace.close()
        leaks = _search([self._folder, *([place] if place else [])], values)
        return Report(
            self._rates,
            {name: json.loads((state / f"{name}.json").read_text()) for name in self._rates},
            stored,
            rotations.done,
            self._options.rounds * len(self._rotating),
            tried_count,
            alive,
            leaks,
            self._check_audit(manifest),
        )

    @property
    def _rotating(self) -> tuple[str, ...]:
        able = (*API_KEYS, *PASSWORDS) if self._options.full else API_KEYS
        return tuple(key for key in able if key in (self._options.only or able))

    def _doors(self, ports: dict[str, int], servers: Servers | None) -> dict[str, Door]:
        doors = {
            "VANTAGE_API_KEY": http_door(ports["events"], "POST", "/v1/events", b"[]"),
            "API_KEY": http_door(ports["queries"], "GET", "/v1/events/count?kind=click"),
        }
        if servers is not None:
            native = servers.clickhouse.tcp_port
            doors["WORKER_CLICKHOUSE_PASSWORD"] = clickhouse_door("127.0.0.1", native, "worker")
            doors["API_CLICKHOUSE_PASSWORD"] = clickhouse_door("127.0.0.1", native, "query_api")
            doors["KAFKA_SASL_PASSWORD"] = kafka_door(servers.kafka.bootstrap, "vantage")
        return doors

    def _rotate_under_load(
        self, processes: Processes, ports: dict[str, int], state: Path, rotations: Rotations
    ) -> None:
        """Rotate every secret, round after round, while both loads keep their rate."""
        events, queries = self._rates["events"], self._rates["queries"]
        self._teller.step(f"Load: {events:g} events and {queries:g} queries a second, whether or not answers are late")
        for name, service in LOADS.items():
            options = ("--port", str(ports[name]), "--rate", str(self._rates[name]), "--run", self._run)
            files = ("--report", str(state / f"{name}.json"), "--ids", str(state / f"{name}.ids"))
            processes.start(service, "load.py", name, *options, *files)
        time.sleep(self._options.calm)
        for round_ in range(1, self._options.rounds + 1):
            self._teller.step(f"Round {round_}: each secret rotates, by the real command, until the old one is dead")
            for key in self._rotating:
                rotations.rotate(key, round_)
        time.sleep(self._options.calm)
        processes.stop(*LOADS.values())

    def _count(self, state: Path, servers: Servers | None) -> Stored:
        """Compare the ids that were accepted with those in the table, once the worker is through."""
        self._teller.step("The load ends; every accepted id is looked for in the table")
        accepted = (state / "events.ids").read_text().split()
        rows_count, grew_at = -1, time.monotonic()
        while time.monotonic() - grew_at < IDLE_SECONDS_MAX:
            stored = Stored.compared(accepted, self._stored_ids(state, servers))
            if not stored.lost_count:
                break
            if stored.rows_count > rows_count:
                rows_count, grew_at = stored.rows_count, time.monotonic()
            time.sleep(0.2)
        time.sleep(0.5)  # what was doubled would come last
        return Stored.compared(accepted, self._stored_ids(state, servers))

    def _stored_ids(self, state: Path, servers: Servers | None) -> list[str]:
        if servers is not None:
            return servers.stored_ids(self._run)
        with closing(sqlite3.connect(state / "table.db")) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM events")]

    def _check_audit(self, manifest: Manifest) -> str:
        found = verify(manifest.audit.folder, public_key=manifest.audit.public_key)
        return found.problem.text if found.problem else ""


def _make_anew(folder: Path) -> None:
    """Make the folder; one that an earlier run made is emptied.

    Raises:
        ProcessError: There is something else in it.
    """
    if (folder / MARK).exists():
        shutil.rmtree(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ProcessError(f"'{folder}' is not empty, and no earlier run made it. Name another one.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _search(folders: list[Path], values: list[bytes]) -> list[str]:
    """Return the files that hold a value. Kafka's index files, 10 MB of zeros each, hold numbers only.

    ClickHouse still runs: it writes its own tables, and a part that it has merged is gone before it is looked at.
    """
    files = [Path(place, name) for folder in folders for place, _, names in os.walk(folder) for name in names]
    kept = [path for path in sorted(files) if path.suffix not in (".index", ".timeindex")]
    return [str(path) for path in kept if any(value in _content(path) for value in values)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def main() -> int:
    """Run the demo as the command line says, and print what it showed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="real Kafka and ClickHouse; all five secrets rotate")
    parser.add_argument("--directory", type=Path, default=Path("demo/platform"), help="made anew by each run")
    parser.add_argument("--rounds", type=int, default=None, help="how often each secret rotates; 1, or 2 with --full")
    parser.add_argument(
        "--only", action="append", metavar="KEY", help="rotate this secret, and no other that is not named"
    )
    parser.add_argument("--rate", type=float, default=None, help="events a second; 200, or 505 with --full")
    parser.add_argument("--query-rate", type=float, default=51, help="queries a second")
    parser.add_argument("--calm", type=float, default=1, help="seconds of load before and after the rotations")
    parser.add_argument("--no-reauth", action="store_true", help="leave Kafka's connections.max.reauth.ms off")
    parser.add_argument("--json", type=Path, help="file that takes all figures")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.full else 1)
    options.rate = options.rate or (505 if options.full else 200)
    teller = Teller(steps=5 + options.rounds)
    try:
        report = Demo(options, teller).tell()
    except (ProcessError, VantageSecretsError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    faults = report.faults()
    teller.summary("The platform went well." if not faults else "Faults were found.", report.lines(), good=not faults)
    print(f"\nEach step, in seconds after its rotation began:\n{report.table()}")
    for fault in faults:
        print(f"fault: {fault}")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
