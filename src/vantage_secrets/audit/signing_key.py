"""Making the key pair that a log's checkpoints are signed with."""

from __future__ import annotations

import os
from pathlib import Path

from vantage_secrets.audit.chain import ChainWriter
from vantage_secrets.audit.checkpoint import PUBLIC_KEY_NAME, SIGNING_KEY_NAME, public_key_text, sync_folder
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import AuditError, AuditUnwritableError


def create_signing_key(folder: Path, *, key_file: Path | None = None, clock: Clock = utc_now) -> str:
    """Write a new key pair for the log in ``folder``, sign the first checkpoint, and return the public key.

    Makes the folder, mode 0700, and an empty log in it when there is none. All is durable on return.

    Args:
        folder: The log's folder; ``signing.pub`` goes there.
        key_file: Where the private key goes, mode 0600; ``signing.key`` in the folder when not given. SECURITY: a key
            beside the log does not stop someone who has become the log's owner; one elsewhere may.
        clock: Where the time comes from.

    Returns:
        ``ed25519:`` and the 32 bytes of the public key in base64, to be pinned in the manifest.

    Raises:
        AuditError: There is a key already.
        AuditUnwritableError: A file cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public_key = public_key_text(key.public_key())
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write_new(key_file or folder / SIGNING_KEY_NAME, pem)
        _write_new(folder / PUBLIC_KEY_NAME, f"{public_key}\n".encode())
        ChainWriter(folder, signing_key=key_file, clock=clock).sign_first_checkpoint()
    except FileExistsError as exc:
        raise AuditError(
            f"The audit log {folder} has a signing key already: {exc.filename} is there.",
            hint="Keep it: what it signed can be verified only with its public key.",
        ) from exc
    except OSError as exc:
        raise AuditUnwritableError(
            f"The signing key cannot be written to {exc.filename or folder}: {exc.strerror}.",
            hint="Give this user the right to write there, or name another folder.",
        ) from exc
    return public_key


def _write_new(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(path.parent)
