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
    COUNT = "count"
    ACCOUNT = "account"
    WORDS = "list of words"
    TEXTS = "list of texts"
    WINDOW = "window"
    URLS = "list of URLs"
    WINDOWS = "list of windows"
    NAMES = "list of secret names"


_LINE = r"[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*"
_WORD = r"[a-z0-9]+(-[a-z0-9]+)*"
_DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"

PATTERNS = {
    Shape.TEXT: f"^{_LINE}$",  # SECURITY: no control characters, so that no text can move a terminal's cursor.
    Shape.PATH: f"^{_LINE}$",
    Shape.WORD: f"^{_WORD}$",
    Shape.NAME: f"^{_WORD}(/{_WORD})*(#[a-z0-9_]{{1,64}})?$",
    # SECURITY: a user's name may stand in a URL, a password may not: the manifest lies in the repository.
    Shape.URL: rf"^[a-z][a-z0-9+.-]*:(?!//[^/@]*:[^/@]*@){_LINE}$",
    # Seven digits a unit: more would not fit into a timedelta, and 9,999,999 days are 27,000 years.
    # PostgreSQL's 63 bytes are the shortest limit of a user's name; two are left for the end that alternates.
    Shape.ACCOUNT: "^[A-Za-z_][A-Za-z0-9_.-]*$",
    Shape.WINDOW: f"^({_DAY}(-{_DAY})? )?{_TIME}-({_TIME}|24:00)$",
    Shape.DURATION: "^(?=.)([0-9]{1,7}d)?([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$",
}
"""What a text of that shape matches: regular expressions that Python and ECMA 262 (JSON Schema) read alike."""

LENGTHS = {
    Shape.TEXT: 200,
    Shape.PATH: 4096,
    Shape.WORD: 40,
    Shape.NAME: 127,
    Shape.URL: 2048,
    Shape.ACCOUNT: 60,
    Shape.WINDOW: 20,
    Shape.DURATION: 40,
}
"""Longest text of that shape, in characters."""

ELEMENTS = {
    Shape.WORDS: Shape.WORD,
    Shape.TEXTS: Shape.TEXT,
    Shape.WINDOWS: Shape.WINDOW,
    Shape.URLS: Shape.URL,
    Shape.NAMES: Shape.NAME,
}
"""What the elements of a list look like, each a shape of text."""

KEY_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,126}$"
"""An environment variable, as POSIX writes names and at most as long as a secret's name."""

TARGET_KINDS = {
    "clickhouse-password": "clickhouse",
    "kafka-password": "kafka",
    "postgresql-password": "postgresql",
    "command": "command",
}
"""Which kind of target serves a kind of secret, for those that need a ``[targets.NAME]`` table."""

KINDS = ("api-key", *TARGET_KINDS, "static")
"""How a secret is rotated; ``static`` means by hand."""

SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX = 65_536, 1_073_741_824

COUNT_MAX = 1_000
"""A count is a whole number from 1 to this."""


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

SCHEDULE = (
    Field(
        "windows",
        Shape.WINDOWS,
        "When rotations may begin, as in `Mon-Fri 09:00-16:00`; a window whose end comes before its beginning goes on "
        "past midnight. At any time when empty. What is due begins anyway.",
        default=(),
    ),
    Field("timezone", Shape.TEXT, "Time zone of the windows, as in `Europe/Berlin`.", default="UTC"),
    Field(
        "jitter",
        Shape.DURATION,
        "By how much, at the most, a rotation begins before it is due, so that not all begin at once; "
        "never more than a tenth of `max_age`.",
        default="1d",
    ),
    Field(
        "offset",
        Shape.DURATION,
        "Least time between the beginnings of two rotations that one consumer has to follow.",
        default="1h",
    ),
    Field(
        "failures",
        Shape.COUNT,
        "How many secrets may fail before nothing further is begun, until a person says so.",
        default=3,
    ),
)

NOTIFICATIONS = (
    Field(
        "secrets",
        Shape.NAMES,
        "Names of secrets in the store whose values are Apprise URLs, such as `mailto://…` or `slack://…`.",
        default=(),
    ),
    Field("before", Shape.DURATION, "How long before the maximum age a person is told.", default="7d"),
)

_ADMIN_SECRET = "Name of the secret in the store that holds that login's password."  # noqa: S105

CLICKHOUSE = (
    Field("url", Shape.URL, "HTTP address of one server, such as `https://clickhouse:8443`.", mandatory=True),
    Field("replicas", Shape.URLS, "HTTP addresses of all other servers; each one is asked.", default=()),
    Field(
        "cluster", Shape.TEXT, "Cluster on which users are changed with `ON CLUSTER`; by default each server by itself."
    ),
    Field("admin_user", Shape.ACCOUNT, "Login that may change users.", default="default"),
    Field("admin_secret", Shape.NAME, _ADMIN_SECRET, mandatory=True),
    Field("ca_file", Shape.PATH, "Certificates that the servers' own are checked with, instead of the system's."),
    Field(
        "strategy",
        Shape.CHOICE,
        "How old and new overlap; `auto` looks at the servers.",
        default="auto",
        allowed=("auto", "two-credentials", "alternating-users", "users-files"),
    ),
    Field("users_folder", Shape.PATH, "The server's `users.d`, for `users-files`: files are written there."),
    Field(
        "users_file", Shape.PATH, "The server's `users.xml`, for `users-files`: the account's rights are read there."
    ),
)

