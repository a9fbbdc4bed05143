"""Every key of ``vantage-secrets.toml`` in one table; the parser, the JSON Schema and the reference page follow it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Shape(Enum):
    """What a key's value looks like, in the words of messages and of the reference page."""

    TEXT = "text"
    WORD = "word"
    CHOICE = "choice"
    NAME = "secret name"
    URL = "URL"
    PATH = "path"
    DURATION = "length of time"
    BYTES = "bytes"
    WORDS = "list of words"


_LINE = r"[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*"
_WORD = r"[a-z0-9]+(-[a-z0-9]+)*"

PATTERNS = {
    Shape.TEXT: f"^{_LINE}$",  # SECURITY: no control characters, so that no text can move a terminal's cursor.
    Shape.PATH: f"^{_LINE}$",
    Shape.WORD: f"^{_WORD}$",
    Shape.NAME: f"^{_WORD}(/{_WORD})*(#[a-z0-9_]{{1,64}})?$",
    # SECURITY: a user's name may stand in a URL, a password may not: the manifest lies in the repository.
    Shape.URL: rf"^[a-z][a-z0-9+.-]*:(?!//[^/@]*:[^/@]*@){_LINE}$",
    # Seven digits a unit: more would not fit into a timedelta, and 9,999,999 days are 27,000 years.
    Shape.DURATION: "^(?=.)([0-9]{1,7}d)?([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$",
}
"""What a text of that shape matches: regular expressions that Python and ECMA 262 (JSON Schema) read alike."""

LENGTHS = {Shape.TEXT: 200, Shape.PATH: 4096, Shape.WORD: 40, Shape.NAME: 127, Shape.URL: 2048, Shape.DURATION: 40}
"""Longest text of that shape, in characters."""

KEY_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,126}$"
"""An environment variable, as POSIX writes names and at most as long as a secret's name."""

KINDS = ("api-key", "clickhouse-password", "kafka-password", "postgresql-password", "static")
"""How a secret is rotated; ``static`` means by hand."""

SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX = 65_536, 1_073_741_824


class Field(NamedTuple):
    """One key of a table.

    Attributes:
        name: The key.
        shape: What its value looks like.
        description: What it means, one sentence for the reference page and for editors.
        default: What holds when it is left out; ``None`` for nothing.
        mandatory: Whether leaving it out is a mistake.
        allowed: The values of a choice.
    """

    name: str
    shape: Shape
    description: str
    default: str | int | tuple[str, ...] | None = None
    mandatory: bool = False
    allowed: tuple[str, ...] = ()


TOP = (
    Field(
        "environment",
        Shape.WORD,
        "Which environment's secrets these are; a store made for another environment is refused.",
        mandatory=True,
    ),
)
"""Keys above the first table."""

STORE = (
    Field(
        "url",
        Shape.URL,
        "Where the secrets live. `embedded:PATH` is a file; a relative path counts from the manifest's folder.",
        mandatory=True,
    ),
    Field("key_file", Shape.PATH, "File with the key-encryption key of the embedded store."),
    Field("passphrase_file", Shape.PATH, "File with the passphrase that the key-encryption key is derived from."),
)

AUDIT = (
    Field("folder", Shape.PATH, "Folder of the audit log.", default=".vantage-secrets/audit"),
    Field(
        "on_unwritable",
        Shape.CHOICE,
        "What happens while the log cannot be written: events go to the spool, or operations are refused.",
        default="spool",
        allowed=("spool", "refuse"),
    ),
    Field("spool", Shape.PATH, "Folder that takes events meanwhile.", default=".vantage-secrets/audit-spool"),
    Field(
        "segment_bytes",
        Shape.BYTES,
        f"Size at which the log begins a new file, {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}.",
        default=16_777_216,
    ),
    Field("public_key", Shape.TEXT, "Public key that the log's signatures are checked with."),
)

CLIENT = (
    Field("refresh_interval", Shape.DURATION, "How often a client looks for a new version.", default="5m"),
    Field(
        "max_stale",
        Shape.DURATION,
        "How long a client goes on with its last good value while the store is away; "
        "at least as long as `refresh_interval`.",
        default="1h",
    ),
)

DATABASE = (
    Field(
        "url",
        Shape.URL,
        "The control database. `sqlite:///PATH` is a file; a relative path counts from the manifest's folder.",
        default="sqlite:///.vantage-secrets/control.db",
    ),
)

SECRET = (
    Field(
        "name",
        Shape.NAME,
        "Name in the store: parts of a-z, 0-9 and single hyphens, joined by `/`; `#field` behind it names one field of "
        "an entry that packs several, where the store can.",
        mandatory=True,
    ),
    Field("kind", Shape.CHOICE, "How it is rotated; `static` is rotated by hand.", default="static", allowed=KINDS),
    Field("purpose", Shape.TEXT, "What it opens, for people.", mandatory=True),
    Field("owner", Shape.TEXT, "Who answers for it, for people: a team, not a person.", mandatory=True),
    Field("consumers", Shape.WORDS, "Services that read it.", default=()),
    Field("max_age", Shape.DURATION, "How old its current version may become.", default="90d"),
    Field(
        "grace",
        Shape.DURATION,
        "How long old and new both work during a rotation, at the most; shorter than `max_age`.",
        default="24h",
    ),
    Field(
        "required",
        Shape.CHOICE,
        "Whether the platform cannot run without it; `always` when neither this nor `required_with` is given.",
        allowed=("always", "never"),
    ),
    Field(
        "required_with",
        Shape.WORD,
        "Feature, named in `[features]`, with which it is required; instead of `required`.",
    ),
)

TABLES = {"store": STORE, "audit": AUDIT, "client": CLIENT, "database": DATABASE}
"""The tables with fixed keys; ``[features]`` and ``[secrets.KEY]`` take keys of the writer's choice."""

TABLE_DESCRIPTIONS = {
    "store": "Where the secrets live.",
    "audit": "Where the record of who did what is written.",
    "client": "How applications read.",
    "database": "Where states that are no secrets live: keys' verifiers, receipts.",
    "features": "Parts of the platform, `true` for those that are switched on; the names are yours.",
    "secrets": "One table for each secret, headed by the environment variable that its consumers read.",
}
