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
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaks.compiled_rules import CANARY_RULE, compiled_rules  # noqa: F401 - a fixture
from tests.leaks.repositories import Repo
from vantage_secrets.leaks.examination import Detection, Examiner
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.finding import Coverage, KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.history import objects, scanning
from vantage_secrets.leaks.history.log import Log
from vantage_secrets.leaks.history.objects import Piece, list_objects
from vantage_secrets.leaks.history.plan import Plan
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.history.survey import survey
from vantage_secrets.leaks.known import KnownSearch, KnownValue, RetiredLookup
from vantage_secrets.leaks.known.retired import Remembered, alphabet_of
from vantage_secrets.leaks.matching import Matcher, open_matcher
from vantage_secrets.leaks.ruleset import load_rules, rule_files
from vantage_secrets.secret import SecretValue

FILES = rule_files([CANARY_RULE])
TEMPLATES = [
    template for rule in load_rules(FILES) for template in (*rule.positive, *rule.positive, *rule.negative[:1])
]
KEY = FingerprintKey(b"a key of the tests, 32 bytes long")
OURS = b"Kx7-vantage_Worker.Password3"
GONE = b"Zq81WoW0retired0Value7Gh"
STRUCTURED = "home/.netrc"
PATHS = ("src/app.py", STRUCTURED, "notes")
LOOKED_FOR = ("rules", "rules and values", "rules, values and retired values")


class Examiners(NamedTuple):
    """Two that look for the same; the second one examines objects alone and remembers nothing of the first one's."""

    together: Examiner
    alone: Examiner


@pytest.fixture(scope="module")
def matcher(compiled_rules: Path) -> Matcher:  # noqa: F811 - the fixture
    return open_matcher(FILES, compiled_rules)


@pytest.fixture(scope="module")
def examiners(matcher: Matcher) -> dict[str, Examiners]:
    known = KnownSearch([KnownValue(KnownVersion("OURS", "1", "current", "CURRENT"), SecretValue(OURS))], KEY)
    gone = KnownVersion("GONE", "1", "retired", "RETIRED")
    retired = RetiredLookup([Remembered(KEY.fingerprint(GONE), len(GONE), alphabet_of(GONE), gone)], KEY)
    looks = ((None, None), (known, None), (known, retired))
    made = [Examiners(Examiner(matcher, *look), Examiner(matcher, *look)) for look in looks]
    return dict(zip(LOOKED_FOR, made, strict=True))


# text with secrets in it


@cache
def expanded(number: int, seed: int) -> bytes:
    return expand(TEMPLATES[number], random.Random(seed)).encode()


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
]
GLUE = [
    *(b"", b" ", b"\n", b"\n\n", b'"', b"'", b"=", b": ", b"x", b"0", b"\t", b"/", b"\\n", b"\0", b"-", b"_", b"%20"),
    *(b"\r\n", b"# ", b" # a comment", b"//", b"password = ", b"token: ", b"example", b"xxxx", b"<", b"${", b"A" * 40),
]
WORDS = [
    *(b"def", b"return", b"self.value", b"password", b"token", b"= None", b"# secret", b"key:", b"login", b"machine"),
    *(b"user@example.org", b"http://", b"0x1f", b"{", b"});", b"api_key", b"bearer", b"the", b"of", b"a9f3", b"\xff"),
]


def secret(generator: random.Random) -> bytes:
    """Return a secret, as it is or encoded."""
    kind = generator.random()
    if kind < 0.15:
        plain = OURS
    elif kind < 0.25:
        plain = GONE
    else:
        plain = expanded(generator.randrange(len(TEMPLATES)), generator.randrange(3))
    return generator.choice(ENCODINGS)(plain) if generator.random() < 0.25 else plain


def filler(generator: random.Random, size: int) -> bytes:
    """Return lines without secrets, but with words that some rules look for."""
    lines: list[bytes] = []
    while size > 0:
        lines.append(b" ".join(generator.choices(WORDS, k=generator.randrange(9))))
        size -= len(lines[-1]) + 1
    return b"\n".join(lines)


