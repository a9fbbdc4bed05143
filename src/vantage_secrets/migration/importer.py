"""Brings the secrets of a ``.env`` file into the store: plan, write, read back, say what is left to do.

Nothing is remembered between two runs. A plan looks at what the store holds now, so running again after an
interruption finishes the work, and a value that is current already is not written again.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from vantage_secrets.errors import (
    NameCollisionError,
    RotationError,
    SecretNotFoundError,
    StoreIntegrityError,
    TargetError,
    VantageSecretsError,
    VersionConflictError,
    VersionRetiredError,
)
from vantage_secrets.manifest import Manifest, SecretSpec, add_secret, load
from vantage_secrets.migration.dotenv import DotenvEntry
from vantage_secrets.migration.recognition import looks_secret, proposed_name
from vantage_secrets.secret import NameMap, SecretName, SecretReading, SecretValue, SecretVersion, Spelling, Stage
from vantage_secrets.stores.contract import Store

Introduce = Callable[[SecretSpec, SecretValue], SecretVersion]
"""Makes a value current, through the secret's target where it has one, and returns the version."""


class ImportAction(StrEnum):
    """What a run will do with one variable."""

    CREATE = "create"
    """The store does not have the secret."""
    REPLACE = "replace"
    """The store has another value; written only when the run is told to replace."""
    FINISH = "finish"
    """An interrupted run left this very value pending; it is promoted."""
    UNCHANGED = "unchanged"
    """The store has this value; nothing is written."""
    OUTDATED = "outdated"
    """The store has a newer value, and this one is its previous; never written."""
    PENDING = "pending"
    """A rotation with another value is under way; refused."""
    COLLISION = "collision"
    """The name that follows from the variable is taken; left in the file."""
    EMPTY = "empty"
    """The variable has no value; skipped."""
    CONFIGURATION = "configuration"
    """The manifest does not know it and it does not look like a secret; left in the file."""


_OF_ONE_ROW = (VersionConflictError, VersionRetiredError, RotationError, TargetError)
"""Errors that say something about one secret; after any other there is no use in going on."""

_WRITTEN = (ImportAction.CREATE, ImportAction.REPLACE, ImportAction.FINISH)
_IN_STORE = (*_WRITTEN, ImportAction.UNCHANGED, ImportAction.OUTDATED)


@dataclass(frozen=True, slots=True)
class ImportRow:
    """What a run will do with one variable, and why.

    Attributes:
        key: The variable.
        line: Its line in the file.
        action: What will be done.
        spec: The secret; ``None`` for what is left in the file.
        value: Its value; ``None`` when it is empty.
        is_new: Whether the manifest does not have the secret yet and it will be added, as ``static``.
        current: Id of the version that was current when the plan was made, or ``None``.
        pending: Id of the version that was pending then, or ``None``.
        note: A reason in words, or empty.
    """

    key: str
    line: int
    action: ImportAction
    spec: SecretSpec | None = None
    value: SecretValue | None = None
    is_new: bool = False
    current: str | None = None
    pending: str | None = None
    note: str = ""

    @property
    def name(self) -> SecretName | None:
        """The secret's canonical name, where it is to be one."""
        return None if self.spec is None else self.spec.name


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What a run will do; made from what the store held at that moment.

    Attributes:
        manifest: The manifest that the plan follows.
        rows: One for each variable, in the file's order.
        missing: Secrets that the platform needs and neither the file nor the store has.
        run_id: Makes every write of this plan one write, however often it is run.
    """

    manifest: Manifest
    rows: tuple[ImportRow, ...]
    missing: tuple[SecretSpec, ...]
    run_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def additions(self) -> tuple[SecretSpec, ...]:
        """The secrets that will be added to the manifest."""
        return tuple(row.spec for row in self.rows if row.is_new and row.spec is not None)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one row: the version that was read back and compared, or the error, or neither when skipped."""

    row: ImportRow
    version: SecretVersion | None = None
    error: VantageSecretsError | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What a run did.

    Attributes:
        outcomes: One for each row of the plan, in its order.
        left_to_do: Sentences for a person, the most urgent first.
    """

    outcomes: tuple[ImportOutcome, ...]
    left_to_do: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every secret of the file that should be in the store is there."""
        settled = (ImportAction.UNCHANGED, ImportAction.OUTDATED, ImportAction.EMPTY, ImportAction.CONFIGURATION)
        return all(outcome.version is not None or outcome.row.action in settled for outcome in self.outcomes)


