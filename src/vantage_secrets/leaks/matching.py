"""All rules over some bytes, in one pass of hyperscan.

Compiling the rules takes some seconds, so the result is kept in the user's cache folder, for this machine and these
rules. It reports where a candidate *ends*; where it begins, and whether it is a secret, is found out afterwards
(``leaks.examination``), since asking hyperscan for begins would cost it more than half of its speed.
"""

from __future__ import annotations

import marshal
import os
import struct
import threading
from binascii import crc32
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vantage_secrets.errors import InvalidInputError, MissingExtraError
from vantage_secrets.leaks.anchors import Anchor, anchors_for
from vantage_secrets.leaks.patterns import provide
from vantage_secrets.leaks.rule import Rule

if TYPE_CHECKING:
    import hyperscan

_KEPT_MAX = 4
"""So many sets of compiled rules are kept, the youngest: a few MB each."""
_FORMAT = b"vantage-secrets rules 5\n"
_HEAD = struct.Struct("=24sII")
"""Format, checksum and length of what is kept besides the engine's own part."""
_REGEX = Rule._fields.index("regex")


class ActiveRule(NamedTuple):
    """A rule as the scan needs it.

    Attributes:
        rule: The rule, without its examples.
        lookback: See ``prefilter.Prefilter``.
        reach: See ``prefilter.Prefilter``.
        is_in_line: See ``prefilter.Prefilter``.
    """

    rule: Rule
    lookback: int
    reach: int
    is_in_line: bool


