"""How tests make container images, as ``docker save`` and OCI tools write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Files = dict[str, bytes]


def docker_image(layers: Sequence[bytes], settings: Mapping[str, Any]) -> Files:
    """Return the files of an image as a Docker before 25 writes them, the manifest last."""
    text = json.dumps(settings).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    names = [f"{hashlib.sha256(layer).hexdigest()}/layer.tar" for layer in layers]
    manifest = [{"Config": name, "RepoTags": ["app:1"], "Layers": names}]
    return {**dict(zip(names, layers, strict=True)), name: text, "manifest.json": json.dumps(manifest).encode()}


def oci_image(layers: Sequence[bytes], settings: Mapping[str, Any]) -> Files:
    """Return the files of an image layout of OCI's, its manifest behind an index of its own."""
    files: Files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(value: Any, kind: str) -> dict[str, Any]:
        return add(json.dumps(value).encode(), kind)

    manifest = {
        "schemaVersion": 2,
        "config": add_json(settings, "config.v1+json"),
        "layers": [add(layer, "layer.v1.tar+gzip") for layer in layers],
    }
    inner = {"schemaVersion": 2, "manifests": [add_json(manifest, "manifest.v1+json")]}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [add_json(inner, "index.v1+json")]}).encode()
    return files
