"""What a rule's regular expression may write short: ``{setting:key|token}``, ``{end}``.

Most kinds of secrets have no prefix: the vendor's name stands near, and between it and the value what a language or a
file format puts between a name and a value. That part is long, and the same in some two hundred rules. It stands here
once, so that a rule shows what is particular to it.

A shorthand has at least two letters and stands in braces; what stands in ``(?:...)`` or is repeated keeps its meaning,
because each is replaced by its text before ``re`` reads the expression.
"""

from __future__ import annotations

import re

SHORTHANDS = {
    "start": r"(?<![0-9A-Za-z_-])",
    "end": r"(?![0-9A-Za-z_-])",
    "alone": r"(?![\w(\[-]|\.\w)",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "within": (
        r"""(?:[0-9A-Za-z_.]{0,16}\(\{?\s{0,8}["']?"""
        r"""|[0-9A-Za-z_-]{0,12}["']?(?:[ \t]{0,2}[:=]>?[ \t]{0,2}\{?|\])\s{1,12}["']?)?"""
    ),
    "is": (
        r"""(?:["']?[ ]?[,{]?\s{1,16}["']?(?:[Vv]alue|default))?["'`\])\\]{0,3}"""
        r"""(?:[ \t]{0,3}(?:\|\|=?|=>|:=|:[ ]?[&A-Za-z_.]{2,16}[ ]?=|\{ get; set; \} =|[=:,>({])"""
        r"""|(?<=key|KEY|Key|ken|KEN|ret|RET|pat|PAT)[ \t])"""
        r"""[ \t]{0,3}(?:@|<!\[CDATA\[|[A-Za-z_.]{1,20}\()?["'`(\\]{0,3}"""
    ),
    "gap": r"""[\w.\-+\s:,"'{\[(]{0,25}""",
    "equals": (
        r"""[\\"'\])]{0,3}(?:\s?:?\s?(?:str|string|String)\s)?\s{0,3}(?:[=:,>?|]{1,2}-?|\s)\s{0,3}[\\"'`]{0,3}"""
    ),
}
"""Each shorthand's text.

``start``, ``end``: no letter, digit, ``_`` or ``-`` stands before or behind. ``alone``: as ``end``, and what stands
before is not called, indexed or the owner of an attribute. ``uuid``: a UUID in lower case. ``within``: nothing, or
what opens a call or a group of settings, of which a setting follows: ``Client(``, ``vendor:\\n  ``. ``is``: from a
setting's name to its value, also ``"name": "X", "value": "...``. ``gap``: up to 25 characters between two words of
a name or of nested names. ``equals``: as ``is``, with fewer forms, but also a mere blank.
"""

WORDS = "key|token|secret|pass|auth|cred"
"""What ``{setting}`` means without words of its own."""

_NAMES = {
    "setting": "{within}(?i:[0-9a-z_.\\- ]{0,20}?(?:WORDS))[0-9A-Za-z_.\\- ]{0,12}{is}",
    "near": "(?i:{gap}(?:WORDS)\\w{0,12}){equals}",
}
"""``{setting:a|b}``: behind a vendor's name, up to a value: a name with one of the words, and ``is``; case does not
matter. ``{near:a|b}``: the same with ``gap`` and ``equals``.
"""

_SHORTHAND = re.compile(r"(?<!\\)\{([a-z]{2,})(?::([^{}]*))?\}")


def written_out(regex: str) -> str:
    """Return ``regex`` with the text of each shorthand in its place.

    Raises:
        ValueError: There is no such shorthand, or it takes no words.
    """
    return _SHORTHAND.sub(_text, regex)


def _text(found: re.Match[str]) -> str:
    name, words = found.groups()
    if name in _NAMES:
        return written_out(_NAMES[name]).replace("WORDS", words or WORDS)
    if name not in SHORTHANDS or words is not None:
        raise ValueError(f"there is no shorthand '{found[0]}'")
    return SHORTHANDS[name]
