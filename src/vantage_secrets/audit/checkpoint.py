"""Signed checkpoints: what the log's last record was at an instant, in words that only the key's owner can write.

The chain of hashes shows a change only to someone who knows a later hash. A checkpoint is such a hash, signed
with Ed25519 (RFC 8032). Someone who rewrites the log and recalculates every hash cannot sign the new ones; someone
who exchanges the key pair too is found by whoever has the public key from elsewhere, such as the manifest.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vantage_secrets.audit.record import instant_text
from vantage_secrets.errors import AuditError, AuditIntegrityError, InvalidInputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CHECKPOINTS_NAME: Final = "checkpoints.jsonl"
SIGNING_KEY_NAME: Final = "signing.key"
PUBLIC_KEY_NAME: Final = "signing.pub"

_SCHEME = "ed25519:"
_DOMAIN = "vantage-secrets audit checkpoint 1"  # SECURITY: this key's signatures mean a checkpoint and nothing else.


class Checkpoint(NamedTuple):
    """The log as it was at an instant, signed.

    Attributes:
        seq: Number of the last record; 0 for a log that was empty.
        hash: That record's hash, 64 hex digits.
        at: When it was signed, as lines write instants.
        signature: Ed25519 signature of the three, base64.
    """

    seq: int
    hash: str
    at: str
    signature: str

    def message(self) -> bytes:
        """Return what is signed."""
        return f"{_DOMAIN}\n{self.seq}\n{self.hash}\n{self.at}\n".encode()

    def to_json(self) -> str:
        """Return this checkpoint on one line, to be kept elsewhere or put into the file."""
        fields = {"seq": self.seq, "hash": self.hash, "at": self.at, "signature": self.signature}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Checkpoint:
        """Return the checkpoint that :meth:`to_json` wrote.

        Raises:
            AuditIntegrityError: The text is no checkpoint.
        """
        try:
            return cls.from_fields(json.loads(text))
        except (ValueError, KeyError, TypeError):
            raise AuditIntegrityError("A line is not a checkpoint that this version can read.") from None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Checkpoint:
        """Return the checkpoint with those parsed ``fields``.

        Raises:
            ValueError: A field has another type.
            KeyError: A field is missing.
        """
        checkpoint = cls(fields["seq"], fields["hash"], fields["at"], fields["signature"])
        texts = (checkpoint.hash, checkpoint.at, checkpoint.signature)
        if type(checkpoint.seq) is not int or not all(isinstance(text, str) and text.isascii() for text in texts):
            raise ValueError("a checkpoint's field has another type")
        return checkpoint


class Signer:
    """Signs checkpoints with the private key in a file, which is read when it is first needed.

    Args:
        path: PKCS #8 in PEM, mode 0600.

    Raises:
        AuditError: Others may read the file.
        OSError: The file cannot be looked at.
    """

    def __init__(self, path: Path) -> None:
        """Look at the file's mode; a key that others can read proves nothing."""
        self._path = path
        self._key: Ed25519PrivateKey | None = None
        if path.stat().st_mode & 0o077:
            raise AuditError(
                f"The audit log's signing key {path} may be read by others.",
                hint=f"Run 'chmod 600 {path}' and, if others may have read it, make a new key.",
            )

    def sign(self, seq: int, digest: bytes, at: datetime) -> Checkpoint:
        """Return a checkpoint for the record ``seq`` with that hash.

        Raises:
            AuditError: The file holds no Ed25519 private key.
            OSError: The file cannot be read.
        """
        unsigned = Checkpoint(seq, digest.decode(), instant_text(at), "")
        signature = self._loaded().sign(unsigned.message())
        return Checkpoint(seq, unsigned.hash, unsigned.at, base64.b64encode(signature).decode())

    def _loaded(self) -> Ed25519PrivateKey:
        if self._key is None:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            key = None
            with suppress(ValueError, TypeError):  # SECURITY: the parser's message may quote the file.
                key = serialization.load_pem_private_key(self._path.read_bytes(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise AuditError(f"{self._path} is not an Ed25519 private key.", hint="Restore it from a backup.")
            self._key = key
        return self._key


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable.

    Raises:
        OSError: It cannot be opened or synced.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def public_key_text(key: Ed25519PublicKey) -> str:
    """Return ``key`` as ``ed25519:BASE64``."""
    return _SCHEME + base64.b64encode(key.public_bytes_raw()).decode()


class CheckpointVerifier:
    """Checks signatures against one public key.

    Args:
        public_key: ``ed25519:BASE64``.

    Raises:
        InvalidInputError: The text is not of that form.
    """

    def __init__(self, public_key: str) -> None:
        """Read the key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            scheme, raw_text = public_key[: len(_SCHEME)], public_key[len(_SCHEME) :]
            raw = base64.b64decode(raw_text if scheme == _SCHEME else "", validate=True)
            self._key = Ed25519PublicKey.from_public_bytes(raw)
        except (ValueError, binascii.Error):
            raise InvalidInputError(
                f"'{public_key[:80]}' is not an audit log's public key.",
                hint="It reads ed25519: and 44 more characters.",
            ) from None

    def accepts(self, checkpoint: Checkpoint) -> bool:
        """Return whether the key's owner signed ``checkpoint``."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(base64.b64decode(checkpoint.signature, validate=True), checkpoint.message())
        except (InvalidSignature, ValueError):
            return False
        return True


def checkpoint_lines(folder: Path) -> list[bytes]:
    """Return the whole lines of the checkpoint file; a last line without an end was never finished and is left out.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        return (folder / CHECKPOINTS_NAME).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def append_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Add ``checkpoint`` to the file, durably; the caller holds the log's lock.

    Raises:
        OSError: It cannot be written; what was half written is cut off by the next call.
    """
    path = folder / CHECKPOINTS_NAME
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        start = max(0, size - 4_096)
        unfinished = os.pread(handle, size - start, start)
        if unfinished and not unfinished.endswith(b"\n"):
            os.ftruncate(handle, start + unfinished.rfind(b"\n") + 1)
        os.write(handle, checkpoint.to_json().encode() + b"\n")
        os.fdatasync(handle)
    finally:
        os.close(handle)
    if is_new:
        sync_folder(folder)


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint, or ``None``; its signature is not checked here.

    Raises:
        AuditIntegrityError: The last whole line is no checkpoint.
        OSError: The file is there and cannot be read.
    """
    try:
        with (folder / CHECKPOINTS_NAME).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4_096))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    return Checkpoint.from_json(lines[-2]) if len(lines) > 1 else None
