"""What is found in the versions of a file one after another is what is found in each of them alone.

Of a version, only what differs from the version before is searched, and where no difference touches what an answer
depends on, the answer is taken over. So the edits here are mostly made in, at and near secrets, and at the edges of the
text that the answer for the version before depends on.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.leaks.compiled_rules import CANARY_RULE, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.repositories import Repo
from vantage_secrets.leaks.examination import Detection, Examiner
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.finding import Coverage, KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.history import differences as differences_module
from vantage_secrets.leaks.history import objects, scanning
from vantage_secrets.leaks.history.log import Log
from vantage_secrets.leaks.history.objects import Piece, list_objects
from vantage_secrets.leaks.history.plan import Plan
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.history.survey import survey
from vantage_secrets.leaks.known import KnownSearch, KnownValue, RetiredLookup
from vantage_secrets.leaks.known.retired import Remembered, alphabet_of
from vantage_secrets.leaks.matching import open_matcher
from vantage_secrets.leaks.ruleset import load_rules, rule_files
from vantage_secrets.secret import SecretValue

FILES = rule_files([CANARY_RULE])
KEY = FingerprintKey(b"a key of the tests, 32 bytes long")
OURS = b"Worker77Lane-Kx7_vantage.a3"
GONE = b"Zq81WoW0retired0Value7Gh"
STRUCTURED = b".netrc"
FEW_RULES = r"""
[[rule]]
id = "canary"
title = "A value of the tests"
source = "made up for the tests"
regex = '\b(cnry-[a-z]+-[0-9a-f]{32})\b'
judge = "none"
positive = ["cnry-example-{hex:32}"]
negative = ["x"]
[[rule]]
id = "open-end"
title = "A token of any length that stands alone"
source = "made up for the tests"
regex = '(?<![A-Za-z0-9])opn_([A-Za-z0-9]{30,})(?![A-Za-z0-9-])'
positive = ["opn_{alnum:30}", "opn_{alnum:200}"]
negative = ["opn_{alnum:1200}"]
[[rule]]
id = "block"
title = "Many lines, of which the last one counts"
source = "made up for the tests"
regex = '-----BEGIN KEY-----\n([A-Za-z0-9\n]{40,}\n)-----END KEY-----'
positive = ["-----BEGIN KEY-----\n{alnum:64}\n{alnum:64}\n{alnum:64}\n{alnum:64}\n{alnum:9}\n-----END KEY-----"]
negative = ["x"]
[[rule]]
id = "named"
title = "A password, as what stands around it tells"
source = "made up for the tests"
regex = '(?P<unquoted>)(?P<password_name>(?i:pass)[a-z_]{0,10}) ?= ?(?P<secret>[A-Za-z0-9]{6,40})'
judge = "password"
positive = [
    "    password = {alnum:12}",
    "{{{{ name }}}} password={alnum:14}",
    "(password={alnum:9})",
    "{lower:180} password={alnum:14}",
]
negative = ["x"]
[[rule]]
id = "wide"
title = "The widest of them"
source = "made up for the tests"
regex = 'wide_[a-z]{60}_end'
positive = ["wide_{lower:60}_end", " wide_{lower:60}_end "]
negative = ["x"]
[[rule]]
id = "in-a-row"
title = "One that begins where the one before ended"
source = "made up for the tests"
regex = 'row[a-z0-9]{17}(?:row[a-z0-9]{3})?'
positive = ["row{lowernum:17}row{lowernum:17}row{lowernum:17}row{lowernum:3}row{lowernum:17}", "row{lowernum:20}"]
negative = ["x"]
"""
"""Nothing that they look for is wide, so that most edits are outside of what must be searched again."""
WITH_STRUCTURE = [
    "kind: Secret\nmetadata:\n  name: x\nstringData:\n  password: {alnum:14}\n",
    "machine db.dev.example login me password {alnum:14}\n",
]
LOOKED_FOR = (
    *("all rules", "all rules and values", "all rules, values and retired values"),
    *("few rules", "few rules and values", "few rules, values and retired values"),
)


class Looking(NamedTuple):
    """Examiners that look for the same, the second one for what is in an object alone; and what there is to find."""

    together: Examiner
    alone: Examiner
    templates: list[str]

    def __repr__(self) -> str:
        return "Looking(…)"  # the templates are long


def templates_of(files: Sequence[Path]) -> list[str]:
    rules = load_rules(files)
    found = [template for rule in rules for template in (*rule.positive, *rule.positive, *rule.negative[:1])]
    return found + WITH_STRUCTURE * (1 + len(found) // 20)


@pytest.fixture(scope="module")
def looking_for(compiled_rules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Looking]:  # noqa: F811
    few = tmp_path_factory.mktemp("rules") / "few.toml"
    few.write_text(FEW_RULES)
    known = KnownSearch([KnownValue(KnownVersion("OURS", "1", "current", "CURRENT"), SecretValue(OURS))], KEY)
    gone = KnownVersion("GONE", "1", "retired", "RETIRED")
    retired = RetiredLookup([Remembered(KEY.fingerprint(GONE), len(GONE), alphabet_of(GONE), gone)], KEY)
    made: list[Looking] = []
    for files, folder in ((FILES, compiled_rules), ([few], None)):
        matcher, templates = open_matcher(files, folder), templates_of(files)
        for ours in ((None, None), (known, None), (known, retired)):
            values = [value.decode() for value, search in zip((OURS, GONE), ours, strict=True) if search]
            found = templates + values * (1 + len(templates) // 10)
            made.append(Looking(Examiner(matcher, *ours), Examiner(matcher, *ours), found))
    return dict(zip(LOOKED_FOR, made, strict=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for repositories, which is one itself."""
    return Repo(tmp_path_factory.mktemp("CLEAR")).folder


