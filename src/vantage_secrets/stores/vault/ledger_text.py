"""How a ledger is written: one JSON text, because servers limit how many texts a request may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vantage_secrets.errors import StoreIntegrityError
from vantage_secrets.stores.vault.encoding import Encoded, Shape
from vantage_secrets.stores.vault.ledger import History, Ledger, Promotion, Record

FORMAT: Final = 1
MARK: Final = "mark"
"""The key beside the text under which its mark stands."""


def write_ledger(ledger: Ledger) -> dict[str, str]:
    """Return ``ledger`` as the data of the sibling where it stands."""
    record = {
        "format": FORMAT,
        "environment": ledger.environment,
        "swept": ledger.swept,
        "sweep": ledger.sweep,
        "secrets": {part: _write_history(history) for part, history in ledger.histories.items()},
        "promotion": ledger.promotion and _write_promotion(ledger.promotion),
    }
    return {"ledger": json.dumps(record, separators=(",", ":")), MARK: ledger.mark}


def read_ledger(path: str, data: Mapping[str, Any]) -> Ledger:
    """Return the ledger that stands at ``path``.

    Raises:
        StoreIntegrityError: It is none, or one of a later format.
    """
    try:
        found = json.loads(data["ledger"])
        if found["format"] == FORMAT:
            return Ledger(
                found["environment"],
                {part: _read_history(history) for part, history in found["secrets"].items()},
                found["promotion"] and _read_promotion(found["promotion"]),
                data[MARK],
                found["swept"],
                found["sweep"],
            )
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise StoreIntegrityError(
        f"What stands at '{path}' is no ledger of this release.",
        hint="Somebody changed it by hand, or a later release wrote it. Keep it as evidence and restore a backup.",
    )


def _write_history(history: History) -> dict[str, Any]:
    return {
        "records": [_write_record(record) for record in history.records],
        "pending": history.pending,
        "current": history.current,
        "previous": history.previous,
        "values": {version_id: _write_value(value) for version_id, value in history.values.items()},
    }


def _read_history(found: Mapping[str, Any]) -> History:
    return History(
        tuple(_read_record(record) for record in found["records"]),
        found["pending"],
        found["current"],
        found["previous"],
        {version_id: _read_value(value) for version_id, value in found["values"].items()},
    )


def _write_record(record: Record) -> dict[str, Any]:
    times = (record.created_at, record.promoted_at, record.retired_at)
    created, promoted, retired = (time and time.isoformat() for time in times)
    return {
        "id": record.id,
        "token": record.token,
        "digest": record.digest,
        "shape": record.shape,
        "created": created,
        "promoted": promoted,
        "retired": retired,
        "first": record.first,
        "until": record.until,
    }


def _read_record(found: Mapping[str, Any]) -> Record:
    created, promoted, retired = (
        found[key] and datetime.fromisoformat(found[key]) for key in ("created", "promoted", "retired")
    )
    shape = found["shape"] and Shape(found["shape"])
    rest = (found["first"], found["until"])
    return Record(found["id"], found["token"], found["digest"], shape, created, promoted, retired, *rest)


def _write_promotion(promotion: Promotion) -> dict[str, Any]:
    return {
        "part": promotion.part,
        "version": promotion.version_id,
        "number": promotion.number,
        "at": promotion.at.isoformat(),
        "value": _write_value(promotion.value),
        "kept": promotion.kept and _write_value(promotion.kept),
    }


def _read_promotion(found: Mapping[str, Any]) -> Promotion:
    return Promotion(
        found["part"],
        found["version"],
        found["number"],
        datetime.fromisoformat(found["at"]),
        _read_value(found["value"]),
        found["kept"] and _read_value(found["kept"]),
    )


def _write_value(value: Encoded) -> dict[str, Any]:
    return {"shape": value.shape, "data": value.data}


def _read_value(found: Mapping[str, Any]) -> Encoded:
    return Encoded(Shape(found["shape"]), found["data"])
