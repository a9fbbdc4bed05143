"""What is inside archives is read, within limits; what is not read is told."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.archives import COMPRESSIONS, make_tar, make_zip
from vantage_secrets.leaks.finding import Confidence, Coverage, Finding, Place
from vantage_secrets.leaks.sources.archives import Limits, members_of, members_of_file, sized, told_once
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import archive_kind

FILES = {"a/one.txt": b"first\n", "b": b"second\n"}


def inside(
    data: bytes, coverage: Coverage | None = None, limits: Limits | None = None, name: str = "x"
) -> dict[str, bytes]:
    coverage = Coverage() if coverage is None else coverage
    found = list(members_of(Document(Place("tree", name), data), coverage, limits))
    paths = [document.place.path for document in found]
    assert len(paths) == len(set(paths)), "a member came twice"
    assert {document.place.kind for document in found} <= {"member"}
    return {document.place.path.removeprefix(f"{name}!"): document.data for document in found}


def missed(data: bytes, limits: Limits | None = None, name: str = "x") -> dict[str, str]:
    coverage = Coverage()
    for document in members_of(Document(Place("tree", name), data), coverage, limits):
        assert len(document.data) < 10_000_000
    return {one.place.path: one.reason for one in coverage.unread}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_a_tar_are_read(form: int) -> None:
    coverage = Coverage()
    assert inside(make_tar(FILES, form), coverage) == FILES
    assert coverage.is_complete
    assert coverage.counts == {"member": 2}
    assert coverage.byte_count == 13


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_members_of_a_compressed_tar_stand_beside_it_without_a_step_between(compression: str) -> None:
    assert inside(COMPRESSIONS[compression](make_tar(FILES))) == FILES


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_a_zip_are_read(method: int) -> None:
    assert inside(make_zip(FILES, method)) == FILES


@pytest.mark.parametrize(
    ("name", "inner"),
    [("app.log.gz", "app.log"), ("a/x.svgz", "x.svg"), ("noending", "content"), (".gz", "content"), ("", "content")],
)
def test_the_content_of_a_compressed_file_has_its_name(name: str, inner: str) -> None:
    coverage = Coverage()
    found = list(members_of(Document(Place("tree", name), gzip.compress(b"log")), coverage))
    assert [document.place.path for document in found] == [f"{name}!{inner}" if name else inner]


def test_archives_are_known_by_their_bytes_whatever_their_name() -> None:
    assert archive_kind(make_tar(FILES)) == "tar"
    assert archive_kind(b"plain text, not an archive at all") == ""
    assert archive_kind(b"BZh is how this sentence begins") == ""
    assert archive_kind(b"") == ""


def test_a_tar_of_the_oldest_format_is_known() -> None:
    data = bytearray(make_tar(FILES, tarfile.USTAR_FORMAT))
    for at in (0, 1024):
        data[at + 257 : at + 265] = bytes(8)
        data[at + 148 : at + 156] = b"%06o\0 " % (sum(data[at : at + 148]) + 256 + sum(data[at + 156 : at + 512]))
    assert archive_kind(bytes(data)) == "tar"
    assert inside(bytes(data)) == FILES


def test_a_zip_behind_something_else_is_found() -> None:
    assert inside(b"#!/usr/bin/env python3\n" + make_zip(FILES)) == FILES


def test_archives_inside_archives_are_followed() -> None:
    jar = make_zip({"conf/app.yml": b"deep"})
    war = make_zip({"lib/inner.jar": jar})
    layer = make_tar({"opt/app.war": war, "etc/x.gz": gzip.compress(b"text")})
    assert inside(COMPRESSIONS["xz"](layer)) == {
        "opt/app.war!lib/inner.jar!conf/app.yml": b"deep",
        "etc/x.gz!x": b"text",
    }


def test_archives_too_deep_are_told() -> None:
    data = make_zip({"f": b"x"})
    for _ in range(4):
        data = make_zip({"z": data})
    assert missed(data) == {}
    assert missed(make_zip({"z": data})) == {"x!z!z!z!z!z": "an archive inside 5 others"}


@pytest.mark.parametrize(
    ("mark", "kind"),
    [(b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07\x01\0", "RAR"), (b"\x28\xb5\x2f\xfd\0", "Zstandard")],
)
def test_archives_that_cannot_be_expanded_are_told(mark: bytes, kind: str) -> None:
    assert missed(mark + bytes(100)) == {"x": f"{kind}, which cannot be expanded here"}
    assert missed(make_tar({"in": mark + bytes(100)})) == {"x!in": f"{kind}, which cannot be expanded here"}


def test_names_that_lead_elsewhere_lead_nowhere() -> None:
    names = ["../../etc/passwd", "/etc/shadow", "a\nb"]
    expected = ["../../etc/passwd", "/etc/shadow", "a\\nb"]
    assert sorted(inside(make_tar(dict.fromkeys(names, b"x")))) == sorted(expected)


def test_links_devices_and_folders_of_a_tar_hold_no_content() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)):
            header = tarfile.TarInfo(f"member-{number}")
            header.type, header.linkname = kind, "/etc/passwd"
            archive.addfile(header)
    coverage = Coverage()
    assert inside(out.getvalue(), coverage) == {}
    assert coverage.is_complete


def test_comments_of_a_zip_are_read() -> None:
    assert inside(make_zip({"a": b"x"}, comment=b"by the way")) == {"a": b"x", "comments": b"by the way"}


# damage


@pytest.mark.parametrize("compression", [None, *COMPRESSIONS])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_what_was_read_before_the_damage_is_kept_and_the_damage_told(compression: str | None, share: float) -> None:
    generator = random.Random(1)
    files = {f"f{number:02}": generator.randbytes(30_000) for number in range(20)}
    data = make_tar(files)
    data = COMPRESSIONS[compression](data) if compression else data[:-9_000]  # the end mark is long
    coverage = Coverage()
    found = inside(data[: int(len(data) * share)], coverage)
    complete = [name for name, content in found.items() if files[name] == content]
    assert len(complete) >= (0 if compression == "bz2" else int(20 * share) - 3)
    assert len(found) <= len(complete) + 1
    assert not coverage.is_complete


def test_a_tar_that_is_cut_between_two_members_is_told() -> None:
    data = make_tar(FILES)
    assert missed(data[: 512 + 512]) == {"x": "damaged tar archive (ReadError); the rest was not read"}


def test_a_header_that_is_none_is_no_end() -> None:
    data = bytearray(make_tar(FILES))
    data[1024:1034] = b"destroyed!"
    coverage = Coverage()
    assert inside(bytes(data), coverage) == {"a/one.txt": b"first\n"}
    assert not coverage.is_complete


def test_what_follows_the_end_of_a_tar_is_told() -> None:
    assert "x" in missed(make_tar(FILES) + make_tar({"more": b"x"}))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compressed_streams_one_after_the_other_are_one(compression: str) -> None:
    pack = COMPRESSIONS[compression]
    coverage = Coverage()
    assert inside(pack(b"one,") + pack(b"") + pack(b"two") + bytes(512), coverage) == {"content": b"one,two"}
    assert coverage.is_complete


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_flipped_bit_in_a_compressed_file_is_told(compression: str) -> None:
    data = bytearray(COMPRESSIONS[compression](random.Random(2).randbytes(100_000)))
    data[len(data) // 2] ^= 1
    assert "x" in missed(bytes(data))


def test_a_damaged_member_of_a_zip_ends_not_the_others() -> None:
    generator = random.Random(3)
    files = {name: generator.randbytes(5_000) for name in "abc"}
    data = bytearray(make_zip(files, zipfile.ZIP_STORED))
    data[data.find(files["b"]) + 100] ^= 1
    coverage = Coverage()
    found = inside(bytes(data), coverage)
    assert found["a"] == files["a"]
    assert found["c"] == files["c"]
    assert {one.place.path: one.reason for one in coverage.unread} == {"x!b": "damaged (BadZipFile)"}


def test_an_encrypted_member_is_told() -> None:
    data = bytearray(make_zip(FILES))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + at] |= 1
    coverage = Coverage()
    assert inside(bytes(data), coverage) == {"b": b"second\n"}
    assert {one.place.path: one.reason for one in coverage.unread} == {"x!a/one.txt": "encrypted"}


def test_a_member_of_a_method_that_is_not_known_is_told() -> None:
    data = bytearray(make_zip({"a": b"x"}))
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.find(mark) + at] = 93
    assert missed(bytes(data)) == {"x!a": "compressed by method 93, which cannot be expanded here"}


def test_half_a_zip_is_told() -> None:
    data = make_zip({"a": os.urandom(10_000)})
    assert missed(data[:5_000]) == {"x": "damaged zip archive (BadZipFile); the rest was not read"}


def test_a_zip_that_is_cut_behind_one_inside_it_is_told() -> None:
    inner = make_zip({"inner": b"x"})
    data = make_zip({"a.zip": inner, "b": b"y"}, zipfile.ZIP_STORED)
    cut = data[: data.find(inner) + len(inner)]
    assert missed(cut) == {"x": "it begins with members that its directory does not have"}


# limits


def bomb(size: int) -> bytes:
    """Return a gzip of so many megabytes of zeros."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size)) + packer.flush()