class Matcher:
    """The rules, compiled. Safe to use from several threads.

    Candidates are ids with the offset where they end: below ``len(rules)`` a rule's index; then an anchor's; from
    ``names_from`` on a file name in one of Git's trees that a parser knows (``leaks.credential_files``); from
    ``marks_from`` on words that such a file has under any name.
    """

    def __init__(
        self,
        rules: Sequence[ActiveRule],
        anchors: Sequence[tuple[Any, ...]],
        name_count: int,
        margin: int,
        digest: str,
        load: Callable[[], hyperscan.Database],
    ) -> None:
        self.rules = rules
        self.anchors = anchors
        """Plain tuples of ``Anchor``'s fields: thousands of them, of which a scan needs a few."""
        self.margin = margin
        """What stands more than so many bytes before where a candidate ends does not matter to it."""
        self.digest = digest
        """Digest of the rules and of the code that judges what they find; with another, another scan's word is void."""
        self.anchors_from = len(rules)
        self.names_from = len(rules) + len(anchors)
        self.marks_from = self.names_from + name_count
        self._load = load
        self._database: hyperscan.Database | None = None
        self._own = threading.local()

    def anchor_of(self, index: int) -> Anchor:
        """Return the anchor that a candidate's id stands for."""
        return Anchor._make(self.anchors[index - self.anchors_from])

    def find(self, buffer: Any) -> list[tuple[int, int]]:
        """Return the candidates in ``buffer``, any bytes-like object, in the order of where they end."""
        found: list[tuple[int, int]] = []
        add = found.append

        def note(index: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            add((index, end))

        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            self.prepare()
            scratch = self._own.scratch = _engine().Scratch(self._database)
        assert self._database is not None
        self._database.scan(buffer, match_event_handler=note, scratch=scratch)
        return found

    def prepare(self) -> None:
        """Load the compiled rules, which whoever searches first does otherwise."""
        if self._database is None:
            self._database = self._load()


def _engine() -> Any:
    try:
        import hyperscan
    except ImportError as error:
        raise MissingExtraError("hyperscan", "leaks") from error
    return hyperscan


def open_matcher(
    files: Sequence[Path], cache_folder: Path | None, notice: Callable[[str], None] | None = None
) -> Matcher:
    """Return the rules of ``files``, compiled; from the cache when they were compiled before.

    Args:
        files: Rule files (``ruleset.rule_files``).
        cache_folder: Where compiled rules are kept; nowhere when there is none, or when it takes no files.
        notice: Told when they are compiled, which takes seconds.

    Raises:
        InvalidInputError: A rule has a mistake.
        MissingExtraError: hyperscan is not installed.
    """
    kept = cache_folder / f"rules-{_key_of(files)}.bin" if cache_folder else None
    if kept:
        matcher = _read(kept, files)
        if matcher:
            return matcher
    if notice:
        notice("Compiling the rules, once for this machine …")
    metadata, database = _compile(files)
    if kept:
        _write(kept, metadata, database)
    return _matcher(metadata, lambda: database)


def _key_of(files: Sequence[Path]) -> str:
    """Return what changes when a rule or the code that compiles them does, without reading them."""
    import hashlib
    import sys

    stats = [(str(path), path.stat()) for path in (*_code(), *files)]
    text = repr([sys.version_info[:2], *((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _code() -> list[Path]:
    """Return the files that decide what is found, besides the rules."""
    folder = Path(__file__).parent
    return sorted((*folder.glob("*.py"), *folder.glob("credential_files/**/*.py")))


def _compile(files: Sequence[Path]) -> tuple[dict[str, Any], hyperscan.Database]:
    import hashlib

    from vantage_secrets.leaks.credential_files import BASE_NAMES, MARKS, SUFFIXES
    from vantage_secrets.leaks.patterns import to_keep
    from vantage_secrets.leaks.prefilter import derive, required_words
    from vantage_secrets.leaks.ruleset import load_rules

    engine = _engine()
    rules: list[tuple[Any, ...]] = []
    words: dict[tuple[bytes, bool], None] = {}
    expressions: list[tuple[int, bytes]] = []
    for rule in load_rules(files):
        try:
            derived = derive(rule.regex)
        except ValueError as error:
            raise InvalidInputError(
                f"The rule '{rule.id}' cannot be used: {error}.", hint="Change its regex."
            ) from None
        expressions += [(len(rules), expression) for expression in derived.expressions]
        rules.append((tuple(rule._replace(positive=(), negative=())), derived[1:]))
        words.update(dict.fromkeys(required_words(rule.regex)))
    anchors = anchors_for(words)
    names = [*(b" " + name + b"\0" for name in BASE_NAMES), *(suffix + b"\0" for suffix in SUFFIXES), b" .env."]
    others = [anchor.expression for anchor in anchors]
    others += [b"(?i:%b)" % b"".join(b"\\x%02x" % byte for byte in name) for name in names]
    others += [b"".join(b"\\x%02x" % byte for byte in mark) for mark in MARKS]
    expressions += enumerate(others, len(rules))
    ids, texts = zip(*expressions, strict=True)
    database = engine.Database(mode=engine.HS_MODE_BLOCK)
    try:
        database.compile(expressions=list(texts), ids=list(ids), elements=len(ids), flags=0)
    except engine.error as error:
        raise InvalidInputError(f"The rules cannot be compiled: {error}.", hint="Try them one by one.") from error
    digest = hashlib.sha256(repr([rules, [path.read_bytes() for path in _code()]]).encode()).hexdigest()[:16]
    widths = [where[0] for _rule, where in rules] + [anchor.length for anchor in anchors] + [*map(len, MARKS)]
    plain = [tuple(anchor._replace(expression=b"")) for anchor in anchors]  # the expressions are in the database
    metadata = {
        "rules": rules,
        "anchors": plain,
        "name_count": len(names),
        "margin": max(widths),
        "digest": digest,
        "patterns": to_keep([rule[0][_REGEX].encode() for rule in rules]),
    }
    return metadata, database


def _matcher(metadata: dict[str, Any], load: Callable[[], hyperscan.Database]) -> Matcher:
    provide(metadata["patterns"])
    return Matcher(
        [ActiveRule(Rule._make(rule), *where) for rule, where in metadata["rules"]],
        metadata["anchors"],
        metadata["name_count"],
        metadata["margin"],
        metadata["digest"],
        load,
    )


def _read(kept: Path, files: Sequence[Path]) -> Matcher | None:
    """Return what is kept there; nothing when there is nothing, or it is of another machine or damaged."""
    engine = _engine()

    def load() -> hyperscan.Database:
        try:
            with kept.open("rb", buffering=0) as file:
                file.seek(_HEAD.size + length)
                database: hyperscan.Database = engine.loadb(file.readall(), engine.HS_MODE_BLOCK)
                return database
        except (OSError, engine.error):
            return _compile(files)[1]

    try:
        with kept.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            form, checksum, length = _HEAD.unpack(file.read(_HEAD.size))
            text = file.read(length)
            # A rule with another letter in it would find nothing. The engine's own part has a checksum of its own.
            if form != _FORMAT or crc32(text) != checksum:
                return None
            return _matcher(marshal.loads(text), load)  # noqa: S302 - what we wrote
    except (OSError, ValueError, KeyError, EOFError, TypeError, struct.error):
        return None


def _write(kept: Path, metadata: dict[str, Any], database: hyperscan.Database) -> None:
    """Keep it; a cache that takes no files only costs time."""
    import contextlib
    import tempfile

    text = marshal.dumps(metadata)  # four times as fast as JSON to read back; the key names Python's version
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        others = sorted(kept.parent.glob("rules-*.bin"), key=lambda path: path.stat().st_mtime)
        for old in others[:-_KEPT_MAX]:
            old.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            try:
                file.write(_HEAD.pack(_FORMAT, crc32(text), len(text)) + text + _engine().dumpb(database))
                file.flush()
                os.replace(file.name, kept)  # noqa: PTH105
            except OSError:
                os.unlink(file.name)  # noqa: PTH108
