"""A manifest's text becomes a :class:`Manifest`, or one error that names every mistake with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from vantage_secrets.clock import parse_duration
from vantage_secrets.errors import ManifestError, ManifestNotFoundError, NameCollisionError
from vantage_secrets.manifest.checking import FORMS, allowed, hint_for, is_text, kind_of, label, matches, shown
from vantage_secrets.manifest.fields import (
    KEY_PATTERN,
    SECRET,
    TABLES,
    TARGET_KINDS,
    TARGETS,
    TOP,
    Field,
    Shape,
)
from vantage_secrets.manifest.locator import KeyPath, line_of, locate
from vantage_secrets.manifest.model import (
    FILE_NAME,
    AuditSettings,
    ClientSettings,
    DatabaseSettings,
    Manifest,
    NotificationSettings,
    ScheduleSettings,
    SecretSpec,
    StoreSettings,
    TargetSettings,
)
from vantage_secrets.secret import NameMap, SecretName, Spelling

VARIABLE = "VANTAGE_SECRETS_MANIFEST"
"""Environment variable that names the manifest."""

_MISTAKES_SHOWN = 20
_KEY_FORM = "Write letters, digits and underscores, the first one no digit, as in [secrets.VANTAGE_API_KEY]."
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class _Mistake(NamedTuple):
    path: KeyPath
    found: str
    hint: str


def find_manifest(start: Path | None = None) -> Path:
    """Return the manifest that is meant: the one that ``VANTAGE_SECRETS_MANIFEST`` names, or the nearest one.

    Args:
        start: Folder to begin at; the working folder when left out. Folders above are looked through up to the root.

    Raises:
        ManifestNotFoundError: The variable names no file, or no folder up to the root has a ``vantage-secrets.toml``.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if Path(named).is_file():
            return Path(named)
        raise ManifestNotFoundError(f"{VARIABLE} names '{named}', and there is no such file.")
    folder = Path.cwd() if start is None else start.absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE_NAME).is_file():
            return candidate / FILE_NAME
    raise ManifestNotFoundError(f"There is no {FILE_NAME} in '{folder}' or a folder above it.")


def load(path: Path) -> Manifest:
    """Return the manifest in ``path``, checked; relative paths in it count from its own folder.

    Raises:
        ManifestNotFoundError: There is no such file.
        ManifestError: The file cannot be read, is not TOML or has mistakes; the message lists each with its line,
            what was found and what is allowed, and never what could be a secret's value.
    """
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> Manifest:
    """Return the manifest that ``text`` says, as if ``path`` held it; ``path`` need not exist.

    Raises:
        ManifestError: As :func:`load`.
    """
    document = _parse_toml(text, path)
    reader = _Reader()
    manifest = reader.manifest(document, path)
    if reader.mistakes or manifest is None:
        raise _as_error(reader.mistakes, text, path)
    return manifest


