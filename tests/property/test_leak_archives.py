"""Whatever is packed, how deep and in what, comes out as it was; and no bytes at all make an archive raise."""

from __future__ import annotations

import random
import tarfile
import zipfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archives import COMPRESSIONS, make_tar, make_zip
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.archives import Limits, members_of
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import archive_kind, is_lfs_pointer

CONTENTS = st.binary(min_size=1, max_size=2_000).filter(
    lambda data: not archive_kind(data, data[-22:]) and not is_lfs_pointer(data)
)
NAMES = st.text("abcdef.-_ é", min_size=1, max_size=12).filter(lambda name: name.strip(". ") and name[-1] not in ".")
TREES: st.SearchStrategy[Any] = st.recursive(
    CONTENTS,
    lambda inner: st.tuples(
        st.sampled_from(["tar", "ustar", "zip", "stored", *(f"tar.{name}" for name in COMPRESSIONS)]),
        st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    ),
    max_leaves=8,
)

ARCHIVES = TREES.filter(lambda tree: not isinstance(tree, bytes))


def packed(tree: Any) -> bytes:
    if isinstance(tree, bytes):
        return tree
    kind, members = tree
    files = {name: packed(inner) for name, inner in members.items()}
    if kind in ("zip", "stored"):
        return make_zip(files, zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED)
    tar = make_tar(files, tarfile.USTAR_FORMAT if kind == "ustar" else tarfile.PAX_FORMAT)
    return COMPRESSIONS[kind[4:]](tar) if kind.startswith("tar.") else tar


def listed(tree: Any, path: str) -> dict[str, bytes]:
    if isinstance(tree, bytes):
        return {path: tree}
    return {where: data for name, inner in tree[1].items() for where, data in listed(inner, f"{path}!{name}").items()}


def read(data: bytes) -> tuple[dict[str, bytes], Coverage]:
    coverage = Coverage()
    documents = members_of(Document(Place("tree", "x"), data), coverage, Limits(depth=20))
    return {one.place.path: one.data for one in documents}, coverage


@settings(max_examples=80, deadline=None)
@given(tree=ARCHIVES)
def test_what_was_packed_comes_out(tree: Any) -> None:
    found, coverage = read(packed(tree))
    assert found == listed(tree, "x")
    assert coverage.is_complete


@settings(max_examples=80, deadline=None)
@given(tree=ARCHIVES, share=st.floats(0, 1, exclude_max=True))
def test_an_archive_that_is_cut_gives_all_or_says_so(tree: Any, share: float) -> None:
    data = packed(tree)
    cut = data[: int(len(data) * share)]
    found, coverage = read(cut)
    if archive_kind(cut, cut[-22:]) and coverage.is_complete:
        assert found == listed(tree, "x")


@settings(max_examples=80, deadline=None)
@given(tree=ARCHIVES, seed=st.integers(0, 10_000), compression=st.sampled_from(sorted(COMPRESSIONS)))
def test_a_compressed_archive_with_other_bytes_gives_all_or_says_so(tree: Any, seed: int, compression: str) -> None:
    generator = random.Random(seed)
    tree = (f"tar.{compression}", tree[1])
    data = bytearray(packed(tree))
    for _ in range(generator.randrange(1, 4)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    found, coverage = read(bytes(data))
    if archive_kind(bytes(data), bytes(data[-22:])) and coverage.is_complete:
        assert found == listed(tree, "x")


@settings(max_examples=80, deadline=None)
@given(tree=ARCHIVES, seed=st.integers(0, 10_000))
def test_an_archive_of_any_bytes_ends_in_documents_and_misses_below_it(tree: Any, seed: int) -> None:
    generator = random.Random(seed)
    data = bytearray(packed(tree))
    for _ in range(generator.randrange(1, 9)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    found, coverage = read(bytes(data))
    assert all(path.startswith("x!") and path.isprintable() for path in found)
    assert all(one.place.path.startswith("x") and one.reason.isprintable() for one in coverage.unread)