def plan_import(
    entries: Iterable[DotenvEntry],
    manifest: Manifest,
    store: Store,
    *,
    include: Collection[str] = (),
    exclude: Collection[str] = (),
) -> ImportPlan:
    """Return what a run would do. Reads the store, changes nothing.

    Args:
        entries: What the file sets.
        manifest: Which secrets there are.
        store: Where they go.
        include: Variables that are secrets although they do not look like it.
        exclude: Variables that stay in the file although they look like secrets.

    Raises:
        StoreError: The store could not be read.
    """
    rows: list[ImportRow] = []
    specs = {spec.key: spec for spec in manifest.secrets}
    for entry in entries:
        spec = specs.get(entry.key)
        if entry.key in exclude:
            rows.append(ImportRow(entry.key, entry.line, ImportAction.CONFIGURATION, note="left out as asked"))
        elif spec is not None:
            rows.append(_row(entry, spec, store))
        elif entry.key in include or looks_secret(entry.key, entry.value):
            added = _new_row(entry, specs, store)
            rows.append(added)
            if added.spec is not None:
                specs[entry.key] = added.spec
        else:
            rows.append(ImportRow(entry.key, entry.line, ImportAction.CONFIGURATION))
    # What a target asks its administrator for must be in the store before a credential goes through that target.
    administrators = {target.values.get("admin_secret") for target in manifest.targets.values()}
    rows.sort(key=lambda row: row.spec is None or str(row.spec.name) not in administrators)
    brought = {row.key for row in rows if row.action in _IN_STORE}
    absent = [spec for spec in manifest.required_secrets() if spec.key not in brought]
    missing = tuple(spec for spec in absent if Stage.CURRENT not in _stages(store, spec.name))
    return ImportPlan(manifest, tuple(rows), missing)


def run_import(
    plan: ImportPlan,
    store: Store,
    *,
    replace: bool = False,
    introduce: Introduce | None = None,
    on_progress: Callable[[ImportOutcome], None] | None = None,
) -> ImportResult:
    """Carry ``plan`` out: each value is written, promoted with compare-and-set, read back and compared.

    New secrets are added to the manifest's file first, so that none is in the store without being known. Safe to
    repeat, with this plan or a new one; a rival that was first is reported in that row, and the others go on.

    Args:
        plan: What to do.
        store: The store that the plan was made from.
        replace: Whether rows with ``REPLACE`` are written; otherwise they are skipped and said to be left to do.
        introduce: Makes a value current instead of stage and promote, such as through the secret's target.
        on_progress: Told each row when it is done.

    Raises:
        ManifestError: A new secret cannot be added to the manifest; nothing was written to the store.
        StoreIntegrityError: What came back is not what was written.
        StoreError: The store failed; what was written before stays, and running again finishes.
    """
    for spec in plan.additions:
        _add_to_manifest(plan.manifest, spec)
    outcomes: list[ImportOutcome] = []
    for row in plan.rows:
        outcome = _run_row(row, store, replace, introduce, token=f"import-{plan.run_id}")
        outcomes.append(outcome)
        if on_progress is not None:
            on_progress(outcome)
    return ImportResult(tuple(outcomes), tuple(_left_to_do(plan, outcomes)))


def _row(entry: DotenvEntry, spec: SecretSpec, store: Store, *, is_new: bool = False) -> ImportRow:
    if entry.value is None:
        return ImportRow(entry.key, entry.line, ImportAction.EMPTY, None if is_new else spec)
    versions = _stages(store, spec.name)
    action = _action(entry.value, {stage: store.read(spec.name, stage=stage) for stage in versions})
    current, pending = (versions[stage].id if stage in versions else None for stage in (Stage.CURRENT, Stage.PENDING))
    return ImportRow(entry.key, entry.line, action, spec, entry.value, is_new, current, pending)


def _new_row(entry: DotenvEntry, specs: dict[str, SecretSpec], store: Store) -> ImportRow:
    """Return the row of a variable that the manifest does not know, as a secret of kind ``static``."""
    name = proposed_name(entry.key)
    taken = None if name is None else _rival(name, specs.values())
    if name is None or taken is not None:
        note = f"'{name}' would be written like '{taken}'" if name else "no secret name follows from the variable"
        return ImportRow(entry.key, entry.line, ImportAction.COLLISION, note=note)
    spec = SecretSpec(
        key=entry.key,
        name=name,
        kind="static",
        purpose="Imported from a .env file",
        owner="unassigned",
        consumers=(),
        max_age=timedelta(days=90),
        grace=timedelta(hours=24),
        required=False,
        feature=None,
    )
    return _row(entry, spec, store, is_new=True)


def _rival(name: SecretName, specs: Collection[SecretSpec]) -> SecretName | None:
    """Return the name that some place would write like ``name``."""
    for spec in specs:
        try:
            NameMap((name, spec.name), Spelling.AZURE)
        except NameCollisionError:
            return spec.name
        if name == spec.name:
            return spec.name
    return None


def _stages(store: Store, name: SecretName) -> dict[Stage, SecretVersion]:
    """Return the version in each stage that can be read; empty when the store does not have the secret."""
    try:
        versions = store.describe(name)
    except SecretNotFoundError:
        return {}
    return {version.stage: version for version in versions if version.stage is not Stage.RETIRED}


