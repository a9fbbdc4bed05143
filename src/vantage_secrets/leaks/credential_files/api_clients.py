"""What desktop clients for HTTP APIs export: their environments, in which tokens stand as variables."""

from __future__ import annotations

from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import is_secret, is_value, named
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries


def postman(data: bytes) -> Iterator[Field]:
    """Find the secret variables of a Postman environment: those of type ``secret``, and by their names."""
    name, kind, held = b"", b"", (0, 0)
    current: tuple[bytes, ...] = ()
    for path, key, begin, end in (*json_entries(data), ((b"",), b"", 0, 0)):
        if path != current:
            value = data[slice(*held)]
            if is_secret(name, value) or (kind == b"secret" and is_value(value)):
                yield Field("postman-secret", *held)
            current, name, kind, held = path, b"", b"", (0, 0)
        if path[:1] == (b"values",):
            name = data[begin:end] if key == b"key" else name
            kind = data[begin:end] if key == b"type" else kind
            held = (begin, end) if key == b"value" else held


insomnia: Parser = named(json_entries, "insomnia-secret")
http_client: Parser = named(json_entries, "http-client-secret")
