"""Our own values, searched for exactly: this *is* ``KAFKA_SASL_PASSWORD``, version 3, and it still opens the door.

``spelling`` says how a value may be written, ``search`` finds that, ``reading`` brings the values out of a store,
``fingerprints`` recognises those that no store can return any more.
"""

from vantage_secrets.leaks.known.search import KnownHit, KnownSearch, KnownValue

__all__ = ["KnownHit", "KnownSearch", "KnownValue"]