# text with secrets in it


@cache
def expanded(template: str, seed: int) -> bytes:
    return expand(template, random.Random(seed)).encode()


LONG = b"what stands around it is encoded with it\n" * 40
ENCODINGS: list[Callable[[bytes], bytes]] = [
    b64encode,
    urlsafe_b64encode,
    encodebytes,
    lambda text: b64encode(b"x" + text),
    lambda text: b64encode(b"user:" + text + b"\n"),
    lambda text: b64encode(b64encode(b"key=" + text)),
    lambda text: text.hex().encode(),
    lambda text: quote(text, safe="").encode(),
    lambda text: text.decode().encode("utf-16-le"),
    lambda text: text.replace(b'"', b'\\"').replace(b"/", b"\\/").replace(b"=", b"\\u003d"),
    lambda text: b64encode(LONG + text + LONG),
    lambda text: encodebytes(LONG + text + LONG),
    lambda text: (LONG + text + LONG).hex().encode(),
]
GLUE = [
    *(b"", b" ", b"\n", b"\n\n", b'"', b"'", b"=", b": ", b"x", b"0", b"\t", b"/", b"\\n", b"\0", b"-", b"_", b"%20"),
    *(
        b"\r\n",
        b"# ",
        b" # a comment",
        b"//",
        b"password = ",
        b"token: ",
        b"example",
        b"xxxx",
        b"<",
        b"${",
        b"A" * 40,
        b"{{",
        b"}}",
    ),
]
WORDS = [
    *(b"def", b"return", b"self.value", b"password", b"token", b"= None", b"# secret", b"key:", b"login", b"machine"),
    *(b"user@example.org", b"http://", b"0x1f", b"{", b"});", b"api_key", b"bearer", b"the", b"of", b"a9f3", b"\xff"),
]


def secret(generator: random.Random, templates: list[str]) -> bytes:
    """Return a secret, as it is or encoded."""
    plain = expanded(generator.choice(templates), generator.randrange(3))
    return generator.choice(ENCODINGS)(plain) if generator.random() < 0.3 else plain


