"""Examples of secrets, written as templates, so that no file of ours holds anything that looks like one.

``ghp_{alnum:30}{github-checksum}`` becomes a fresh token each time: ``{alphabet:length}`` is random text,
``{name}`` alone is computed from what stands before it since the last blank, quote, ``=`` or ``:``. ``{{`` and ``}}``
are braces.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable

from vantage_secrets.errors import InvalidInputError

_HEX = "0123456789abcdef"
ALPHABETS: dict[str, str] = {
    "alnum": string.ascii_letters + string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "hex": _HEX,
    "HEX": _HEX.upper(),
    "lowernum": string.ascii_lowercase + string.digits,
    "uppernum": string.ascii_uppercase + string.digits,
    "base32": string.ascii_uppercase + "234567",
    "base58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
    "word": string.ascii_letters + string.digits + "_",
    "password": string.ascii_letters + string.digits + "!#%&*+-.?^_~",
}
"""Alphabets by name. ``password`` has the marks that need no quoting in most files."""

_HOLE = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9-]+)(?::(\d+))?\}")
_BEFORE = re.compile(r"[^\s\"'=:]*\Z")


def expand(template: str, generator: random.Random) -> str:
    """Return an example made from ``template``.

    Args:
        template: Text with holes, as the module describes.
        generator: Where randomness comes from; the same state gives the same example.

    Raises:
        InvalidInputError: A hole names no alphabet and no checksum.
    """
    from vantage_secrets.leaks.checksums import ENDINGS

    pieces: list[str] = []
    position = 0
    for hole in _HOLE.finditer(template):
        pieces.append(template[position : hole.start()])
        position = hole.end()
        pieces.append(_fill(hole, "".join(pieces), generator, ENDINGS))
    return "".join(pieces) + template[position:]


def _fill(hole: re.Match[str], before: str, generator: random.Random, endings: dict[str, Callable[[str], str]]) -> str:
    if hole[0] in ("{{", "}}"):
        return hole[0][0]
    name, length = hole[1], hole[2]
    if length is not None and name in ALPHABETS:
        return "".join(generator.choices(ALPHABETS[name], k=int(length)))
    if name == "uuid" and length is None:
        text = "".join(generator.choices(_HEX, k=32))
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{generator.choice('89ab')}{text[17:20]}-{text[20:]}"
    if length is None and name in endings:
        found = _BEFORE.search(before)
        return endings[name](found[0] if found else "")
    raise InvalidInputError(
        f"The example has a hole '{hole[0]}' that nothing fills.",
        hint=f"Alphabets with a length: {', '.join(ALPHABETS)}; alone: uuid, {', '.join(endings) or 'none'}.",
    )
