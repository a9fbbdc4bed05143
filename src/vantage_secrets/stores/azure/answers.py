"""What is asked of a vault, and its answers that are no errors. Knows no SDK."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from vantage_secrets.stores.azure.encoding import Content
from vantage_secrets.stores.azure.records import Record


class Action(Enum):
    """What a call does, by the data action of Azure's roles that it needs."""

    READ = "getSecret/action"
    LOOK = "readMetadata/action"
    WRITE = "setSecret/action"
    CHANGE = "update/action"
    DELETE = "delete"
    PURGE = "purge/action"


class Nothing(Enum):
    """Answers that are no errors: the caller knows what they mean."""

    ABSENT = auto()
    """There is no such secret or version."""
    DISABLED = auto()
    """It is there and disabled."""
    DELETED = auto()
    """The name belongs to a deleted secret that can still be recovered."""
    UNDER_WAY = auto()
    """The name's deletion or recovery is under way."""


class Kept(NamedTuple):
    """A version with what it holds."""

    record: Record
    content: Content