def filler(generator: random.Random, size: int) -> bytes:
    """Return lines without secrets, but with words that some rules look for."""
    lines: list[bytes] = []
    while size > 0:
        lines.append(b" ".join(generator.choices(WORDS, k=generator.randrange(9))))
        size -= len(lines[-1]) + 1
    return b"\n".join(lines)


def beginning(generator: random.Random, templates: list[str]) -> tuple[bytes, list[bytes]]:
    """Return a first version, and the secrets in it."""
    secrets = [secret(generator, templates) for _ in range(generator.randrange(1, 5))]
    parts: list[bytes] = []
    for each in secrets:
        # An answer depends on some hundred bytes around a token, on 16 KiB around others, on 64 KiB around base64.
        size = generator.choice([0, 0, 40, 300, 1_200, 3_000, 9_000, 20_000 if generator.random() < 0.5 else 70_000])
        parts += [filler(generator, size), generator.choice(GLUE), each, generator.choice(GLUE)]
    parts.append(filler(generator, generator.choice([0, 0, 200, 3_000])))
    return b"".join(parts), secrets


class Chain:
    """A file whose next version is made of its last one.

    Args:
        generator: Where randomness comes from.
        looking: What is looked for; edits are made at the edges of what an answer depends on, too.
    """

    def __init__(self, generator: random.Random, looking: Looking) -> None:
        self._generator = generator
        self._examiner = looking.alone
        self._templates = looking.templates
        text, self._secrets = beginning(generator, self._templates)
        self.versions = [text]

    def grow(self) -> None:
        """Make another version."""
        text = self.versions[-1]
        kind = self._generator.random()
        if kind < 0.1:
            text = self._generator.choice(self.versions)
        if kind < 0.4:
            text = self._pushed(text)
        for _ in range(self._generator.choice([0, 0, 0, 1] if kind < 0.4 else [1, 1, 1, 2, 3])):
            text = self._edited(text)
        self.versions.append(text)

    def _pushed(self, text: bytes) -> bytes:
        """Put something in, or take something out, so that what is behind it moves."""
        at = self._generator.choice([0, self._generator.randrange(len(text) + 1)])
        size = self._generator.choice([40, 400, 3_000, 10_000])
        return self._generator.choice(
            [text[:at] + filler(self._generator, size) + text[at:], text[:at] + text[at + size :]]
        )

    def _edited(self, text: bytes) -> bytes:
        generator = self._generator
        at = min(max(self._place(text), 0), len(text))
        glue = generator.choice(GLUE)
        match generator.randrange(16):
            case 0 | 1 | 2:
                return text[:at] + glue + text[at:]
            case 3 | 4:
                return text[:at] + text[at + 1 :]
            case 5 | 6:
                return text[:at] + generator.choice([b"x", b"\n", b"0", b" ", b'"', b"="]) + text[at + 1 :]
            case 7:
                return text[:at] + text[at + generator.choice([2, 10, 40, 300]) :]
            case 8:  # two lines become one
                end = text.find(b"\n", at)
                return text[:end] + text[end + 1 :] if end >= 0 else text + b"\n"
            case 9:
                self._secrets.append(secret(generator, self._templates))
                return text[:at] + glue + self._secrets[-1] + generator.choice(GLUE) + text[at:]
            case 10:  # some of it goes elsewhere
                some, rest = text[at : at + 400], text[:at] + text[at + 400 :]
                to = generator.randrange(len(rest) + 1)
                return rest[:to] + some + rest[to:]
            case 11:
                return text[:at] + text[max(0, at - generator.choice([1, 50, 500])) :]
            case 12:
                return generator.choice([text[at:], text[:at]]) if generator.random() < 0.3 else text
            case 13 | 14:  # what a word is depends on the byte behind it, and a password on its line
                before = max(0, at - generator.choice([0, generator.randrange(350)]))
                return text[:before] + generator.choice([b"0", b"{{ ", b"}} ", b"\n"]) + text[before:]
            case _:  # two files become one
                other, secrets = beginning(generator, self._templates)
                self._secrets += secrets
                return generator.choice([other + text, text + other, text[:at] + other])

    def _place(self, text: bytes) -> int:
        """Return where to edit: at a secret, at an edge of what the answer depends on, or anywhere."""
        generator = self._generator
        anywhere = generator.randrange(len(text) + 1)
        kind = generator.random()
        if kind < 0.15:
            return anywhere
        if kind < 0.5:
            areas: list[tuple[int, int]] = []
            self._examiner.examine(text, areas=areas)
            edges = [edge for area in areas for edge in area if 0 <= edge <= len(text)]
            return generator.choice(edges or [anywhere]) + generator.randint(-3, 3)
        chosen = generator.choice(self._secrets)
        begin = text.find(chosen, anywhere) if generator.random() < 0.5 else text.find(chosen)
        if begin < 0:
            return anywhere
        end = begin + len(chosen)
        inside = generator.randrange(begin, end)
        line = text.rfind(b"\n", 0, begin)
        behind = text.find(b"\n", end)
        margin = end + generator.choice([-1, 1]) * self._examiner.margin
        edges = [begin, begin - 1, begin + 1, end - 1, end, end, end + 1, line, line + 1, behind, margin]
        return generator.choice([*edges, *[inside] * 4])