def read_text(path: Path) -> str:
    """Return the file's text, without a byte-order mark and with its line ends as they are.

    Raises:
        ManifestNotFoundError: There is no such file.
        ManifestError: The file cannot be read, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestNotFoundError("There is no such file.", path=str(path)) from None
    except OSError as exc:
        raise ManifestError(f"The file cannot be read: {exc.strerror}.", path=str(path)) from exc
    try:
        return raw.decode("utf-8-sig")  # Editors on Windows put a byte-order mark in front.
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        # SECURITY: `from None`, because a UnicodeDecodeError carries the whole file.
        raise ManifestError(
            "This line is not UTF-8.", path=str(path), line=line, hint="Save the file as UTF-8."
        ) from None


def _parse_toml(text: str, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as exc:
        reason, place = str(exc), _AT_LINE.search(str(exc))
    except RecursionError:
        reason, place = "brackets are nested too deep", None
    line = int(place.group(1)) if place and place.group(1) else max(1, len(text.splitlines())) if place else None
    raise ManifestError(
        f"This is not TOML: {reason[: place.start()] if place else reason}.",
        path=str(path),
        line=line,
        hint='Write KEY = "text" with quotes, and each key of a table once.',
    )


def _as_error(mistakes: Sequence[_Mistake], text: str, path: Path) -> ManifestError:
    """Return one error: the first mistake of the file in front, the others below, each with its own place."""
    lines = locate(text)
    # What is missing from the top has no line of its own and belongs to the first.
    placed = sorted(((line_of(lines, mistake.path) or 1, mistake) for mistake in mistakes), key=lambda pair: pair[0])
    (line, first), rest = placed[0], placed[1:]
    words = [first.found]
    words += [f"{path}:{other}: {mistake.found} {mistake.hint}" for other, mistake in rest[:_MISTAKES_SHOWN]]
    if len(rest) > _MISTAKES_SHOWN:
        words.append(f"{len(rest) - _MISTAKES_SHOWN} more mistakes follow.")
    return ManifestError("\n".join(words), path=str(path), line=line, hint=first.hint)


class _Table(NamedTuple):
    """The values of one table after checking, defaults filled in."""

    values: Mapping[str, Any]
    folder: Path

    def text(self, key: str) -> str:
        return cast("str", self.values[key])

    def file(self, key: str) -> Path | None:
        found = self.values[key]
        return None if found is None else _absolute(found, self.folder)

    def folder_of(self, key: str) -> Path:
        return _absolute(self.text(key), self.folder)

    def length(self, key: str) -> timedelta:
        return parse_duration(self.text(key))


class _Reader:
    """Walks a parsed document by the field table and collects mistakes instead of stopping at the first."""

    def __init__(self) -> None:
        self.mistakes: list[_Mistake] = []

    def manifest(self, document: Mapping[str, Any], path: Path) -> Manifest | None:
        """Return the manifest, or ``None`` with :attr:`mistakes` filled."""
        # Not resolve(): a mounted ConfigMap is a chain of links whose inner folder disappears at the next update.
        file = Path(os.path.abspath(path))  # noqa: PTH100
        self._unknown(document, (), [*(field.name for field in TOP), *TABLES, "features", "targets", "secrets"])
        top = self._fields({key: document[key] for key in document if key in {f.name for f in TOP}}, (), TOP)
        tables = {
            name: _Table(self._fields(self._table(document, (name,)), (name,), fields), file.parent)
            for name, fields in TABLES.items()
        }
        features = self._features(self._table(document, ("features",)))
        targets = self._targets(self._table(document, ("targets",)), file.parent)
        secrets = self._secrets(self._table(document, ("secrets",)), features, targets, file.parent)
        self._check_client(tables["client"])
        self._check_timezone(tables["schedule"].text("timezone"))
        if self.mistakes:
            return None
        return Manifest(
            path=file,
            environment=top["environment"],
            store=_store(tables["store"]),
            audit=_audit(tables["audit"]),
            client=ClientSettings(tables["client"].length("refresh_interval"), tables["client"].length("max_stale")),
            database=DatabaseSettings(_absolute_sqlite(tables["database"].text("url"), file.parent)),
            schedule=_schedule(tables["schedule"]),
            notifications=NotificationSettings(
                tuple(map(SecretName, tables["notifications"].values["secrets"])),
                tables["notifications"].length("before"),
            ),
            targets={name: target for name, target in targets.items() if target is not None},
            features=frozenset(name for name, on in features.items() if on),
            secrets=secrets,
        )

    def _add(self, path: KeyPath, found: str, hint: str) -> None:
        self.mistakes.append(_Mistake(path, found, hint))

    def _table(self, document: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
        found = document.get(path[-1], {})
        if isinstance(found, dict):
            return found
        self._add(path, f"'{label(path)}' is {kind_of(found)}, and must be a table.", f"Write [{label(path)}].")
        return {}

    def _unknown(self, table: Mapping[str, Any], path: KeyPath, known: Sequence[str]) -> None:
        for key in table:
            if key not in known:
                self._add((*path, key), f"'{label((*path, key))}' is not a key.", hint_for(key, known))

    def _fields(self, table: Mapping[str, Any], path: KeyPath, fields: Sequence[Field]) -> dict[str, Any]:
        """Return every field's value: given and right, or the default; each wrong one becomes a mistake."""
        self._unknown(table, path, [field.name for field in fields])
        values: dict[str, Any] = {}
        for field in fields:
            values[field.name] = field.default
            if field.name in table:
                if self._fits(table[field.name], (*path, field.name), field):
                    values[field.name] = table[field.name]
            elif field.mandatory:
                self._add(path, f"'{label((*path, field.name))}' is missing.", allowed(field))
        return values

    def _fits(self, value: object, path: KeyPath, field: Field) -> bool:
        if matches(value, field):
            return True
        self._add(path, f"'{label(path)}' is {shown(value, field)}.", allowed(field))
        return False

    def _features(self, table: Mapping[str, Any]) -> Mapping[str, bool]:
        for name, on in table.items():
            if not is_text(name, Shape.WORD):
                self._add(("features", name), "The name of a feature is not a word.", f"Use {FORMS[Shape.WORD]}.")
            if not isinstance(on, bool):
                found = f"'{label(('features', name))}' is {kind_of(on)}."
                self._add(("features", name), found, "Write true or false, without quotes.")
        return table

    def _targets(self, table: Mapping[str, Any], folder: Path) -> dict[str, TargetSettings | None]:
        """Return each target by its name; ``None`` for one with a mistake, so that secrets may name it all the same."""
        targets: dict[str, TargetSettings | None] = {}
        for name in table:
            path = ("targets", name)
            if not is_text(name, Shape.WORD):
                self._add(path, "The name of a target is not a word.", f"Use {FORMS[Shape.WORD]}.")
            before = len(self.mistakes)
            found = self._table(table, path)
            kind = found.get("kind", name)
            if kind not in TARGETS:
                at = (*path, "kind") if "kind" in found else path
                self._add(at, f"'{label(at)}' is of no kind of target.", f"Write kind = one of: {', '.join(TARGETS)}.")
            else:
                fields = {key: value for key, value in found.items() if key != "kind"}
                values = self._fields(fields, path, TARGETS[kind])
            targets[name] = (
                TargetSettings(name, kind, _converted(values, TARGETS[kind], folder))
                if (len(self.mistakes) == before)
                else None
            )
        return targets

    def _target_of(self, key: str, table: _Table, targets: Mapping[str, TargetSettings | None]) -> str | None:
        """Return the name of the target that serves the secret, or ``None``; a wrong one becomes a mistake."""
        kind, named = TARGET_KINDS.get(table.text("kind")), table.values["target"]
        path = ("secrets", key, "target")
        if kind is None:
            if named is not None:
                self._add(path, f"A secret of kind '{table.text('kind')}' has no target.", "Leave 'target' out.")
            return None
        name = named or kind
        if name not in targets:
            if named is not None:
                self._add(path, f"'{label(path)}' names a target that is not there.", f"Write [targets.{named}].")
            return None
        found = targets[name]
        if found is not None and found.kind != kind:
            self._add(path, f"'{name}' is of kind '{found.kind}'.", f"Name a target of kind '{kind}'.")
        if not table.values["account"] and kind != "command":
            words = f"'{label(('secrets', key, 'account'))}' is missing: target '{name}' serves this secret."
            self._add(("secrets", key), words, 'Write account = "NAME", the user at the target.')
        return name

    def _secrets(
        self,
        table: Mapping[str, Any],
        features: Mapping[str, bool],
        targets: Mapping[str, TargetSettings | None],
        folder: Path,
    ) -> tuple[SecretSpec, ...]:
        specs: list[SecretSpec] = []
        for key in table:
            path = ("secrets", key)
            if re.fullmatch(KEY_PATTERN, key) is None:
                self._add(path, "The head of a secret's table is not an environment variable.", _KEY_FORM)
            before = len(self.mistakes)
            values = _Table(self._fields(self._table(table, path), path, SECRET), folder)
            if len(self.mistakes) == before:
                specs.append(self._spec(key, values, features, self._target_of(key, values, targets)))
        self._check_names(specs)
        return tuple(specs)

    def _spec(self, key: str, table: _Table, features: Mapping[str, bool], target: str | None) -> SecretSpec:
        required, feature = table.values["required"], table.values["required_with"]
        path = ("secrets", key, "required_with")
        if required is not None and feature is not None:
            self._add(path, f"'{label(path[:2])}' has 'required' and 'required_with'.", "Leave one of the two out.")
        if feature is not None and feature not in features:
            known = ", ".join(sorted(features)) or "none yet"
            self._add(path, f"'{label(path)}' names a feature that [features] does not have.", f"It has: {known}.")
        if table.length("grace") >= table.length("max_age"):
            grace_path = ("secrets", key, "grace")
            found = f"'{label(grace_path)}' ({table.text('grace')}) is not shorter than max_age"
            self._add(grace_path, f"{found} ({table.text('max_age')}).", "Shorten grace or lengthen max_age.")
        return SecretSpec(
            key=key,
            name=SecretName(table.text("name")),
            kind=table.text("kind"),
            purpose=table.text("purpose"),
            owner=table.text("owner"),
            consumers=tuple(table.values["consumers"]),
            max_age=table.length("max_age"),
            grace=table.length("grace"),
            required=required != "never",
            feature=feature,
            target=target,
            account=table.values["account"] or "",
            quiet=table.length("quiet"),
            at_grace_end=table.values["at_grace_end"],
        )

    def _check_names(self, specs: Sequence[SecretSpec]) -> None:
        """Refuse two secrets of one name, and names that Azure or the environment would write alike."""
        seen: dict[SecretName, SecretSpec] = {}
        for spec in specs:
            path = ("secrets", spec.key, "name")
            rival = seen.setdefault(spec.name, spec)
            if rival is not spec:
                self._add(
                    path, f"'{spec.name}' is the name of '{rival.key}' already.", "Give each secret its own name."
                )
                continue
            keys = {other.name: other.key for other in seen.values()}
            try:
                NameMap(seen, Spelling.ENVIRONMENT, keys)
                NameMap(seen, Spelling.AZURE)
            except NameCollisionError as exc:
                del seen[spec.name]
                self._add(path, exc.message, exc.hint)

    def _check_timezone(self, name: str) -> None:
        if name == "UTC":  # Nearly every manifest: no file has to be looked up then.
            return
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            path = ("schedule", "timezone")
            self._add(path, "'schedule.timezone' is no time zone here.", "Write its IANA name, as in Europe/Berlin.")

    def _check_client(self, table: _Table) -> None:
        interval, stale = table.length("refresh_interval"), table.length("max_stale")
        if not interval:
            self._add(("client", "refresh_interval"), "'client.refresh_interval' is no time at all.", "Write 5m.")
        if stale < interval:
            found = "'client.max_stale' is shorter than 'client.refresh_interval'."
            self._add(("client", "max_stale"), found, "A value would be too old before it is looked at again.")


