"""Settings become objects here: the only module that knows all classes.

It is longer than the others for that reason: what is made out of what stands in one place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vantage_secrets.audit.event import Action
from vantage_secrets.audit.place import here
from vantage_secrets.audited_store import AuditedStore, Recorder
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    InvalidInputError,
    RotationError,
    StoreError,
    TargetError,
    UnsupportedOperationError,
)
from vantage_secrets.manifest import FILE_NAME, Manifest, SecretSpec, TargetSettings, find_manifest, load
from vantage_secrets.manifest.fields import TARGET_KINDS
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.registry import open_store

if TYPE_CHECKING:
    from vantage_secrets.audit.collection import Collection
    from vantage_secrets.audit.log import AuditLog
    from vantage_secrets.client import SecretClient
    from vantage_secrets.credential import Credential
    from vantage_secrets.database import Database
    from vantage_secrets.leaks.finding import Coverage
    from vantage_secrets.leaks.fingerprint import FingerprintKey
    from vantage_secrets.leaks.known import FingerprintBook, KnownValues, RotationMemory
    from vantage_secrets.leaks.sources.clickhouse import ClickHouseSource
    from vantage_secrets.leaks.sources.kafka import KafkaSource
    from vantage_secrets.receipts import ReceiptBook
    from vantage_secrets.rotation.rotator import RotationReport, Rotator, StepListener
    from vantage_secrets.rotation.sightings import Sightings
    from vantage_secrets.targets.contract import Target

STATE_FOLDER = ".vantage-secrets"
"""Folder beside the manifest that the embedded store, its key and the audit log are made in."""


class Workspace:
    """Everything that one manifest describes, each part opened when it is first used.

    Args:
        manifest: What the manifest says.
        actor: In whose name events are written; by default this process's user.
        why: The reason that stands in each event, such as the command's words.
        clock: The present.
        prompt: Asks a person for the store's passphrase, where one can be asked.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        actor: str | None = None,
        why: str = "",
        clock: Clock = utc_now,
        prompt: Callable[[], str] | None = None,
    ) -> None:
        """Open nothing yet."""
        self._prompt = prompt
        self.manifest = manifest
        self.clock = clock
        self._actor = actor or here()[0]
        self._why = why
        self._targets: dict[str, Target | None] = {}

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log that the manifest names."""
        from vantage_secrets.audit.log import AuditLog

        settings = self.manifest.audit
        return AuditLog(
            settings.folder,
            on_unwritable=settings.on_unwritable,
            spool=settings.spool,
            segment_bytes=settings.segment_bytes,
            clock=self.clock,
        )

    def collect_spool(self) -> Collection:
        """Bring the events of processes that could not write the log into it.

        Raises:
            AuditUnwritableError: The log cannot be written from here either.
            AuditError: The spool cannot be read.
        """
        from vantage_secrets.audit.collection import collect_spool

        return collect_spool(self.audit, self.manifest.audit.spool, clock=self.clock)

    @cached_property
    def recorder(self) -> Recorder:
        """Writes events in this workspace's name."""
        return Recorder(self.audit, actor=self._actor, why=self._why, clock=self.clock)

    @cached_property
    def store(self) -> Store:
        """The manifest's store, every access on record.

        Raises:
            StoreError: It cannot be opened.
        """
        return AuditedStore(self._open_bare(self.manifest.store.url), self.recorder, lambda: self._memory)

    @cached_property
    def _memory(self) -> RotationMemory:
        """Keeps fingerprints of values that come and go in the manifest's store."""
        from vantage_secrets.leaks.fingerprint import load_key
        from vantage_secrets.leaks.known import RotationMemory

        return RotationMemory(lambda: load_key(None, os.environ), self._fingerprints)

    def _fingerprints(self, key: FingerprintKey) -> FingerprintBook:
        from vantage_secrets.leaks.known import FingerprintBook

        return FingerprintBook(self.database, key, clock=self.clock)

    def known_values(self, coverage: Coverage, key: FingerprintKey) -> KnownValues:
        """Return all that tells our own values where a scan finds them; each read of the store is on record.

        What was read is remembered for the time when it cannot be read any more.

        Args:
            coverage: Told what was read and what could not be.
            key: Under which key values are remembered.

        Raises:
            StoreError: The store cannot be opened.
            MissingExtraError: ``hyperscan`` is not installed.
        """
        from vantage_secrets.leaks.known import collect

        return collect(self.store, self._fingerprints, key=key, secrets=self.manifest.secrets, coverage=coverage)

    def clickhouse_logs(self, target: str, *, since: float | None = None) -> ClickHouseSource:
        """Return the logs of a ClickHouse that the manifest names, for a scan, read as its administrator.

        Args:
            target: Name of its table ``[targets.NAME]``.
            since: Seconds since 1970-01-01 UTC; older rows are left out.

        Raises:
            InvalidInputError: The manifest has no such target.
        """
        from vantage_secrets.leaks.sources.clickhouse import ClickHouseSource

        settings = self._target_settings(target, "clickhouse")
        return ClickHouseSource(settings, lambda: self._administrator(settings), since=since)

    def kafka_topics(self, target: str, topics: Sequence[str] = (), *, since: float | None = None) -> KafkaSource:
        """Return topics of a Kafka that the manifest names, for a scan, read as its administrator.

        Args:
            target: Name of its table ``[targets.NAME]``.
            topics: Names or patterns; by default all but Kafka's own.
            since: Seconds since 1970-01-01 UTC; older records are left out.

        Raises:
            InvalidInputError: The manifest has no such target.
            MissingExtraError: The Kafka client is not installed.
        """
        from vantage_secrets.leaks.sources.kafka import KafkaSource

        settings = self._target_settings(target, "kafka")
        return KafkaSource(settings, lambda: self._administrator(settings), topics, since=since)

    def _target_settings(self, name: str, kind: str) -> TargetSettings:
        settings = self.manifest.targets.get(name)
        if settings is None or settings.kind != kind:
            fitting = sorted(each for each, one in self.manifest.targets.items() if one.kind == kind)
            raise InvalidInputError(
                f"The manifest has no target '{name}' of kind {kind}.",
                hint=f"It has: {', '.join(fitting)}." if fitting else f"Write one under [targets.{name}].",
            )
        return settings

    def open_store(self, url: str) -> Store:
        """Return any store, every access on record; for one that is not the manifest's own, its key comes by URL.

        Raises:
            InvalidURLError: The URL cannot be understood.
            StoreError: The store cannot be opened.
        """
        return AuditedStore(self._open_bare(url), self.recorder)

    def _open_bare(self, url: str) -> Store:
        settings = self.manifest.store
        options = {}
        if url == settings.url:
            files = {"key_file": settings.key_file, "passphrase_file": settings.passphrase_file}
            options = {key: str(path) for key, path in files.items() if path is not None}
        return open_store(url, environment=self.manifest.environment, options=options, prompt=self._prompt)

    def rotate_store_key(
        self,
        *,
        key_source: str | None = None,
        key_file: Path | None = None,
        passphrase: Callable[[], str] | None = None,
    ) -> str:
        """Replace the embedded store's key-encryption key, on record, and return the id of the new one.

        Raises:
            UnsupportedOperationError: The manifest's store is not an embedded one.
            EncryptionKeyError: The new key cannot be made, or kept where it should be.
            StoreError: The store failed; it opens with the key that it had.
        """
        from vantage_secrets.stores.embedded import EmbeddedStore

        with self._open_bare(self.manifest.store.url) as store:
            if not isinstance(store, EmbeddedStore):
                raise UnsupportedOperationError(f"The key of {store.url} is not ours to replace.")
            return self.recorder.during(
                Action.KEY_ROTATE,
                store.url,
                lambda: store.rotate_key(key_source=key_source, key_file=key_file, passphrase=passphrase),
            )

    def target(self, spec: SecretSpec) -> Target | None:
        """Return the target that serves the secret, or ``None`` when nothing here can change it.

        Raises:
            MissingExtraError: The target's client is not installed.
            TargetError: It cannot be reached.
        """
        if spec.key not in self._targets:
            self._targets[spec.key] = self._open_target(spec)
        return self._targets[spec.key]

    def _open_target(self, spec: SecretSpec) -> Target | None:
        if spec.kind in TARGET_KINDS and spec.target is None:
            return None  # nothing says where it opens the door
        from vantage_secrets.targets.contract import TargetContext
        from vantage_secrets.targets.registry import open_target

        settings = None if spec.target is None else self.manifest.targets[spec.target]
        return open_target(
            TargetContext(
                spec=spec,
                settings=settings,
                database=lambda: self.database,
                administrator=lambda: self._administrator(settings),
                clock=self.clock,
            )
        )

    def _administrator(self, settings: TargetSettings | None) -> Credential:
        """Return the login that may change credentials at a target; its password is read from the store, on record.

        Raises:
            RotationError: The manifest names no such login.
            StoreError: The store does not return its password.
        """
        from vantage_secrets.credential import Credential

        if settings is None or not settings.values.get("admin_secret"):
            name = settings.name if settings else "NAME"
            raise RotationError(
                f"No secret holds the password of the administrator of target '{name}'.",
                hint=f"Write admin_secret under [targets.{name}], then: vantage-secrets set NAME",
            )
        value = self.store.read(SecretName(settings.text("admin_secret"))).value
        return Credential.of(value, account=settings.text("admin_user"))

    @cached_property
    def database(self) -> Database:
        """The control database that the manifest names.

        Raises:
            DatabaseError: It cannot be opened.
        """
        from vantage_secrets.database import Database

        return Database(self.manifest.database.url)

    def rotator(self, spec: SecretSpec) -> Rotator:
        """Return what rotates this secret, without the lock that keeps two runs apart.

        Raises:
            RotationError: Nothing here can change it at its target.
        """
        from vantage_secrets.receipts import Receipts
        from vantage_secrets.rotation.rotator import Rotator

        target = self.target(spec)
        if target is None:
            raise RotationError(
                f"'{spec.key}' is of kind '{spec.kind}', and nothing here can change it at its target.",
                hint=_hint_without_target(spec),
            )
        receipts = Receipts(self.database)
        return Rotator(self.store, target, self.recorder, receipts=receipts, clock=self.clock)

    def reconcile(
        self,
        spec: SecretSpec,
        *,
        begin: bool = False,
        grace: timedelta | None = None,
        on_step: StepListener | None = None,
    ) -> RotationReport:
        """Do the next steps of this secret's rotation, as far as it goes now: what every driver calls.

        Safe to call at any time, from anywhere, twice at once: one run works and the other waits for it.

        Args:
            spec: The secret.
            begin: Whether a rotation begins when none is under way. One that another run has just begun is
                joined instead.
            grace: How long the old credential goes on working; the manifest's by default.
            on_step: Told each step.

        Raises:
            RotationError: ``begin`` was asked for, and nothing here can change the secret at its target.
            StoreError: The store failed; run again.
            TargetError: The target failed or refused; run again.
            DatabaseError: The control database failed, or another run holds the secret for too long.
        """
        if begin:
            self.rotator(spec)  # what nothing here can rotate is no failure of its rotation
        asked_at = self.clock()
        with self.database.lock(f"rotation {spec.name}") as had_to_wait:
            try:
                report = self._reconcile(spec, asked_at if had_to_wait else None, begin, grace, on_step)
            except (StoreError, TargetError, RotationError):
                self._sightings.note_failure(spec.name, now=self.clock())
                raise
            begun = "create" in report.steps
            self._sightings.note(
                spec.name, report.situation, now=self.clock(), begun=begun, retry_at=report.look_again_at
            )
            return report

    @property
    def _sightings(self) -> Sightings:
        from vantage_secrets.rotation.sightings import Sightings

        return Sightings(self.database)

    def _reconcile(
        self,
        spec: SecretSpec,
        waited_since: datetime | None,
        begin: bool,
        grace: timedelta | None,
        on_step: StepListener | None,
    ) -> RotationReport:
        from vantage_secrets.rotation.convergence import OverlapRules

        overlap = OverlapRules.of(spec, grace=grace)
        if not begin and self.target(spec) is None:
            from vantage_secrets.rotation.introduction import finish_without_target

            return finish_without_target(self.store, spec.name, grace=overlap.grace, now=self.clock(), on_step=on_step)
        rotator = self.rotator(spec)
        if begin and waited_since is not None:
            current = rotator.situation(spec.name).current
            # The run that was waited for has just done what is asked for here.
            begin = current is None or current.created_at < waited_since
        run = rotator.rotate if begin else rotator.reconcile
        return run(spec.name, overlap=overlap, on_step=on_step)

    def introduce(self, spec: SecretSpec, value: SecretValue) -> SecretVersion:
        """Make a value that a person brings current: through its target where one serves it.

        Without a target it is written and promoted, and it is the person's part that the target knows it.

        Raises:
            PendingVersionExistsError: A rotation is under way.
            RotationError: The overlap of the last rotation is not over yet.
            StoreError: The store failed.
            DatabaseError: The control database failed, or another run holds the secret for too long.
        """
        from vantage_secrets.rotation.convergence import OverlapRules
        from vantage_secrets.rotation.introduction import introduce_without_target
        from vantage_secrets.rotation.steps import Situation

        with self.database.lock(f"rotation {spec.name}"):
            if self.target(spec) is None:
                version = introduce_without_target(self.store, spec.name, value)
            else:
                version = self.rotator(spec).introduce(spec.name, value, overlap=OverlapRules.of(spec))
            self._sightings.note_looks({spec.name: Situation.of(self.store.describe(spec.name))}, now=self.clock())
            return version

    def abandon(self, spec: SecretSpec) -> SecretVersion | None:
        """Give up a rotation of this secret that is not promoted yet; return the version that was given up.

        Raises:
            RotationError: Nothing here can change it at its target.
            StoreError: The store failed; run again.
            TargetError: The target failed; run again.
            DatabaseError: The control database failed, or another run holds the secret for too long.
        """
        with self.database.lock(f"rotation {spec.name}"):
            return self.rotator(spec).abandon(spec.name)

    def client(self, *, consumer: str = "") -> SecretClient:
        """Return a new client over this workspace's store, which leaves receipts in the control database.

        Args:
            consumer: Which of the manifest's consumers this process is, where ``VANTAGE_SECRETS_SERVICE`` does not
                say so; else it is called by its program's name.
        """
        from vantage_secrets.client import SecretClient
        from vantage_secrets.receipts import service_name

        settings = self.manifest.client
        return SecretClient(
            self.store,
            aliases={spec.key: spec.name for spec in self.manifest.secrets},
            accounts={spec.name: spec.account for spec in self.manifest.secrets},
            receipts=self.receipt_book(service_name(consumer)),
            grace={spec.name: spec.grace for spec in self.manifest.secrets},
            refresh_interval=settings.refresh_interval,
            max_stale=settings.max_stale,
            clock=self.clock,
        )

    def receipt_book(
        self, service: str, *, instance: Callable[[], str] | None = None, background: bool = True
    ) -> ReceiptBook:
        """Return a new book that writes to the control database; nothing is opened before there is a receipt.

        Args:
            service: Which consumer it speaks for.
            instance: Returns the name of the process that it speaks for; this one's by default.
            background: Whether a daemon thread writes.
        """
        from vantage_secrets.receipts import ReceiptBook, instance_name

        url = self.manifest.database.url

        def open_database() -> Database:
            from vantage_secrets.database import Database

            return Database(url)  # the book's own: it outlives this workspace, and is another one after a fork

        return ReceiptBook(
            open_database,
            service=service,
            instance=instance or instance_name,
            clock=self.clock,
            background=background,
        )

    def close(self) -> None:
        """Close what was opened. Safe to repeat."""
        for target in self._targets.values():
            if target is not None:
                target.close()
        self._targets.clear()
        opened = self.__dict__
        for part in ("database", "store", "audit"):  # the store first: its last access belongs on record
            if part in opened:
                opened.pop(part).close()
        for part in ("recorder", "_memory"):
            opened.pop(part, None)