def chains(generator: random.Random, lengths: Sequence[int], looking: Looking) -> list[list[bytes]]:
    """Return the versions of files; some of one file's are another one's too."""
    made: list[Chain] = []
    for length in lengths:
        chain = Chain(generator, looking)
        if made and generator.random() < 0.3:
            chain.versions[0] = generator.choice(generator.choice(made).versions)
        made.append(chain)
        for _ in range(length - 1):
            chain.grow()
    return [chain.versions for chain in made]


seeds = st.integers(0, 1 << 32)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=3)


# candidates


class Laid(NamedTuple):
    """Objects as ``git cat-file --batch`` writes them."""

    piece: Piece
    content: bytes
    path_of: dict[bytes, bytes]
    objects: list[bytes]


def laid_out(files: Sequence[Sequence[bytes]], generator: random.Random, templates: list[str]) -> Laid:
    """Lay out versions of files, with objects between them that are no versions of a file."""
    headers: list[bytes] = []
    contents: list[bytes] = []
    path_of: dict[bytes, bytes] = {}

    def put(data: bytes, path: bytes) -> None:
        id_ = hashlib.sha1(data).hexdigest().encode()
        if data in contents:  # Git has each content once
            return
        if path:
            path_of[id_] = path
        headers.append(b"%b %b %d" % (id_, b"blob" if path else b"commit", len(data)))
        contents.append(data)

    for number, versions in enumerate(files):
        for data in versions:
            put(data, b"file %d" % number)
            if templates and generator.random() < 0.05:
                put(secret(generator, templates), b"")
    content = b"".join(header + b"\n" + data + b"\n" for header, data in zip(headers, contents, strict=True))
    return Laid(Piece.of(headers), content, path_of, contents)


