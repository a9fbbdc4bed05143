"""A rule's regular expression, widened to what hyperscan matches quickly.

A rule is written once, for Python's ``re``. What hyperscan gets is derived from it: zero-width conditions are left
out, and so is everything from where the text may become long. So it matches wherever the rule does, and sometimes
where the rule does not; the rule itself decides (``leaks.examination``). The same walk gives the words a rule cannot
do without, from which ``leaks.decoding`` knows how an encoded secret begins.

``re._parser`` is the parser of ``re`` itself; it has no public name. Its tree has been the same since Python 3.11.
"""

from __future__ import annotations

import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from vantage_secrets.leaks.rule import REACH_MAX

SPREAD_MAX = 256
"""A repeat that may be longer than this ends the prefilter, in repetitions; a longer one would make it slow."""
_TAIL_SPREAD_MIN = 8
"""A last repeat that varies by less may have one more byte behind it."""
TAIL_MIN = 24
"""Of the last repeat no more is asked for, in repetitions."""
_WORDS_MAX = 16
"""More words than this are not made out of a class such as ``[pous]``."""
LEAD_MAX = 256
"""What may stand before a rule's first word, at most, for the prefilter to begin at the word, in bytes."""
_WORD_MIN = 3
"""Shortest word to begin with, in bytes."""
_WORD_GAIN = 3
"""A later word must be longer by so much: what stands before it is then not looked for, in bytes."""
_WORD_ENOUGH = 6
"""A longer word is no better, in bytes: hyperscan looks for eight at most."""
NEAR_MAX = 1_024
"""Where only the last repeat has no limit, a match is first looked for up to so far behind the candidate, in bytes."""

_CATEGORIES = {
    codes.CATEGORY_DIGIT: rb"0-9",
    codes.CATEGORY_SPACE: rb"\x09-\x0d\x20",
    codes.CATEGORY_WORD: rb"0-9A-Za-z_",
    codes.CATEGORY_NOT_DIGIT: rb"\x00-\x2f\x3a-\xff",
    codes.CATEGORY_NOT_SPACE: rb"\x00-\x08\x0e-\x1f\x21-\xff",
    codes.CATEGORY_NOT_WORD: rb"\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xff",
}
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)


class Prefilter(NamedTuple):
    """What hyperscan looks for, and where the rule is then tried.

    Attributes:
        expressions: In hyperscan's syntax; the rule is tried where one of them matches.
        lookback: A match of the rule begins at most so many bytes before the end that hyperscan reports.
        reach: It ends at most so many bytes after the candidate; a match that comes to there may be longer, up to
            ``REACH_MAX``.
        is_in_line: No match has a line's end in it.
    """

    expressions: tuple[bytes, ...]
    lookback: int
    reach: int
    is_in_line: bool


class _Flagged(NamedTuple):
    """A node of the parser's tree, with the flags that hold there."""

    code: Any
    argument: Any
    flags: int


class _Piece(NamedTuple):
    """A part of the prefilter.

    Attributes:
        expression: In hyperscan's syntax.
        least: Its least width.
        most: Its greatest width.
        is_whole: Whether nothing behind it was left out.
        is_near: Whether what was left out is only the rest of a last repeat.
    """

    expression: bytes
    least: int
    most: int
    is_whole: bool = True
    is_near: bool = True


def derive(regex: str) -> Prefilter:
    """Return the prefilter of a rule's regular expression.

    Raises:
        ValueError: The expression refers back to a group or can match nothing at all.
    """
    tree = parser.parse(regex.encode())
    lead, nodes = _from_best_word(_flattened(list(tree), tree.state.flags))
    pieces = [_sequence(alternative, is_last=True) for alternative in _alternatives(nodes)]
    if not all(piece.least for piece in pieces):
        raise ValueError("it can match an empty text")
    widest = tree.getwidth()[1]
    lookback = lead + max(piece.most for piece in pieces)
    near = lookback + NEAR_MAX if all(piece.is_near for piece in pieces) else REACH_MAX
    return Prefilter(
        tuple(piece.expression for piece in pieces),
        lookback,
        min(widest, near),
        not _has_newline(list(tree), tree.state.flags),
    )


def _alternatives(nodes: list[_Flagged]) -> list[list[_Flagged]]:
    """Return ``nodes`` once for each branch that they begin with, all of which together match the same.

    Hyperscan 5.4 misses some matches of ``ab(?:cd|e{0,9}f)…`` that do not stand at the begin of what it scans; the
    property tests of the engine show it. As expressions of their own the branches are all found, and as quickly.
    """
    begin = 0
    while begin < len(nodes) and _letters(nodes[begin].code, nodes[begin].argument):
        begin += 1
    if begin == len(nodes) or nodes[begin].code is not codes.BRANCH:
        return [nodes]
    branches = (_flattened(list(branch), nodes[begin].flags) for branch in nodes[begin].argument[1])
    found = [each for branch in branches for each in _alternatives([*branch, *nodes[begin + 1 :]])]
    return [[*nodes[:begin], *each] for each in found]


