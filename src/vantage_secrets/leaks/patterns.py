"""Regular expressions that are compiled once for a machine, as the rules are, and not once for a process.

A scan of one file needs a dozen of them, and to compile those would take as long as all the rest of it; the processes
that examine a history would each compile a hundred. What ``re`` makes of an expression is a list of numbers. It is
kept beside the compiled rules (``leaks.matching``, whose key has the version of Python and all our code in it), and
given back to ``re``'s engine, which checks that it is a program.

``re._compiler`` and ``_sre`` have no public name; where they are not as they were in Python 3.11, all is compiled.
"""

from __future__ import annotations

import re
from array import array
from typing import Any

Kept = tuple[int, bytes, int, dict[str, int], tuple[str | None, ...]]
"""A compiled expression: flags, program, number of groups, their names, and their names by number."""

_kept: dict[bytes, Kept] = {}
"""Expressions that were compiled by another process."""
_JUDGES = ("credential_files.plausibility", "decoding", "judgement", "passwords")
"""Modules, below ``leaks``, that judge candidates, and import those that help them."""
_used: set[bytes] = set()
"""Their expressions."""


def compiled(expression: bytes) -> re.Pattern[bytes]:
    """Return a regular expression, from what is kept if it is."""
    _used.add(expression)
    kept = _kept.get(expression)
    if kept is not None:
        try:
            return _restored(expression, kept)
        except (ImportError, TypeError, ValueError, RuntimeError):
            pass
    return re.compile(expression)


def _restored(expression: bytes, kept: Kept) -> re.Pattern[bytes]:
    import _sre  # type: ignore[import-not-found]

    flags, program, groups, names, by_number = kept
    found: re.Pattern[bytes] = _sre.compile(expression, flags, array("I", program).tolist(), groups, names, by_number)
    return found


def provide(kept: dict[bytes, Kept]) -> None:
    """Use what another process compiled, from now on."""
    _kept.update(kept)


def to_keep(expressions: list[bytes]) -> dict[bytes, Kept]:
    """Compile ``expressions`` and those of the modules that judge, so that they can be kept."""
    from importlib import import_module

    for name in _JUDGES:
        import_module(f"vantage_secrets.leaks.{name}")
    try:
        return {expression: _dissected(expression) for expression in {*expressions, *_used}}
    except (ImportError, AttributeError, TypeError):
        return {}


def _dissected(expression: bytes) -> Kept:
    from re import _compiler, _parser  # type: ignore[attr-defined]

    tree: Any = _parser.parse(expression)
    program: list[int] = _compiler._code(tree, 0)
    names: dict[str, int] = tree.state.groupdict
    by_number: list[str | None] = [None] * tree.state.groups
    for name, number in names.items():
        by_number[number] = name
    return tree.state.flags, array("I", program).tobytes(), tree.state.groups - 1, names, tuple(by_number)