@pytest.fixture(autouse=True)
def exact_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences begin and end where text does differ: with some more around them, mistakes would be covered."""
    monkeypatch.setattr(differences_module, "_NEAR_ENOUGH", 1)


ANY_FIXTURE = [HealthCheck.function_scoped_fixture]
"""The one that is meant is the same for all examples."""


@pytest.mark.parametrize("looked_for", LOOKED_FOR)
@settings(max_examples=60, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(seed=seeds, lengths=lengths)
def test_the_candidates_are_those_of_each_object_alone(
    seed: int, lengths: list[int], looked_for: str, looking_for: dict[str, Looking]
) -> None:
    looking, generator = looking_for[looked_for], random.Random(seed)
    laid = laid_out(chains(generator, lengths, looking), generator, looking.templates)
    for position, data in enumerate(laid.objects):
        begin, end = laid.piece.span_of(position)
        assert laid.content[begin:end] == data, "the test lays them out as Git does"
    found = survey(laid.piece, laid.content, laid.path_of, looking.together).candidates
    for position, data in enumerate(laid.objects):
        told = set(found.get(position, ()))
        alone = looking.alone.survey(b"\n" + data + b"\n")
        expected = {(index, end - 1) for index, end in alone if end - 1 <= len(data)}
        assert told >= expected
        # What stands before an object may give it more of them at its begin; they are no secrets.
        assert all(0 < end <= looking.together.margin for _index, end in told - expected)
        assert all(end <= len(data) for _index, end in told), "nothing is told of what is behind it"


def test_a_version_is_searched_only_where_it_differs(looking_for: dict[str, Looking]) -> None:
    searched: list[int] = []

    class Counting(Examiner):
        def survey(self, buffer: bytes) -> list[tuple[int, int]]:
            searched.append(len(buffer))
            return super().survey(buffer)

    text = filler(random.Random(1), 50_000)
    versions = [text[:20_000] + b"%d" % number + text[20_000:] for number in range(10)]
    laid = laid_out([versions], random.Random(1), [])
    survey(laid.piece, laid.content, laid.path_of, Counting(looking_for["all rules"].alone.matcher))
    assert len(searched) == 1
    assert searched[0] < 2 * len(text)


# secrets


Spots = dict[str, list[tuple[object, ...]]]
"""What was found in objects, by their ids."""


def kept(examined: Examined) -> list[tuple[object, ...]]:
    data = examined.document.data
    assert all(each.decoded or data[each.begin : each.end] == each.value for each in examined.detections)
    return [(*each,) for each in examined.detections]


class LaidReader:
    """Reads objects from where they are laid out, in place of ``ObjectReader``."""

    laid: Laid

    def __init__(self, *_: object) -> None:
        pass

    @contextmanager
    def reading(self) -> Iterator[Callable[[Piece], Iterator[tuple[Piece, bytes]]]]:
        yield lambda piece: iter([(piece, self.laid.content)])


def found_and_expected(
    laid: Laid, structured: dict[bytes, bytes], looking: Looking, place: Path
) -> tuple[Spots, Spots]:
    """Return what is found in objects that are read together, and what is in each of them when it is read alone."""
    coverage = Coverage()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "ObjectReader", type("Reader", (LaidReader,), {"laid": laid}))
        scan = ObjectScan(Repository(place), looking.together, kept, "the objects", coverage, 1)
        scan.structured = structured
        scan.run(laid.piece.headers, laid.path_of)
    assert coverage.is_complete, coverage.unread
    expected: Spots = {}
    for header, data in zip(laid.piece.headers, laid.objects, strict=True):
        id_ = header[: header.index(b" ")]
        detections = looking.alone.examine(data, structured.get(id_, b"").decode())
        if detections:
            expected[id_.decode()] = [(*each,) for each in detections]
    return scan.found, expected


@pytest.mark.parametrize("looked_for", LOOKED_FOR)
@settings(max_examples=100, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(seed=seeds, lengths=lengths)
def test_the_secrets_are_those_of_each_object_alone(
    seed: int, lengths: list[int], looked_for: str, looking_for: dict[str, Looking], place: Path
) -> None:
    looking, generator = looking_for[looked_for], random.Random(seed)
    laid = laid_out(chains(generator, lengths, looking), generator, looking.templates)
    # The same content has such a name elsewhere.
    structured = {id_: STRUCTURED for id_ in laid.path_of if generator.random() < 0.1}
    found, expected = found_and_expected(laid, structured, looking, place)
    assert found == expected


FAR = b"a line that is far from it\n" * 500
TOKEN = b"cnry-value-" + b"0123456789abcdef" * 2
ON_A_LINE = b"x" * 120 + b" password = Ab3dEf6hIj8k\n"
ENCODED = b64encode(LONG + TOKEN + b"\n" + LONG)
NAMED = b"kind: Secret\nstringData:\n  password: Ab3dEf6hIj8k\n"
# What chance makes too rarely: versions of which one has something else in it than the one before.
CASES: dict[str, list[bytes]] = {
    "it moved, and then its end changed": [
        FAR + TOKEN + b"\n" + FAR,
        b"more\n" * 2_000 + FAR + TOKEN + b"\n" + FAR,
        b"more\n" * 2_000 + FAR + TOKEN[:-3] + b"xxx\n" + FAR,
    ],
    "its end changed, far from what is looked for first": [FAR + TOKEN + b"\n", FAR + TOKEN[:-1] + b"\n"],
    "a template begins before it on its line": [
        FAR + ON_A_LINE + FAR,
        FAR + ON_A_LINE[:9] + b"{{ " + ON_A_LINE[9:] + FAR,
    ],
    "a template begins where the file began": [ON_A_LINE + FAR, b"{{ " + ON_A_LINE + FAR],
    "a line ends between them": [
        FAR + b"{{ " + ON_A_LINE + FAR,
        FAR + b"{{ " + ON_A_LINE[:9] + b"\n" + ON_A_LINE[9:] + FAR,
    ],
    "a block is not closed any more": [
        FAR + b"-----BEGIN KEY-----\n" + b"8f3a0c6e91d27b54\n" * 50 + b"-----END KEY-----\n" + FAR,
        FAR + b"-----BEGIN KEY-----\n" + b"8f3a0c6e91d27b54\n" * 50 + b"-----END OF IT-----\n" + FAR,
    ],
    "a word goes on": [FAR + GONE + b"\n" + FAR, FAR + GONE + b"0\n" + FAR],
    "a word ends": [FAR + GONE + b"0\n" + FAR, FAR + GONE + b"\n" + FAR],
    "a value is cut at its end": [FAR + OURS + b"\n" + FAR, FAR + OURS[:-1] + b"\n" + FAR],
    "encoded text is cut before it": [FAR + ENCODED + b"\n", FAR + ENCODED[:400] + b" " + ENCODED[400:] + b"\n"],
    "encoded text is cut behind it": [ENCODED + b"\n" + FAR, ENCODED[:-400] + b" " + ENCODED[-400:] + b"\n" + FAR],
    "the first line decides": [b"\n" + FAR + NAMED, b"[\n" + FAR + NAMED],
    "another secret, far from it": [TOKEN + b"\n" + FAR, TOKEN + b"\n" + FAR + TOKEN + b"\n", TOKEN + b"\n" + FAR],
}


@pytest.mark.parametrize("case", CASES)
def test_each_version_has_its_own_answer(case: str, looking_for: dict[str, Looking], place: Path) -> None:
    laid = laid_out([CASES[case]], random.Random(0), [])
    for looked_for in LOOKED_FOR:
        found, expected = found_and_expected(laid, {}, looking_for[looked_for], place)
        assert found == expected
    # That was the one that looks for everything.
    *_, before, last = [expected.get(header[: header.index(b" ")].decode(), []) for header in laid.piece.headers]
    assert before != last, "the case is none"


def test_a_run_of_utf_16_does_not_go_on_into_the_next_object(looking_for: dict[str, Looking], place: Path) -> None:
    """Little endian ends with a NUL and big endian begins with one: with a line's end between, they may be one run."""
    files = [["a text of some length\n".encode("utf-16-le")], [OURS.decode().encode("utf-16-be")]]
    laid = laid_out(files, random.Random(0), [])
    found, expected = found_and_expected(laid, {}, looking_for["few rules and values"], place)
    assert len(expected) == 1
    assert found == expected


