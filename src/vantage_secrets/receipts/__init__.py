"""Receipts: which process holds which version of which secret, now and in the past. Never a value."""

from __future__ import annotations

from vantage_secrets.receipts.book import HEARTBEAT, UNHEARD, ReceiptBook
from vantage_secrets.receipts.holders import Holder, Receipts
from vantage_secrets.receipts.place import SERVICE_VARIABLE, as_word, instance_name, service_name

__all__ = [
    "HEARTBEAT",
    "SERVICE_VARIABLE",
    "UNHEARD",
    "Holder",
    "ReceiptBook",
    "Receipts",
    "as_word",
    "instance_name",
    "service_name",
]