def _flattened(nodes: list[Any], flags: int) -> list[_Flagged]:
    """Return the nodes of a sequence, those of groups in it instead of the groups, without zero-width conditions."""
    flat: list[_Flagged] = []
    for code, argument in nodes:
        if code in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
            continue
        if code is codes.SUBPATTERN:
            _group, added, removed, inner = argument
            flat += _flattened(list(inner), (flags | added) & ~removed)
        elif code is codes.ATOMIC_GROUP:
            flat += _flattened(list(argument), flags)
        else:
            flat.append(_Flagged(code, argument, flags))
    return flat


def _from_best_word(nodes: list[_Flagged]) -> tuple[int, list[_Flagged]]:
    """Return ``nodes`` from their longest word on, and how wide what stands before it may be.

    Where an expression begins with a rare word, hyperscan looks at nothing but places with that word.
    """
    best, longest = (0, nodes), _WORD_MIN - 1
    lead = 0
    for position, node in enumerate(nodes):
        length = min(_word_length(nodes[position:]), _WORD_ENOUGH)
        if length >= (longest + _WORD_GAIN if longest >= _WORD_MIN else _WORD_MIN):
            best, longest = (lead, nodes[position:]), length
        lead += _width(node)[1]
        if lead > LEAD_MAX:
            break
    return best


def _word_length(nodes: list[_Flagged]) -> int:
    """Return the length of the word that all that ``nodes`` match begins with; of the shortest if there are several."""
    length = 0
    for node in nodes:
        if node.code is codes.BRANCH:
            branches = (_flattened(list(branch), node.flags) for branch in node.argument[1])
            return length + min(_word_length(branch) for branch in branches)
        if not _letters(node.code, node.argument):
            break
        length += 1
    return length


def _has_newline(nodes: list[Any], flags: int) -> bool:
    """Return whether a match of ``nodes`` may have a line's end in it."""
    for code, argument, own in _flattened(nodes, flags):
        if code in _REPEATS:
            found = _has_newline(list(argument[2]), own)
        elif code is codes.BRANCH:
            found = any(_has_newline(list(branch), own) for branch in argument[1])
        else:
            found = re.compile(_class(code, argument, own)).match(b"\n") is not None
        if found:
            return True
    return False


def _only_closes(nodes: list[_Flagged]) -> bool:
    """Return whether the last node is one byte behind a repeat; with it, each length of that would be reported."""
    if len(nodes) < 2 or nodes[-2].code not in _REPEATS or _width(nodes[-1]) != (1, 1):
        return False
    least, most, _inner = nodes[-2].argument
    return int(most) - int(least) >= _TAIL_SPREAD_MIN


def _sequence(nodes: list[_Flagged], *, is_last: bool) -> _Piece:
    """Return the prefilter of ``nodes``, one after the other; the last of them may be shortened when ``is_last``."""
    if is_last:
        while nodes and (_width(nodes[-1])[0] == 0 or _only_closes(nodes)):
            nodes = nodes[:-1]
    pieces = []
    for position, node in enumerate(nodes):
        piece = _node(node, is_last=is_last and position == len(nodes) - 1)
        pieces.append(piece)
        if not piece.is_whole:
            break
    return _Piece(
        b"".join(piece.expression for piece in pieces),
        sum(piece.least for piece in pieces),
        sum(piece.most for piece in pieces),
        all(piece.is_whole for piece in pieces),
        all(piece.is_near for piece in pieces) and len(pieces) == len(nodes),
    )


def _width(node: _Flagged) -> tuple[int, int]:
    try:
        least, most = parser.SubPattern(parser.State(), [(node.code, node.argument)]).getwidth()
    except IndexError:  # the widths of groups are not known here
        raise ValueError("it refers back to a group, which has no prefilter") from None
    return int(least), int(most)


def _node(node: _Flagged, *, is_last: bool) -> _Piece:
    code, argument, flags = node
    if code in _REPEATS:
        least, most, inner = argument
        return _repeat(least, most, _flattened(list(inner), flags), is_last=is_last)
    if code is codes.BRANCH:
        return _branch([_flattened(list(branch), flags) for branch in argument[1]], is_last=is_last)
    return _Piece(_class(code, argument, flags), 1, 1)