KAFKA = (
    Field("bootstrap", Shape.TEXTS, 'Brokers to begin with, as in `["kafka-1:9093"]`.', mandatory=True),
    Field("admin_user", Shape.ACCOUNT, "Login that may change credentials and ACLs.", default="admin"),
    Field("admin_secret", Shape.NAME, _ADMIN_SECRET, mandatory=True),
    Field(
        "security",
        Shape.CHOICE,
        "How brokers are talked to.",
        default="sasl-ssl",
        allowed=("sasl-ssl", "sasl-plaintext"),
    ),
    Field("ca_file", Shape.PATH, "Certificates that the brokers' own are checked with, instead of the system's."),
    Field(
        "mechanism",
        Shape.CHOICE,
        "SCRAM mechanism of the logins.",
        default="scram-sha-512",
        allowed=("scram-sha-256", "scram-sha-512"),
    ),
    Field(
        "strategy",
        Shape.CHOICE,
        "How old and new overlap: two principals with equal rights, or one principal's two mechanisms.",
        default="two-principals",
        allowed=("two-principals", "two-mechanisms"),
    ),
)

POSTGRESQL = (
    Field("url", Shape.URL, "Server and database, such as `postgresql://db:5432/vantage`.", mandatory=True),
    Field("replicas", Shape.URLS, "All other servers that accept logins; each one is asked.", default=()),
    Field("admin_user", Shape.ACCOUNT, "Login that may change roles.", default="postgres"),
    Field("admin_secret", Shape.NAME, _ADMIN_SECRET),
)

COMMAND = (
    Field(
        "command",
        Shape.TEXTS,
        "The program and its arguments; it is started for each step and speaks JSON on its standard input and output.",
        mandatory=True,
    ),
    Field("timeout", Shape.DURATION, "How long one step may take.", default="30s"),
    Field(
        "overlap",
        Shape.CHOICE,
        "What the program promises.",
        default="two-credentials",
        allowed=("two-credentials", "alternating-users", "none"),
    ),
)

TARGETS = {"clickhouse": CLICKHOUSE, "kafka": KAFKA, "postgresql": POSTGRESQL, "command": COMMAND}
"""The keys of a ``[targets.NAME]`` table beside ``kind``, by its kind."""

SECRET = (
    Field(
        "name",
        Shape.NAME,
        "Name in the store: parts of a-z, 0-9 and single hyphens, joined by `/`; `#field` behind it names one field of "
        "an entry that packs several, where the store can.",
        mandatory=True,
    ),
    Field("kind", Shape.CHOICE, "How it is rotated; `static` is rotated by hand.", default="static", allowed=KINDS),
    Field(
        "target",
        Shape.WORD,
        "Which table `[targets.NAME]` says where it opens the door; by default the one named like the kind of target: "
        + ", ".join(f"`{name}`" for name in TARGETS)
        + ".",
    ),
    Field(
        "account",
        Shape.ACCOUNT,
        "User at the target; two that alternate are called ACCOUNT-a and ACCOUNT-b there, or with `_` as the target "
        "has it. Must be given where there is such a table, except for a `command`.",
    ),
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
        "quiet",
        Shape.DURATION,
        "How long the old one must not have been used, after all consumers have moved, before it is revoked "
        "ahead of the end of `grace`: longer than the rarest use by anybody who leaves no receipt.",
        default="1h",
    ),
    Field(
        "at_grace_end",
        Shape.CHOICE,
        "What happens when `grace` has passed and not every consumer has moved: `force` revokes the old one all the "
        "same, `hold` keeps it and says so.",
        default="force",
        allowed=("force", "hold"),
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

TABLES = {
    "store": STORE,
    "audit": AUDIT,
    "client": CLIENT,
    "database": DATABASE,
    "schedule": SCHEDULE,
    "notifications": NOTIFICATIONS,
}
"""The tables with fixed keys; ``[features]``, ``[targets.NAME]`` and ``[secrets.KEY]`` take names of the writer's
choice."""

TABLE_DESCRIPTIONS = {
    "store": "Where the secrets live.",
    "audit": "Where the record of who did what is written.",
    "client": "How applications read.",
    "database": "Where states that are no secrets live: keys' verifiers, receipts. `sqlite:///PATH` or, for a fleet, "
    "`postgresql://USER@HOST/NAME`, whose password comes from the environment as PostgreSQL's own tools take it.",
    "schedule": "When rotations begin by themselves.",
    "notifications": "Who is told when a rotation fails or an age limit comes near.",
    "targets": "One table for each place where credentials open a door; `kind` is the table's own name by default.",
    "features": "Parts of the platform, `true` for those that are switched on; the names are yours.",
    "secrets": "One table for each secret, headed by the environment variable that its consumers read.",
}