def test_a_bomb_is_given_up_by_its_ratio() -> None:
    data = bomb(300)
    assert missed(data, name="b.gz") == {
        "b.gz": "content more than 250 times as large as the archive; the rest was not read"
    }


def test_a_bomb_of_a_tar_whose_member_is_skipped_is_given_up() -> None:
    header = tarfile.TarInfo("zeros")
    header.size = 1 << 40
    packer = zlib.compressobj(9, wbits=31)
    data = packer.compress(header.tobuf()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(300))
    reasons = missed(data + packer.flush(), name="b.tgz")
    assert reasons["b.tgz!zeros"] == "larger than 256 MB"
    assert reasons["b.tgz"] == "content more than 250 times as large as the archive; the rest was not read"


def test_nested_bombs_share_one_budget() -> None:
    inner = make_zip({f"f{number}": bytes(1 << 20) for number in range(5)})
    data = make_zip({f"z{number}": inner for number in range(10)}, zipfile.ZIP_STORED)
    assert missed(data, Limits(expanded_bytes=10 << 20)) == {"x": "more than 10 MB of content; the rest was not read"}


def test_too_many_members_are_told() -> None:
    coverage = Coverage()
    files = {f"f{number}": b"x" for number in range(30)}
    for data in (make_tar(files), make_zip(files)):
        assert len(inside(data, coverage, Limits(member_count=20))) == 20
    assert [one.reason for one in coverage.unread] == ["more than 20 members; the rest was not read"] * 2


