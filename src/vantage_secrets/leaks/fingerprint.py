"""Keyed fingerprints of values: they tell that two findings are one value, and nothing about the value.

SECURITY: a plain digest of a short password is undone by trying all passwords; a keyed one needs the key first. So a
report and a baseline may be published, and the key may not.

Whoever scans with a shared baseline needs the key that it was made with. It is looked for in this order:

1. the file that the command names (``--key-file``),
2. the file that ``VANTAGE_SECRETS_FINGERPRINT_KEY_FILE`` names,
3. ``VANTAGE_SECRETS_FINGERPRINT_KEY``, the key itself, for a CI that hands secrets over as variables. The trade-off:
   every process of that job can read it, and could then try passwords on the fingerprints of the baseline;
4. this user's own, ``$XDG_CONFIG_HOME/vantage-secrets/fingerprint.key``, made when it is first needed.

A key is written as 64 hexadecimal digits or more, as ``openssl rand -hex 32`` prints them.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vantage_secrets.errors import InsecurePermissionsError, InvalidInputError

FILE_VARIABLE = "VANTAGE_SECRETS_FINGERPRINT_KEY_FILE"
KEY_VARIABLE = "VANTAGE_SECRETS_FINGERPRINT_KEY"

_KEY_BYTES = 32  # as long as the digest: RFC 2104, section 3
_OTHERS = 0o077
_MAX_BYTES = 4096
_HOW_TO_MAKE = "Make one with: openssl rand -hex 32"


class FingerprintKey:
    """The key of fingerprints; shows its public id and nothing else of itself.

    Attributes:
        key_id: Public name of the key, 8 hexadecimal digits; baselines carry it.
        origin: Where the key came from, for people: a path, or the name of the variable.
        note: What the reader of a report should know about the key; empty as a rule.
    """

    __slots__ = ("_key", "key_id", "note", "origin")

    def __init__(self, key: bytes, *, origin: str = "", note: str = "") -> None:
        """Keep ``key``.

        Raises:
            InvalidInputError: It is shorter than 32 bytes.
        """
        if len(key) < _KEY_BYTES:
            raise InvalidInputError(
                f"The fingerprint key{f' of {origin}' if origin else ''} has fewer than {_KEY_BYTES} bytes.",
                hint=_HOW_TO_MAKE,
            )
        self._key = key
        self.origin = origin
        self.note = note
        self.key_id = self._digest(b"vantage-secrets key id 1\0").hex()[:8]

    def fingerprint(self, value: bytes) -> str:
        """Return the fingerprint of ``value``, 32 hexadecimal digits.

        HMAC-SHA-256 (RFC 2104), shortened to 128 bits: two of a million values collide with a probability of 2^-89.
        """
        # SECURITY: the words in front keep this apart from everything else that a key may ever be used for.
        return self._digest(b"vantage-secrets fingerprint 1\0" + value).hex()[:32]

    def _digest(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")

    def __repr__(self) -> str:
        return f"FingerprintKey({self.key_id})"


def load_key(file: Path | None, environment: Mapping[str, str]) -> FingerprintKey:
    """Return the key, from the first of its places that the module names.

    Makes this user's own key when no other is given and there is none yet; of two processes that do so at once, both
    get the same. Where that file cannot be written or read, the key is good for this process only, and its ``note``
    says so.

    Args:
        file: What the command line names; ``None`` when it names none.
        environment: The process's environment.

    Raises:
        InvalidInputError: A named file cannot be read, or what it or the variable holds is no key.
        InsecurePermissionsError: Others than its owner have a right to the file.
    """
    named = file or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    if named is not None:
        try:
            return _read(named)
        except OSError as error:
            raise InvalidInputError(
                f"The fingerprint key '{named}' cannot be read: {error.strerror}.", hint=_HOW_TO_MAKE
            ) from None
    if environment.get(KEY_VARIABLE):
        return FingerprintKey(_decoded(environment[KEY_VARIABLE], KEY_VARIABLE), origin=KEY_VARIABLE)
    return _own_key(environment)


def _own_key(environment: Mapping[str, str]) -> FingerprintKey:
    folder = _config_folder(environment)
    if folder is None:
        return _passing_key("neither HOME nor XDG_CONFIG_HOME names a folder")
    path = folder / "vantage-secrets" / "fingerprint.key"
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        return _passing_key(f"'{path}' cannot be read: {error.strerror}")
    try:
        return _made(path)
    except OSError as error:
        return _passing_key(f"'{path}' cannot be written: {error.strerror}")


def _config_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of this user's settings: XDG Base Directory Specification 0.8, which skips relative paths."""
    given, home = Path(environment.get("XDG_CONFIG_HOME", "")), Path(environment.get("HOME", ""))
    if given.is_absolute():
        return given
    return home / ".config" if home.is_absolute() else None


def _made(path: Path) -> FingerprintKey:
    # Not at the top: the package of the embedded store is large, and a key is made once.
    from vantage_secrets.stores.embedded.files import make_private_folder, write_private_file

    make_private_folder(path.parent)
    with suppress(FileExistsError):  # Another process was first; its key is ours too.
        write_private_file(path, os.urandom(_KEY_BYTES).hex().encode() + b"\n")
    return _read(path)


def _passing_key(why: str) -> FingerprintKey:
    return FingerprintKey(
        os.urandom(_KEY_BYTES),
        origin="this process",
        note=f"Fingerprints of this run cannot be compared with others, as their key was not kept: {why}. "
        f"Name a key file with {FILE_VARIABLE}.",
    )


def _read(path: Path) -> FingerprintKey:
    with path.open("rb") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        # SECURITY: in a CI too. Where it hands files over with other modes, it can hand the key over as a variable.
        if mode & _OTHERS:
            raise InsecurePermissionsError(
                f"The fingerprint key '{path}' has mode {mode:04o}; allowed is 0600.",
                hint=f"Run 'chmod 600 {path}'. If others may have read it, make a new key and a new baseline.",
            )
        content = opened.read(_MAX_BYTES)
    return FingerprintKey(_decoded(content.decode("latin-1"), f"'{path}'"), origin=str(path))


def _decoded(text: str, origin: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        # SECURITY: without the cause, which could quote the key.
        raise InvalidInputError(
            f"The fingerprint key of {origin} is not written in hexadecimal digits.", hint=_HOW_TO_MAKE
        ) from None
