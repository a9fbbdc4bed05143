"""The main job, start to end, on real files and processes: out of a ``.env``, read, rotated under load, on record."""

from __future__ import annotations

import http.client
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from vantage_secrets.audit.verify import verify
from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.demo.collector import KEY_NAME
from vantage_secrets.demo.load import Load, send_event
from vantage_secrets.demo.telling import Teller
from vantage_secrets.errors import DeliveryError, SecretNotFoundError
from vantage_secrets.manifest import FILE_NAME, Manifest, load
from vantage_secrets.migration.dotenv import read_dotenv
from vantage_secrets.migration.importer import ImportAction, ImportPlan, plan_import, run_import
from vantage_secrets.rotation.steps import Step
from vantage_secrets.secret import SecretReading, SecretValue

GRACE = timedelta(seconds=2)
REFRESH = timedelta(milliseconds=500)
"""The demo's overlap, and how often its applications look for a new version; real ones are hours and minutes."""

REFUSED = 401

_UNTOUCHED = {
    ImportAction.UNCHANGED: "in the store already",
    ImportAction.REPLACE: "the store has a newer value, which stays",
    ImportAction.OUTDATED: "the store has a newer value, which stays",
    ImportAction.CONFIGURATION: "no secret; stays where it is",
}


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo saw.

    Attributes:
        accepted_count: Requests that were answered with 202.
        failed_count: Requests that were answered otherwise or not at all.
        old_key_status: HTTP status with which the collector answered the old key after the rotation.
        audit_problem: What is wrong with the audit log, or empty.
        leak_paths: Files of the folder that hold a value in the clear, other than the ``.env``.
    """

    accepted_count: int
    failed_count: int
    old_key_status: int
    audit_problem: str
    leak_paths: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether everything went as promised."""
        served = self.accepted_count > 0 and not self.failed_count
        return served and self.old_key_status == REFUSED and not self.audit_problem and not self.leak_paths


def tell(folder: Path, env_file: Path | None) -> DemoResult:
    """Tell the story in ``folder``, which a person can go on with afterwards. Safe to repeat.

    Args:
        folder: Where the manifest, the store and the audit log are made, or were made by an earlier run.
        env_file: The reader's own ``.env``, which is read and not changed; by default one is written.

    Raises:
        VantageSecretsError: Something failed; the folder stays as it is.
    """
    teller = Teller(steps=6)
    folder.mkdir(parents=True, exist_ok=True)
    file = env_file or _write_env(folder)
    teller.step(f"The secrets of a platform lie in {file}, for everybody to read")
    manifest = _manifest(folder, teller)
    with _workspace(manifest) as workspace:
        imported = _import(workspace, file, teller)
        _read(workspace, teller)
        load_, old = _rotate_under_load(workspace, folder, teller)
        values = [old.value, workspace.store.read(KEY_NAME).value, *(row.value for row in imported.rows if row.spec)]
    audit_problem = _check_audit(manifest, teller)
    leaks = _search(folder, file, [value for value in values if value is not None], teller)
    accepted = load_.statuses[202]
    result = DemoResult(accepted, load_.statuses.total() - accepted, load_.old_key_status, audit_problem, leaks)
    _summarise(result, load_.seconds, folder, teller)
    return result


@contextmanager
def _workspace(manifest: Manifest) -> Iterator[Workspace]:
    quick = manifest._replace(client=manifest.client._replace(refresh_interval=REFRESH))
    workspace = Workspace(quick, why="demo")
    try:
        yield workspace
    finally:
        workspace.close()


def _write_env(folder: Path) -> Path:
    path = folder / ".env"
    if not path.exists():
        required = ("VANTAGE_API_KEY", "API_KEY", "WORKER_CLICKHOUSE_PASSWORD", "API_CLICKHOUSE_PASSWORD")
        lines = [f'{key}="demo-{secrets.token_urlsafe(24)}"' for key in (*required, "KAFKA_SASL_PASSWORD")]
        path.touch(mode=0o600)
        path.write_text("\n".join([*lines, "# not a secret, stays where it is", "CLICKHOUSE_HOST=localhost", ""]))
    return path


def _manifest(folder: Path, teller: Teller) -> Manifest:
    if (folder / FILE_NAME).exists():
        teller.note(f"{folder}/ is there from an earlier run: going on with it")
        return load(folder / FILE_NAME)
    manifest = initialise(folder, environment="demo")
    teller.note(f"Made {FILE_NAME}, an encrypted store and an audit log in {folder}/")
    return manifest


def _import(workspace: Workspace, file: Path, teller: Teller) -> ImportPlan:
    teller.step("They move into the store: written, read back, compared; shown by name only")
    plan = plan_import(read_dotenv(file).entries, workspace.manifest, workspace.store)
    result = run_import(plan, workspace.store, introduce=workspace.introduce)
    for outcome in result.outcomes:
        row = outcome.row
        became = f"version {outcome.version.id}" if outcome.version else _UNTOUCHED.get(row.action, row.action)
        teller.note(f"{row.key:<28} {row.name or '-'!s:<34} {became}")
    return plan