def _action(value: SecretValue, standing: dict[Stage, SecretReading]) -> ImportAction:
    if Stage.CURRENT in standing and standing[Stage.CURRENT].value == value:
        return ImportAction.UNCHANGED
    if Stage.PENDING in standing:
        return ImportAction.FINISH if standing[Stage.PENDING].value == value else ImportAction.PENDING
    # An old file must not bring a credential back that a rotation has just replaced.
    if Stage.PREVIOUS in standing and standing[Stage.PREVIOUS].value == value:
        return ImportAction.OUTDATED
    return ImportAction.REPLACE if Stage.CURRENT in standing else ImportAction.CREATE


def _add_to_manifest(manifest: Manifest, spec: SecretSpec) -> None:
    if spec.key not in {known.key for known in load(manifest.path).secrets}:  # A run of this plan may have added it.
        add_secret(manifest.path, spec)


def _run_row(row: ImportRow, store: Store, replace: bool, introduce: Introduce | None, *, token: str) -> ImportOutcome:
    spec, value = row.spec, row.value
    if row.action not in _WRITTEN or spec is None or value is None:
        return ImportOutcome(row)
    if row.action is ImportAction.REPLACE and not replace:
        return ImportOutcome(row)

    def write() -> SecretVersion:
        if introduce is not None:
            return introduce(spec, value)
        return _stage_and_promote(row, spec.name, value, store, token)

    return _carry_out(row, spec, value, write, store)


def _carry_out(
    row: ImportRow, spec: SecretSpec, value: SecretValue, write: Callable[[], SecretVersion], store: Store
) -> ImportOutcome:
    try:
        reading = _written_and_read(spec.name, write, store)
    except _OF_ONE_ROW as exc:
        return ImportOutcome(row, error=exc)
    if reading.value != value:
        raise StoreIntegrityError(f"'{spec.name}' was written, but what came back is not what was written.")
    return ImportOutcome(row, reading.version)


def _written_and_read(name: SecretName, write: Callable[[], SecretVersion], store: Store) -> SecretReading:
    written = write()
    reading = store.read(name)
    if reading.version.id != written.id:
        raise VersionConflictError(f"Another writer changed '{name}' right after it was written.")
    return reading


def _stage_and_promote(row: ImportRow, name: SecretName, value: SecretValue, store: Store, token: str) -> SecretVersion:
    if row.action is ImportAction.FINISH and row.pending is not None:
        return store.promote(name, row.pending, expect_current=row.current)
    version = store.stage(name, value, token)
    try:
        return store.promote(name, version.id, expect_current=row.current)
    except VersionConflictError:
        # What lost must not look like a rotation under way. It may be current by now: then retiring is refused.
        with contextlib.suppress(VersionConflictError):
            store.retire(name, version.id)
        raise


def _left_to_do(plan: ImportPlan, outcomes: list[ImportOutcome]) -> Iterator[str]:
    """Yield what a person has to do now, the most urgent first."""
    for outcome in outcomes:
        yield from _left_of(outcome)
    empty = {row.key for row in plan.rows if row.action is ImportAction.EMPTY}
    for spec in plan.missing:
        where = "is empty in the file" if spec.key in empty else "is not in the file"
        yield f"{spec.key} is required, {where} and is not in the store: vantage-secrets set {spec.key}"
    added = ", ".join(spec.key for spec in plan.additions)
    if added:
        yield f"Say in {plan.manifest.path.name} who owns and who reads what was added as static: {added}"
    settled = [
        o.row
        for o in outcomes
        if o.version is not None or o.row.action in (ImportAction.UNCHANGED, ImportAction.OUTDATED)
    ]
    if not settled:
        return
    consumers = sorted({consumer for row in settled if row.spec is not None for consumer in row.spec.consumers})
    if consumers:
        yield f"Restart {', '.join(consumers)} so that they read from the store: vantage-secrets run -- COMMAND"
    yield f"Then remove from the .env file on every machine: {', '.join(row.key for row in settled)}"
    yield "If the file was ever committed, its history still has the values: rotate them, then clean the history."


def _left_of(outcome: ImportOutcome) -> Iterator[str]:
    row = outcome.row
    if outcome.error is not None:
        yield f"{row.key} was not imported: {outcome.error.message} {outcome.error.hint}"
    elif row.action is ImportAction.PENDING:
        yield f"{row.key} was not imported, its rotation is under way: vantage-secrets rotate {row.key}"
    elif row.action is ImportAction.REPLACE and outcome.version is None:
        yield f"{row.key} was not imported, the store has another value; to overwrite it, import with --replace."
    elif row.action is ImportAction.COLLISION:
        yield f"{row.key} was not imported, {row.note}: add it to the manifest under a name of its own."
