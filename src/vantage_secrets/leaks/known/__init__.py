"""Our own values, searched for exactly: this *is* ``KAFKA_SASL_PASSWORD``, version 3, and it still opens the door.

``spelling`` says how a value may be written, and ``search`` finds that with ``engine``; ``reading`` brings the values
out of a store; ``fingerprints`` and ``memory`` remember them; ``retired`` tells those that are in no store any more.
"""

from vantage_secrets.leaks.known.collection import KnownValues, collect
from vantage_secrets.leaks.known.fingerprints import FingerprintBook
from vantage_secrets.leaks.known.memory import RotationMemory
from vantage_secrets.leaks.known.retired import RetiredLookup
from vantage_secrets.leaks.known.search import KnownHit, KnownSearch, KnownValue

__all__ = [
    "FingerprintBook",
    "KnownHit",
    "KnownSearch",
    "KnownValue",
    "KnownValues",
    "RetiredLookup",
    "RotationMemory",
    "collect",
]