def test_a_directory_too_large_is_not_read_into_memory() -> None:
    data = bytearray(make_zip(FILES))
    data[-10:-6] = (200 << 20).to_bytes(4, "little")
    assert missed(bytes(data)) == {"x": "a directory of 200 MB; the rest was not read"}


def test_a_member_too_large_is_told_and_the_others_are_read() -> None:
    files = {"a": b"x" * 2_000, "b": b"y"}
    for data in (make_tar(files), make_zip(files), COMPRESSIONS["gz"](make_tar(files))):
        coverage = Coverage()
        assert inside(data, coverage, Limits(member_bytes=1_000)) == {"b": b"y"}
        assert {one.place.path: one.reason for one in coverage.unread} == {"x!a": "larger than 1000 bytes"}


def test_a_header_that_claims_a_name_of_gigabytes_is_damage() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    data = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    assert missed(data) == {"x": "damaged gzip archive (ReadError); the rest was not read"}


def test_memory_stays_bounded_while_a_large_archive_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        block = random.Random(4).randbytes(1 << 20)
        with tarfile.open(fileobj=out, mode="w|") as archive:
            for number in range(3):
                header = tarfile.TarInfo(f"f{number}")
                header.size = 60 << 20
                archive.addfile(header, _Repeated(block, 60))
    coverage = Coverage()
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            documents = members_of_file(file, "gzip", Place("tree", "large.tar.gz"), coverage)
            size = sum(len(document.data) - document.owns_from for document in documents)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert coverage.is_complete
    assert size >= 180 << 20
    assert peak < 50 << 20


class _Repeated(io.RawIOBase):
    def __init__(self, block: bytes, count: int) -> None:
        self._block, self._left = block, count * len(block)

    def read(self, size: int = -1) -> bytes:
        data = self._block[: min(size, self._left)]
        self._left -= len(data)
        return data


def test_a_zip_too_large_to_be_held_is_told_where_it_cannot_be_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vantage_secrets.leaks.sources.archives.HELD_BYTES_MAX", 20_000)
    files = {"large.zip": make_zip({"a": os.urandom(30_000)}), "small.zip": make_zip({"b": b"x"})}
    assert missed(make_tar(files)) == {}
    coverage = Coverage()
    assert inside(gzip.compress(make_tar(files)), coverage) == {"small.zip!b": b"x"}
    assert {one.place.path: one.reason for one in coverage.unread} == {
        "x!large.zip": "a zip of more than 19.5 kB inside a compressed file"
    }


def test_a_sparse_member_is_read_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"begin")
        file.truncate(3_000_000)
    done = subprocess.run(["tar", "-cS", "-C", tmp_path, "sparse"], capture_output=True, check=True)
    assert len(done.stdout) < 100_000
    assert inside(done.stdout) == {"sparse": b"begin" + bytes(3_000_000 - 5)}


def test_an_lfs_pointer_in_an_archive_is_told() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    assert missed(make_tar({"model": pointer})) == {"x!model": "Git LFS pointer: its content is not here"}


# telling


def finding(path: str, fingerprint: str = "f") -> Finding:
    return Finding("rule", "title", fingerprint, Place("tree", path), 1, 1, 1, 2, Confidence.HIGH, 20)


def test_a_finding_of_an_archive_is_told_at_its_member() -> None:
    findings = [
        finding("a.tar"),
        finding("a.tar!b.zip"),
        finding("a.tar!b.zip!c"),
        finding("a.tar", "other"),
        finding("b.tar"),
    ]
    assert [(one.place.path, one.fingerprint) for one in told_once(findings)] == [
        ("a.tar!b.zip!c", "f"),
        ("a.tar", "other"),
        ("b.tar", "f"),
    ]


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 bytes"), (1 << 10, "1 kB"), (1_572_864, "1.5 MB"), (5 << 30, "5 GB")]
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert sized(size) == text