# a history

PATHS = (b"src/app.py", b"home/" + STRUCTURED, b"notes")


def found_in(repository: Repository, examiner: Examiner, cores: int, piece_bytes: int) -> Spots:
    """Return what a scan of the blobs of a history finds, read in pieces of about this size."""
    plan = Plan(Log(repository))
    coverage = Coverage()
    scan = ObjectScan(repository, examiner, kept, "the history", coverage, cores)
    _trees, scan.structured = plan.look_at_names(examiner)
    blobs = {header[: header.index(b" ")]: header for header in list_objects(repository)[0] if b" blob " in header}
    path_of = plan.paths()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "pieces", partial(objects.pieces, byte_count=piece_bytes))
        scan.run([blobs[id_] for id_ in path_of], path_of)
    assert coverage.is_complete, coverage.unread
    assert coverage.counts["blob"] == len(blobs)
    return scan.found


def committed(folder: Path, files: Sequence[Sequence[bytes]]) -> tuple[Repo, dict[bytes, set[bytes]]]:
    """Return a repository with such files, and the names that each content has."""
    repo = Repo(folder)
    names: dict[bytes, set[bytes]] = {}
    stream: list[bytes] = []
    for number in range(max(map(len, files))):
        stream.append(b"commit refs/heads/main\ncommitter A <a> %d +0000\ndata 0\n" % (1_700_000_000 + number))
        for path, versions in zip(PATHS, files, strict=False):
            if number < len(versions):
                names.setdefault(versions[number], set()).add(path)
                stream.append(b"M 100644 inline %b\ndata %d\n" % (path, len(versions[number])))
                stream += [versions[number], b"\n"]
    repo.git("fast-import", "--quiet", given=b"".join(stream))
    return repo, names


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()