def _branch(branches: list[list[_Flagged]], *, is_last: bool) -> _Piece:
    pieces = [_sequence(branch, is_last=is_last) for branch in branches]
    return _Piece(
        b"(?:" + b"|".join(piece.expression for piece in pieces) + b")",
        min(piece.least for piece in pieces),
        max(piece.most for piece in pieces),
        all(piece.is_whole for piece in pieces),
        all(piece.is_near for piece in pieces),
    )


def _repeat(least: int, most: int, nodes: list[_Flagged], *, is_last: bool) -> _Piece:
    piece = _sequence(nodes, is_last=False)
    if not piece.is_whole:
        return piece._replace(is_near=False) if least else _Piece(b"", 0, 0, is_whole=False, is_near=False)
    if is_last or most - least > SPREAD_MAX:
        asked = min(least, TAIL_MIN) if piece.least == piece.most == 1 else least
        expression = b"(?:%b){%d}" % (piece.expression, asked) if asked else b""
        return _Piece(expression, piece.least * asked, piece.most * asked, is_whole=False, is_near=is_last)
    expression = b"(?:%b){%d,%d}" % (piece.expression, least, most)
    return _Piece(expression, piece.least * least, piece.most * most)


def _class(code: Any, argument: Any, flags: int) -> bytes:
    """Return one byte's class."""
    if code is codes.LITERAL:
        letter = b"\\x%02x" % argument
        return b"(?i:%b)" % letter if flags & re.IGNORECASE else letter
    if code is codes.NOT_LITERAL:
        return b"[^\\x%02x]" % argument  # with caseless letters this is wider than the rule, never narrower
    if code is codes.ANY:
        return b"[\\x00-\\xff]" if flags & re.DOTALL else b"[^\\x0a]"
    if code is codes.IN:
        return _set(argument, flags)
    raise ValueError(f"it uses {str(code).lower()}, which has no prefilter")


def _set(members: list[Any], flags: int) -> bytes:
    is_negated = members[0][0] is codes.NEGATE
    text = b"".join(_member(code, argument) for code, argument in members[is_negated:])
    if is_negated:
        return b"[^%b]" % text
    return b"(?i:[%b])" % text if flags & re.IGNORECASE else b"[%b]" % text


def _member(code: Any, argument: Any) -> bytes:
    if code is codes.LITERAL:
        return b"\\x%02x" % argument
    if code is codes.RANGE:
        return b"\\x%02x-\\x%02x" % argument
    return _CATEGORIES[argument]


def required_words(regex: str, least: int = 4) -> tuple[tuple[bytes, bool], ...]:
    """Return words of which every match has at least one, each with whether its case does not matter.

    Args:
        regex: The rule's regular expression.
        least: Shortest word worth having, in bytes.

    Returns:
        The words; empty when there are none so long.
    """
    tree = parser.parse(regex.encode())
    return tuple(dict.fromkeys(_words(list(tree), tree.state.flags, least)))


def _words(nodes: list[Any], flags: int, least: int) -> list[tuple[bytes, bool]]:
    """Return the best of the sets of words that stand one after the other: the one whose shortest word is longest."""
    caseless = bool(flags & re.IGNORECASE)
    choices: list[list[tuple[bytes, bool]]] = []
    runs = [b""]
    for code, argument in [*nodes, (None, None)]:
        letters = _letters(code, argument)
        if letters and len(runs) * len(letters) <= _WORDS_MAX:
            runs = [run + letter for run in runs for letter in letters]
            continue
        if code in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
            continue
        if len(runs[0]) >= least:
            choices.append([(run, caseless) for run in runs])
        runs = letters if len(letters) > 1 else [b""]
        choices.extend(_inner_words(code, argument, flags, least))
    return max(choices, key=lambda words: min(len(word) for word, _caseless in words), default=[])


def _letters(code: Any, argument: Any) -> list[bytes]:
    """Return the bytes that can stand there when they are few; none otherwise."""
    if code is codes.LITERAL:
        return [bytes([argument])]
    if code is codes.IN and all(inner is codes.LITERAL for inner, _letter in argument):
        return [bytes([letter]) for _code, letter in argument]
    return []


def _inner_words(code: Any, argument: Any, flags: int, least: int) -> list[list[tuple[bytes, bool]]]:
    if code is codes.SUBPATTERN:
        _group, added, removed, inner = argument
        words = _words(list(inner), (flags | added) & ~removed, least)
    elif code in _REPEATS and argument[0]:
        words = _words(list(argument[2]), flags, least)
    elif code is codes.BRANCH:
        each = [_words(list(branch), flags, least) for branch in argument[1]]
        words = [word for branch in each for word in branch] if all(each) else []
    else:
        words = []
    return [words] if words else []