def _hint_without_target(spec: SecretSpec) -> str:
    by_hand = f"hange it at its target by hand, then: vantage-secrets set {spec.key}"
    kind = TARGET_KINDS.get(spec.kind)
    return f"Write [targets.{kind}] into the manifest. Or c{by_hand}" if kind else f"C{by_hand}"


def open_workspace(
    manifest_path: Path | None = None,
    *,
    actor: str | None = None,
    why: str = "",
    clock: Clock = utc_now,
    prompt: Callable[[], str] | None = None,
) -> Workspace:
    """Return the workspace of a manifest: the given one, ``VANTAGE_SECRETS_MANIFEST``, or the nearest one above here.

    Raises:
        ManifestNotFoundError: There is none.
        ManifestError: It has a mistake.
    """
    return Workspace(load(manifest_path or find_manifest()), actor=actor, why=why, clock=clock, prompt=prompt)


_default_lock = threading.Lock()
_default_client: SecretClient | None = None


def default_client() -> SecretClient:
    """Return the process's own client, made from the nearest manifest when it is first asked for.

    Raises:
        ManifestError: There is no manifest, or it has a mistake.
        StoreError: The store cannot be opened.
    """
    global _default_client
    with _default_lock:
        if _default_client is None or _default_client.is_closed:
            _default_client = open_workspace(why="client").client()
        return _default_client


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it; that thread is not in the child to let it go.
    global _default_lock
    _default_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)