def beginning(generator: random.Random) -> tuple[bytes, list[bytes]]:
    """Return a first version, and the secrets in it."""
    secrets = [secret(generator) for _ in range(generator.randrange(1, 5))]
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
        examiner: Tells what its answers depend on, so that edits are made at the edges of that.
    """

    def __init__(self, generator: random.Random, examiner: Examiner) -> None:
        self._generator = generator
        self._examiner = examiner
        text, self._secrets = beginning(generator)
        self.versions = [text]

    def grow(self) -> None:
        """Make another version."""
        text = self.versions[-1]
        if self._generator.random() < 0.1:
            text = self._generator.choice(self.versions)
        for _ in range(self._generator.choice([1, 1, 1, 2, 3])):
            text = self._edited(text)
        self.versions.append(text)

    def _edited(self, text: bytes) -> bytes:
        generator = self._generator
        at = min(max(self._place(text), 0), len(text))
        glue = generator.choice(GLUE)
        match generator.randrange(14):
            case 0 | 1 | 2:
                return text[:at] + glue + text[at:]
            case 3 | 4:
                return text[:at] + text[at + 1 :]
            case 5 | 6:
                return text[:at] + generator.choice([b"x", b"\n", b"0", b" ", b'"', b"="]) + text[at + 1 :]
            case 7:
                return text[:at] + text[at + generator.choice([2, 10, 40, 300, 5_000]) :]
            case 8:  # two lines become one
                end = text.find(b"\n", at)
                return text[:end] + text[end + 1 :] if end >= 0 else text + b"\n"
            case 9:
                self._secrets.append(secret(generator))
                return text[:at] + glue + self._secrets[-1] + generator.choice(GLUE) + text[at:]
            case 10:  # some of it goes elsewhere
                some, rest = text[at : at + 400], text[:at] + text[at + 400 :]
                to = generator.randrange(len(rest) + 1)
                return rest[:to] + some + rest[to:]
            case 11:
                return text[:at] + text[max(0, at - generator.choice([1, 50, 500])) :]
            case 12:
                return generator.choice([text[at:], text[:at]])
            case _:  # two files become one
                other, secrets = beginning(generator)
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
        places = [begin, begin - 1, begin + 1, inside, inside, end - 1, end, end + 1, line, line + 1, behind, margin]
        return generator.choice(places)


def chains(seed: int, lengths: Sequence[int], examiner: Examiner) -> list[list[bytes]]:
    """Return the versions of files; some of one file's are another one's too."""
    generator = random.Random(seed)
    made: list[Chain] = []
    for length in lengths:
        chain = Chain(generator, examiner)
        if made and generator.random() < 0.3:
            chain.versions[0] = generator.choice(generator.choice(made).versions)
        made.append(chain)
        for _ in range(length - 1):
            chain.grow()
    return [chain.versions for chain in made]


seeds = st.integers(0, 1 << 32)
lengths = st.lists(st.integers(1, 7), min_size=1, max_size=3)


# candidates


class Laid(NamedTuple):
    """Objects as ``git cat-file --batch`` writes them."""

    piece: Piece
    content: bytes
    path_of: dict[bytes, bytes]
    objects: list[bytes]


def laid_out(files: Sequence[Sequence[bytes]], generator: random.Random) -> Laid:
    """Lay out versions of files, with objects between them that are no versions of a file."""
    headers: list[bytes] = []
    contents: list[bytes] = []
    path_of: dict[bytes, bytes] = {}

    def put(data: bytes, path: bytes) -> None:
        id_ = hashlib.sha1(b"%d %b" % (len(headers), data)).hexdigest().encode()
        if path:
            path_of[id_] = path
        headers.append(b"%b %b %d" % (id_, b"blob" if path else b"commit", len(data)))
        contents.append(data)

    for number, versions in enumerate(files):
        for data in versions:
            put(data, b"file %d" % number)
            if generator.random() < 0.05:
                put(secret(generator), b"")
    content = b"".join(header + b"\n" + data + b"\n" for header, data in zip(headers, contents, strict=True))
    return Laid(Piece.of(headers), content, path_of, contents)


@pytest.mark.parametrize("looked_for", LOOKED_FOR)
@settings(max_examples=60, deadline=None)
@given(seed=seeds, lengths=lengths)
def test_the_candidates_are_those_of_each_object_alone(
    seed: int, lengths: list[int], looked_for: str, examiners: dict[str, Examiners]
) -> None:
    together, alone = examiners[looked_for]
    laid = laid_out(chains(seed, lengths, alone), random.Random(seed))
    for position, data in enumerate(laid.objects):
        begin, end = laid.piece.span_of(position)
        assert laid.content[begin:end] == data, "the test lays them out as Git does"
    found = survey(laid.piece, laid.content, laid.path_of, together).candidates
    for position, data in enumerate(laid.objects):
        told = set(found.get(position, ()))
        expected = {(index, end - 1) for index, end in alone.survey(b"\n" + data + b"\n") if end - 1 <= len(data)}
        assert told >= expected
        # What stands before an object may give it more of them at its begin; they are no secrets.
        assert all(0 < end <= together.margin for _index, end in told - expected)
        assert all(end <= len(data) for _index, end in told), "nothing is told of what is behind it"


def test_a_version_is_searched_only_where_it_differs(examiners: dict[str, Examiners]) -> None:
    searched: list[int] = []

    class Counting(Examiner):
        def survey(self, buffer: bytes) -> list[tuple[int, int]]:
            searched.append(len(buffer))
            return super().survey(buffer)

    text = filler(random.Random(1), 50_000)
    laid = laid_out([[text[:20_000] + b"%d" % number + text[20_000:] for number in range(10)]], random.Random(1))
    survey(laid.piece, laid.content, laid.path_of, Counting(examiners["rules"].alone.matcher))
    assert len(searched) == 1
    assert searched[0] < 2 * len(text)


# secrets


Spots = dict[str, list[tuple[object, ...]]]
"""What was found in objects, by their ids."""


def spot(detection: Detection) -> tuple[object, ...]:
    return (*detection,)


def kept(examined: Examined) -> list[tuple[object, ...]]:
    data = examined.document.data
    assert all(each.decoded or each.known or data[each.begin : each.end] == each.value for each in examined.detections)
    return [spot(each) for each in examined.detections]


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


def committed(folder: Path, files: Sequence[Sequence[bytes]]) -> tuple[Repo, dict[bytes, set[str]]]:
    """Return a repository with such files, and the names that each content has."""
    repo = Repo(folder)
    names: dict[bytes, set[str]] = {}
    stream: list[bytes] = []
    for number in range(max(map(len, files))):
        stream.append(b"commit refs/heads/main\ncommitter A <a> %d +0000\ndata 0\n" % (1_700_000_000 + number))
        for path, versions in zip(PATHS, files, strict=False):
            if number < len(versions):
                names.setdefault(versions[number], set()).add(path)
                stream.append(b"M 100644 inline %b\ndata %d\n" % (path.encode(), len(versions[number])))
                stream += [versions[number], b"\n"]
    repo.git("fast-import", "--quiet", given=b"".join(stream))
    return repo, names


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()


def expected_of(names: Mapping[bytes, set[str]], examiner: Examiner) -> Spots:
    """Return what is in each blob when nothing else is looked at."""
    found: Spots = {}
    for data, paths in names.items():
        name = ".netrc" if STRUCTURED in paths else ""
        spots = [spot(each) for each in examiner.examine(data, name)]
        if spots:
            found[blob_id(data)] = spots
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("CLEAR")


@pytest.mark.parametrize("looked_for", LOOKED_FOR)
@settings(max_examples=40, deadline=None)
@given(seed=seeds, lengths=lengths, piece_bytes=st.sampled_from([1 << 25, 1 << 25, 60_000, 5_000]))
def test_the_secrets_in_a_history_are_those_of_each_blob_alone(
    seed: int,
    lengths: list[int],
    piece_bytes: int,
    looked_for: str,
    examiners: dict[str, Examiners],
    place: Path,
) -> None:
    together, alone = examiners[looked_for]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        repo, names = committed(Path(folder), chains(seed, lengths, alone))
        expected = expected_of(names, alone)
        for cores in (1, 2):
            assert found_in(Repository(repo.folder), together, cores, piece_bytes) == expected


def test_an_answer_is_taken_over_where_the_difference_is_elsewhere(
    examiners: dict[str, Examiners], place: Path
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
    alone = examiners["rules"].alone
    found = found_in(Repository(repo.folder), Counting(alone.matcher), 1, 1 << 25)
    assert len(examined) == 1
    assert len(found) == len(versions)
    assert found == expected_of(names, alone)