def expected_of(names: Mapping[bytes, set[bytes]], examiner: Examiner) -> Spots:
    """Return what is in each blob when nothing else is looked at."""
    found: Spots = {}
    for data, paths in names.items():
        detections = examiner.examine(data, STRUCTURED.decode() if PATHS[1] in paths else "")
        if detections:
            found[blob_id(data)] = [(*each,) for each in detections]
    return found


@pytest.mark.parametrize("looked_for", LOOKED_FOR)
@settings(max_examples=15, deadline=None, suppress_health_check=ANY_FIXTURE)
@given(seed=seeds, lengths=lengths, piece_bytes=st.sampled_from([1 << 25, 1 << 25, 60_000, 5_000]))
def test_the_secrets_in_a_history_are_those_of_each_blob_alone(
    seed: int, lengths: list[int], piece_bytes: int, looked_for: str, looking_for: dict[str, Looking], place: Path
) -> None:
    looking = looking_for[looked_for]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        repo, names = committed(Path(folder), chains(random.Random(seed), lengths, looking))
        expected = expected_of(names, looking.alone)
        for cores in (1, 2):
            assert found_in(Repository(repo.folder), looking.together, cores, piece_bytes) == expected


def test_an_answer_is_taken_over_where_the_difference_is_elsewhere(
    looking_for: dict[str, Looking], place: Path
) -> None:
    examined: list[int] = []

    class Counting(Examiner):
        def examine(self, data: bytes, *rest: Any, **more: Any) -> list[Detection]:
            examined.append(len(data))
            return super().examine(data, *rest, **more)

    token = b"\nkey = cnry-value-" + b"0123456789abcdef" * 2 + b"\n"
    lines = [b"line %d of a text" % number for number in range(1_000)]
    versions = [b"\n".join(lines[number:]) + token + b"\n".join(lines[: 500 + number]) for number in range(10)]
    repo, names = committed(place / "taken-over", [versions])
    alone = looking_for["all rules"].alone
    found = found_in(Repository(repo.folder), Counting(alone.matcher), 1, 1 << 25)
    assert len(examined) == 1
    assert len(found) == len(versions)
    assert found == expected_of(names, alone)
