"""Whether a text that stands where a password would stand is one."""

from __future__ import annotations

import re


def is_password(match: re.Match[bytes], value: bytes) -> bool:
    """Return whether ``value`` is a password rather than a reference, a word, a type or a placeholder.

    Args:
        match: What the rule matched; its string is the whole text.
        value: The value in it.
    """
    return bool(match) and len(set(value)) > 3