def initialise(
    folder: Path,
    *,
    environment: str,
    store_url: str | None = None,
    key_source: str = "file",
    passphrase: Callable[[], str] | None = None,
) -> Manifest:
    """Make a manifest, an embedded store with its key, and an audit log in ``folder``, and return the manifest.

    Args:
        folder: Where the manifest goes; the rest goes into ``.vantage-secrets/`` below it.
        environment: Which environment's secrets these are, such as ``production``.
        store_url: A store that there is already, such as ``vault://…``; no embedded one is made then.
        key_source: Where the key-encryption key is kept: ``file``, ``keyring`` or ``passphrase``.
        passphrase: Asks for what the key is derived from, with ``passphrase``.

    Raises:
        InvalidInputError: There is a manifest already, or the environment is not a name.
        StoreError: The store cannot be made.
    """
    from vantage_secrets.audit.signing_key import create_signing_key
    from vantage_secrets.manifest import parse, render_default

    path = folder / FILE_NAME
    if path.exists():
        raise InvalidInputError(f"'{path}' exists already.", hint="Edit it, or run 'vantage-secrets init' elsewhere.")
    state = folder / STATE_FOLDER
    if (state / "secrets.db").exists():
        raise InvalidInputError(
            f"There is a store in '{state}', and no manifest for it.",
            hint=f"Bring {FILE_NAME} back, or move '{state}' away and run 'vantage-secrets init' again.",
        )
    key_file = f"{STATE_FOLDER}/key" if key_source == "file" and store_url is None else None

    def text(public_key: str | None) -> str:
        url = store_url or f"embedded:{STATE_FOLDER}/secrets.db"
        return render_default(environment=environment, store_url=url, key_file=key_file, audit_public_key=public_key)

    parse(text(None), path)  # a mistake in the environment's name is found before anything is made
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / ".gitignore").write_text("*\n")
    if store_url is None:
        from vantage_secrets.stores.embedded import create_embedded

        create_embedded(
            state / "secrets.db",
            environment=environment,
            key_source=key_source,
            key_file=folder / key_file if key_file else None,
            passphrase=passphrase,
        ).close()
    public_key = create_signing_key(state / "audit")  # after the store: what can fail comes first
    path.write_text(text(public_key))  # last: a manifest that is there means that all of it is there
    return load(path)
