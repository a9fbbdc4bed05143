"""Container images: every layer and the settings are read, and the place names the layer."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archives import make_tar, make_zip
from tests.images import Files, docker_image, oci_image
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.containers import ImageSource

LOWER = make_tar({"etc/secret": b"in the lower layer", "app/app.jar": make_zip({"conf": b"in a jar"})})
UPPER = make_tar({"etc/.wh.secret": b"", "etc/other": b"in the upper layer"})
SETTINGS = {
    "config": {"Env": ["PATH=/bin", "API_TOKEN=in the environment"], "Labels": {"note": "in a label"}},
    "history": [{"created_by": "RUN curl -H in-the-history"}, {"created_by": "RUN rm", "empty_layer": True}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
}
MAKERS = {"docker": docker_image, "oci": oci_image}


def read(path: Path, coverage: Coverage | None = None) -> dict[tuple[str, str], bytes]:
    coverage = Coverage() if coverage is None else coverage
    documents = list(ImageSource(str(path)).documents(coverage))
    assert {document.place.source for document in documents} == {f"image {path}"}
    return {(document.place.path, document.place.detail): document.data for document in documents}


def write_folder(path: Path, files: Files) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_tar(path: Path, files: Files) -> Path:
    path.write_bytes(make_tar(files))
    return path


def write_gzip(path: Path, files: Files) -> Path:
    path.write_bytes(gzip.compress(make_tar(files)))
    return path


@pytest.mark.parametrize("write", [write_folder, write_tar, write_gzip])
@pytest.mark.parametrize("maker", MAKERS)
def test_what_a_later_layer_deletes_is_found_and_its_layer_named(
    tmp_path: Path, maker: str, write: Callable[[Path, Files], Path]
) -> None:
    coverage = Coverage()
    layers = [gzip.compress(LOWER), UPPER] if maker == "oci" else [LOWER, UPPER]
    found = read(write(tmp_path / "image", MAKERS[maker](layers, SETTINGS)), coverage)
    by_path = {path: (detail.partition(",")[0], data) for (path, detail), data in found.items()}
    assert by_path["etc/secret"] == ("layer 1 of 2", b"in the lower layer")
    assert by_path["app/app.jar!conf"] == ("layer 1 of 2", b"in a jar")
    assert by_path["etc/other"] == ("layer 2 of 2", b"in the upper layer")
    assert coverage.unread == []
    assert coverage.counts["layer"] == 2


@pytest.mark.parametrize("maker", MAKERS)
def test_environment_labels_and_history_are_read_with_their_names_and_not_their_values(
    tmp_path: Path, maker: str
) -> None:
    found = read(write_tar(tmp_path / "image.tar", MAKERS[maker]([LOWER], SETTINGS)))
    by_detail = {detail: data for (path, detail), data in found.items() if path.startswith("settings ")}
    assert by_detail["config/Env/2 (API_TOKEN)"] == b"API_TOKEN=in the environment"
    assert by_detail["config/Labels/note"] == b"note=in a label"
    assert by_detail["history/1/created_by"] == b"created_by=RUN curl -H in-the-history"


def test_a_layer_that_is_a_link_to_another_is_known(tmp_path: Path) -> None:
    files = docker_image([LOWER, UPPER], SETTINGS)
    first = next(name for name in files if name.endswith("layer.tar"))
    files["shared/layer.tar"] = files.pop(first)
    out = io.BytesIO(make_tar(files))
    with tarfile.open(fileobj=out, mode="a") as archive:
        header = tarfile.TarInfo(first)
        header.type, header.linkname = tarfile.SYMTYPE, "../shared/layer.tar"
        archive.addfile(header)
    (tmp_path / "image.tar").write_bytes(out.getvalue())
    coverage = Coverage()
    found = read(tmp_path / "image.tar", coverage)
    assert ("etc/secret", f"layer 1 of 2, {first[:12]}") in found
    assert coverage.is_complete


@pytest.mark.parametrize("maker", MAKERS)
def test_a_layer_that_is_missing_is_told(tmp_path: Path, maker: str) -> None:
    files = MAKERS[maker]([LOWER, UPPER], SETTINGS)
    del files[next(name for name, data in files.items() if data == LOWER)]
    coverage = Coverage()
    found = read(write_tar(tmp_path / "image.tar", files), coverage)
    assert [path for path, _ in found if path.startswith("etc/")] == ["etc/other"]
    assert [one.reason for one in coverage.unread] == ["it is not in the file"]
    assert coverage.unread[0].place.detail.startswith("layer 1 of 2, ")


def test_a_layer_by_zstandard_is_told(tmp_path: Path) -> None:
    coverage = Coverage()
    read(write_tar(tmp_path / "image.tar", oci_image([b"\x28\xb5\x2f\xfd" + bytes(600)], SETTINGS)), coverage)
    assert [one.reason for one in coverage.unread] == ["Zstandard, which cannot be expanded here"]


def test_an_image_that_is_cut_keeps_what_came_before_and_says_so(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "image.tar", docker_image([LOWER, UPPER], SETTINGS))
    path.write_bytes(path.read_bytes()[: len(LOWER) + 2_000])
    coverage = Coverage()
    found = read(path, coverage)
    assert [data for (path, _), data in found.items() if path.endswith("etc/secret")] == [b"in the lower layer"]
    assert not coverage.is_complete


def test_settings_that_are_no_json_are_told(tmp_path: Path) -> None:
    files = docker_image([LOWER], SETTINGS)
    files[next(name for name in files if name.endswith(".json"))] = b"{"
    coverage = Coverage()
    read(write_tar(tmp_path / "image.tar", files), coverage)
    assert [one.reason for one in coverage.unread] == ["it is no JSON, or too long"]


def test_a_blob_that_no_image_names_is_read_under_its_own_name(tmp_path: Path) -> None:
    files = oci_image([LOWER], SETTINGS) | {"blobs/sha256/feed": make_tar({"orphan": b"x"}), "stray": b"text"}
    found = read(write_tar(tmp_path / "image.tar", files))
    assert found["blobs/sha256/feed!orphan", ""] == b"x"
    assert found["stray", ""] == b"text"


@pytest.mark.parametrize("content", [b"no archive", make_tar({"a": b"x"}), make_zip({"a": b"x"}), b""])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInputError):
        read(tmp_path / "file")
    with pytest.raises(InvalidInputError):
        ImageSource(f"{tmp_path}/missing")