def _store(table: _Table) -> StoreSettings:
    url = table.text("url")
    scheme, _, rest = url.partition(":")
    if scheme == "embedded" and (not rest.startswith("//") or rest.startswith("///")):
        url = f"embedded://{_absolute(rest.removeprefix('//'), table.folder)}"
    return StoreSettings(url, table.file("key_file"), table.file("passphrase_file"))


def _schedule(table: _Table) -> ScheduleSettings:
    return ScheduleSettings(
        windows=tuple(table.values["windows"]),
        timezone=table.text("timezone"),
        jitter=table.length("jitter"),
        offset=table.length("offset"),
        failures=table.values["failures"],
    )


def _converted(values: Mapping[str, Any], fields: Sequence[Field], folder: Path) -> dict[str, Any]:
    """Return the values of one table as a program wants them."""
    converted: dict[str, Any] = {}
    for field in fields:
        value = values[field.name]
        if value is not None and field.shape is Shape.DURATION:
            value = parse_duration(value)
        elif value is not None and field.shape is Shape.PATH:
            value = _absolute(value, folder)
        converted[field.name] = tuple(value) if isinstance(value, list) else value
    return converted


def _audit(table: _Table) -> AuditSettings:
    return AuditSettings(
        folder=table.folder_of("folder"),
        on_unwritable=table.values["on_unwritable"],
        spool=table.folder_of("spool"),
        segment_bytes=table.values["segment_bytes"],
        public_key=table.values["public_key"],
    )


def _absolute_sqlite(url: str, folder: Path) -> str:
    """Return a SQLAlchemy URL whose file, if it names one, is absolute: ``sqlite:///`` and then the path."""
    scheme, separator, rest = url.partition(":///")
    if not separator or scheme.partition("+")[0] != "sqlite" or rest.startswith(":memory:"):
        return url
    return f"{scheme}:///{_absolute(rest, folder)}"


def _absolute(text: str, folder: Path) -> Path:
    path = Path(text)
    if path.parts[:1] == ("~",):
        path = path.expanduser()
    return Path(os.path.normpath(folder / path))
