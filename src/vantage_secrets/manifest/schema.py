"""The JSON Schema (draft 2020-12) of the manifest, for editors: made from the same table that the parser follows.

A schema sees one key at a time. What compares two is the parser's alone: ``grace`` shorter than ``max_age``,
``max_stale`` at least ``refresh_interval``, names that collide, a ``required_with`` that ``[features]`` lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vantage_secrets.manifest.fields import (
    COUNT_MAX,
    ELEMENTS,
    KEY_PATTERN,
    LENGTHS,
    PATTERNS,
    SECRET,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    TABLE_DESCRIPTIONS,
    TABLES,
    TARGETS,
    TOP,
    Field,
    Shape,
)


def json_schema() -> dict[str, Any]:
    """Return the schema of ``vantage-secrets.toml`` as a JSON object."""
    secret = _table(SECRET)
    secret["not"] = {"required": ["required", "required_with"]}
    tables = {name: {"description": TABLE_DESCRIPTIONS[name], **_table(fields)} for name, fields in TABLES.items()}
    schema = _table(TOP)
    schema["properties"] |= tables | {
        "targets": {
            "description": TABLE_DESCRIPTIONS["targets"],
            "type": "object",
            "propertyNames": _text(Shape.WORD),
            **_target_kinds(),
        },
        "features": {
            "description": TABLE_DESCRIPTIONS["features"],
            "type": "object",
            "propertyNames": _text(Shape.WORD),
            "additionalProperties": {"type": "boolean"},
        },
        "secrets": {
            "description": TABLE_DESCRIPTIONS["secrets"],
            "type": "object",
            "propertyNames": {"pattern": KEY_PATTERN},
            "additionalProperties": secret,
        },
    }
    schema["required"].append("store")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vantage-secrets:manifest",
        "title": "vantage-secrets.toml",
        "$defs": {"target": _any_target()},
        **schema,
    }


def _target_kinds() -> dict[str, Any]:
    """Return what the tables must look like: by their own ``kind``, which is their name where it is left out."""
    tables = {kind: _table(fields) for kind, fields in TARGETS.items()}
    for kind, table in tables.items():
        table["properties"]["kind"] = {"const": kind}
    named = {
        kind: {"if": {"required": ["kind"]}, "then": {"$ref": "#/$defs/target"}, "else": table}
        for kind, table in tables.items()
    }
    return {"properties": named, "additionalProperties": {"$ref": "#/$defs/target"}}


def _any_target() -> dict[str, Any]:
    tables = []
    for kind, fields in TARGETS.items():
        table = _table(fields)
        table["properties"]["kind"] = {"const": kind}
        table["required"].append("kind")
        tables.append(table)
    return {"oneOf": tables}


def _table(fields: Sequence[Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        "required": [field.name for field in fields if field.mandatory],
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": field.description, **_value(field)}
    if field.default is not None:
        schema["default"] = list(field.default) if isinstance(field.default, tuple) else field.default
    return schema


def _value(field: Field) -> dict[str, Any]:
    if field.shape is Shape.CHOICE:
        return {"enum": list(field.allowed)}
    if field.shape is Shape.BYTES:
        return {"type": "integer", "minimum": SEGMENT_BYTES_MIN, "maximum": SEGMENT_BYTES_MAX}
    if field.shape is Shape.COUNT:
        return {"type": "integer", "minimum": 1, "maximum": COUNT_MAX}
    if field.shape in ELEMENTS:
        different = {"uniqueItems": True} if field.shape is not Shape.TEXTS else {}
        return {"type": "array", "items": _text(ELEMENTS[field.shape]), **different}
    return _text(field.shape)


def _text(shape: Shape) -> dict[str, Any]:
    return {"type": "string", "pattern": PATTERNS[shape], "maxLength": LENGTHS[shape]}
