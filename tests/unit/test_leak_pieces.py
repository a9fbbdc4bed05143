"""Documents in pieces: nothing is lost at a seam, nothing is told twice, and lines are right."""

from __future__ import annotations

import io
import os
import random
import re
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources import pieces, stream
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.pieces import read_in_pieces
from vantage_secrets.leaks.sources.stream import StreamSource

PLACE = Place("somewhere")
MARK = re.compile(rb"<\d+>")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces of a few hundred bytes, so that small data has many seams."""
    for module in (pieces, stream):
        monkeypatch.setattr(module, "PIECE_BYTES", 256)
        monkeypatch.setattr(module, "OVERLAP_BYTES", 64)
        monkeypatch.setattr(module, "_MARGIN", 32)
    monkeypatch.setattr(stream, "_CHUNK_BYTES", 50)


def told(documents: Iterator[Document]) -> list[tuple[bytes, int, int]]:
    """Return each mark that a document owns, with its line and column in the whole, from 0."""
    found = []
    for document in documents:
        for match in MARK.finditer(document.data):
            if document.owns(match.end()):
                before = document.data[: match.start()]
                line = before.count(b"\n")
                column = match.start() - before.rfind(b"\n") - 1 + (0 if line else document.column_offset)
                found.append((match[0], document.line_offset + line, column))
    return found


def where(data: bytes) -> list[tuple[bytes, int, int]]:
    return [
        (match[0], data.count(b"\n", 0, match.start()), match.start() - data.rfind(b"\n", 0, match.start()) - 1)
        for match in MARK.finditer(data)
    ]


def text_of(seed: int, count: int, gap: int) -> bytes:
    generator = random.Random(seed)
    parts = []
    for number in range(count):
        filling = generator.choices(b"abc \n" if generator.random() < 0.8 else b"abc", k=generator.randrange(gap))
        parts += [bytes(filling), b"<%d>" % number]
    return b"".join(parts)


def from_pipe(data: bytes) -> Iterator[Document]:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield from StreamSource(reading).documents(Coverage())
    finally:
        writer.join()
        os.close(reading)


READERS: dict[str, Callable[[bytes], Iterator[Document]]] = {
    "file": lambda data: read_in_pieces(io.BytesIO(data).read, PLACE),
    "stream": from_pipe,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), gap=st.sampled_from([2, 30, 400]))
def test_every_mark_is_told_once_at_its_line_and_column(
    read: Callable[[bytes], Iterator[Document]], seed: int, count: int, gap: int
) -> None:
    data = text_of(seed, count, gap)
    assert told(read(data)) == where(data)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513])
def test_pieces_of_any_size_own_each_byte_once(size: int) -> None:
    owned = [
        document.line_offset + document.column_offset + index
        for document in read_in_pieces(io.BytesIO(bytes(size)).read, PLACE)
        for index in range(1, len(document.data) + 1)
        if document.owns(index)
    ]
    assert owned == list(range(1, size + 1))


def test_what_is_short_is_no_piece() -> None:
    assert [document.is_piece for document in read_in_pieces(io.BytesIO(b"short").read, PLACE)] == [False]
    assert all(document.is_piece for document in read_in_pieces(io.BytesIO(bytes(1_000)).read, PLACE))


def test_a_reader_that_gives_a_byte_at_a_time_gives_the_same() -> None:
    data = text_of(1, 50, 30)
    file = io.BytesIO(data)
    assert told(read_in_pieces(lambda _size: file.read(1), PLACE)) == where(data)


def test_whole_lines_of_a_stream_are_told_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WAIT_SECONDS", 0.01)
    reading, writing = os.pipe()
    documents = StreamSource(reading).documents(Coverage())
    os.write(writing, b"first <1>\nsecond <")
    assert next(documents).data == b"first <1>\n"
    os.write(writing, b"2>\n")
    later = next(documents)
    assert later.data.endswith(b"second <2>\n")
    os.close(writing)
    assert list(documents) == []
    os.close(reading)
    assert told(iter([later])) == [(b"<2>", 1, 7)]


def test_a_value_over_several_lines_is_told_though_its_lines_came_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WAIT_SECONDS", 0.01)
    reading, writing = os.pipe()
    documents = StreamSource(reading).documents(Coverage())
    os.write(writing, b"BEGIN\n")
    first = next(documents)
    os.write(writing, b"END\n")
    second = next(documents)
    os.close(writing)
    os.close(reading)
    assert not first.data.endswith(b"END\n")
    assert second.data == b"BEGIN\nEND\n"
    assert second.owns(len(second.data))
    assert not second.owns(len(b"BEGIN"))


def test_an_empty_stream_has_no_documents_and_counts_as_read() -> None:
    coverage = Coverage()
    reading, writing = os.pipe()
    os.close(writing)
    assert list(StreamSource(reading).documents(coverage)) == []
    os.close(reading)
    assert coverage.counts == {"stream": 1}
    assert coverage.is_complete


def test_a_stream_that_cannot_be_read_is_not_complete() -> None:
    coverage = Coverage()
    folder = os.open("/", os.O_RDONLY)
    assert list(StreamSource(folder).documents(coverage)) == []
    os.close(folder)
    assert [one.reason for one in coverage.unread] == ["is a directory; the rest was not read"]