def _read(workspace: Workspace, teller: Teller) -> None:
    teller.step("An application reads them: its code knows a name, and no value")
    program = (
        "from vantage_secrets import get_secret\n"
        f"value = get_secret('{KEY_NAME}')\n"
        "print('print(value) shows', value, 'and value.reveal() has', len(value.reveal()), 'characters')"
    )
    spec = workspace.manifest.find(str(KEY_NAME))
    if workspace.target(spec) and not _holds_key(workspace):
        workspace.reconcile(spec, begin=True, grace=GRACE)
        teller.note("Your file has no VANTAGE_API_KEY; one was generated for what follows")
    for line in program.splitlines()[:2]:
        teller.note(f">>> {line}")
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-c", program], cwd=workspace.manifest.path.parent, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DeliveryError("The application could not read the store.", hint=done.stderr.strip().splitlines()[-1])
    teller.note(done.stdout.strip())


def _holds_key(workspace: Workspace) -> bool:
    try:
        return bool(workspace.store.describe(KEY_NAME))
    except SecretNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class _Served:
    statuses: Counter[int]
    seconds: float
    old_key_status: int


def _rotate_under_load(workspace: Workspace, folder: Path, teller: Teller) -> tuple[_Served, SecretReading]:
    teller.step("A key rotates while four applications send events to a collector, each with X-API-Key")
    spec = workspace.manifest.find(str(KEY_NAME))
    workspace.reconcile(spec, grace=timedelta(0))  # an earlier run may have been stopped in the middle
    old = workspace.store.read(KEY_NAME)

    def tell_step(step: Step, words: str) -> None:
        teller.note(f"{step:<15} {words}")

    with _collector(folder) as port, workspace.client() as client, Load(port, client, KEY_NAME) as load_:
        time.sleep(0.5)  # load before, during and after
        report = workspace.reconcile(spec, begin=True, grace=GRACE, on_step=tell_step)
        while report.waits_until is not None:
            teller.note(f"{'':<15} old and new both work for {GRACE.total_seconds():.0f} s; the applications follow")
            time.sleep(max(0.0, (report.waits_until - workspace.clock()).total_seconds()))
            report = workspace.reconcile(spec, grace=GRACE, on_step=tell_step)
        time.sleep(0.5)
        status = send_event(http.client.HTTPConnection("127.0.0.1", port, timeout=10), old.value)
    teller.note(f"The old key at the collector's door: HTTP {status}")
    return _Served(load_.statuses, load_.seconds, status), old


@contextmanager
def _collector(folder: Path) -> Iterator[int]:
    """Run the collector as a process of its own and give its port."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        [sys.executable, "-m", "vantage_secrets.demo.collector", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.strip().isdigit():
            raise DeliveryError("The demo's collector did not start.", hint="Its own message stands above.")
        yield int(line)
    finally:
        process.communicate(timeout=10)


def _check_audit(manifest: Manifest, teller: Teller) -> str:
    teller.step("Every access is in an audit log whose records are chained and signed")
    found = verify(manifest.audit.folder, public_key=manifest.audit.public_key)
    if found.problem is not None:
        teller.note(f"BROKEN: {found.problem.text}")
        return found.problem.text
    teller.note(f"{found.records_count} records verified, {found.checkpoints_count} signed checkpoints")
    return ""


def _search(folder: Path, env_file: Path, values: list[SecretValue], teller: Teller) -> tuple[str, ...]:
    teller.step("No value lies in the clear, in any file of the folder")
    raw = [value.reveal_text().encode() for value in values]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _same(path, env_file)]
    leaks = tuple(str(path) for path in files if any(text in path.read_bytes() for text in raw))
    teller.note(
        f"Searched {len(files)} files for {len(raw)} values, old and new: found in {', '.join(leaks) or 'none'}"
    )
    return leaks


def _same(path: Path, env_file: Path) -> bool:
    return path.resolve() == env_file.resolve()


def _summarise(result: DemoResult, seconds: float, folder: Path, teller: Teller) -> None:
    rate = result.accepted_count / seconds
    lines = {
        "requests": f"{result.accepted_count:,} accepted, {result.failed_count} failed ({rate:,.0f} a second)",
        "old key": "refused" if result.old_key_status == REFUSED else f"HTTP {result.old_key_status}: NOT REFUSED",
        "audit log": "verified" if not result.audit_problem else "BROKEN",
        "values in the clear": "none" if not result.leak_paths else ", ".join(result.leak_paths),
    }
    teller.summary("The demo went well." if result.is_good else "The demo found a fault.", lines, good=result.is_good)
    command = Path(sys.argv[0])
    shown = command if command.name == "vantage-secrets" else "vantage-secrets"
    print(f"\nGo on in {folder}/:")
    for words in ("status", "history vantage/api-key", "audit tail", "rotate vantage/api-key --grace 1m --watch"):
        print(f"  {shown} --manifest {folder / FILE_NAME} {words}")
