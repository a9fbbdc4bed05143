"""Every error of vantage-secrets.

The whole tree::

    VantageSecretsError
    ├── InvalidInputError                  what was given cannot be used
    │   ├── InvalidSecretNameError
    │   ├── InvalidSecretValueError
    │   ├── NameCollisionError             two names would become one in a store
    │   ├── InvalidURLError                a store's or database's URL
    │   ├── ManifestError                  vantage-secrets.toml: line, what was found, what is allowed
    │   │   ├── ManifestNotFoundError
    │   │   └── UnknownSecretError         a name that the manifest does not have
    │   └── DotenvError                    a .env file that cannot be read
    ├── MissingExtraError                  an optional package is not installed; names the pip command
    ├── UnsupportedOperationError          the store or target does not declare this capability
    ├── SecretExposureError                something tried to pickle or serialise a value
    ├── StoreError
    │   ├── SecretNotFoundError            absence: the store answered, and there is no such secret
    │   │   ├── VersionNotFoundError       the secret exists, that version or stage does not
    │   │   └── VersionRetiredError        that version existed and its value is gone for good
    │   ├── StoreAccessDeniedError         refusal: the store answered, and said no
    │   ├── StoreUnavailableError          outage: the store did not answer, or could not
    │   │   ├── StoreBusyError             locked or throttled for longer than the time allowed
    │   │   ├── StoreFullError             no room; nothing was written
    │   │   └── StoreReadOnlyError         the file system or the store takes no writes
    │   ├── VersionConflictError           compare-and-set lost, or a token was used for another value
    │   │   └── PendingVersionExistsError  a rotation of this secret is under way
    │   ├── StoreIntegrityError            stored bytes are not the bytes that were written
    │   ├── EncryptionKeyError             the key-encryption key
    │   │   ├── EncryptionKeyNotFoundError
    │   │   └── WrongEncryptionKeyError
    │   ├── InsecurePermissionsError       a file that others may read
    │   └── EnvironmentMismatchError       the store belongs to another environment
    ├── AuditError
    │   ├── AuditUnwritableError           the log cannot be written and the manifest says refuse
    │   └── AuditIntegrityError            the chain is broken; names the first bad record
    ├── DatabaseError                      the control database
    ├── TargetError
    │   ├── TargetUnavailableError         the target did not answer: proves nothing about a credential
    │   ├── CredentialRefusedError         the target answered, and refused the credential
    │   └── CredentialAcceptedError        the target accepts a credential that must be dead
    ├── RotationError                      a step could not be taken
    ├── ValueUnavailableError              the client has no value it may serve
    └── DeliveryError                      secrets could not be handed to a process

A vendor's exception becomes one of these in one place per vendor, ``raise … from exc``, and never
carries a response body: bodies can hold values.
"""

from __future__ import annotations

from typing import ClassVar


class VantageSecretsError(Exception):
    """Base of every error of this package.

    Attributes:
        code: Stable identifier for programs; never changes between releases.
        hint: The next action for the person who reads the message, as a command where there is one.
    """

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = "Run the command again with --debug to see where it failed."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep ``message`` for ``str()`` and ``hint`` (or the class's own) beside it."""
        super().__init__(message)
        self.hint = self.default_hint if hint is None else hint

    @property
    def message(self) -> str:
        """The message alone, one sentence or a few, without the hint."""
        return str(self)


class InvalidInputError(VantageSecretsError):
    """Something that was given cannot be used; nothing was changed."""

    code = "invalid_input"
    default_hint = "Correct the input and try again."


class InvalidSecretNameError(InvalidInputError):
    """A secret name does not follow the grammar in :class:`vantage_secrets.secret.SecretName`."""

    code = "invalid_secret_name"
    default_hint = "Use lower-case letters, digits and single hyphens, in parts joined by '/': vantage/api-key."


class InvalidSecretValueError(InvalidInputError):
    """A value is empty, too large or of the wrong shape."""

    code = "invalid_secret_value"
    default_hint = "Give a value that is not empty."


class NameCollisionError(InvalidInputError):
    """Two names would be written under one name in a store."""

    code = "name_collision"
    default_hint = "Rename one of the two in vantage-secrets.toml."


class InvalidURLError(InvalidInputError):
    """A store's or database's URL cannot be understood."""

    code = "invalid_url"
    default_hint = "Use a URL such as embedded:///var/lib/vantage-secrets/secrets.db."


class ManifestError(InvalidInputError):
    """The manifest has a mistake.

    Attributes:
        path: The file, as it was given.
        line: Line of the mistake, counted from 1, or ``None`` when it has no single line.
    """

    code = "invalid_manifest"
    default_hint = "Correct that line; the manifest's reference lists every key."

    def __init__(self, message: str, *, path: str = "", line: int | None = None, hint: str | None = None) -> None:
        """Put ``path:line`` in front of the message, as editors understand it."""
        place = f"{path}:{line}" if path and line is not None else path
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.path = path
        self.line = line


class ManifestNotFoundError(ManifestError):
    """No vantage-secrets.toml here or in a folder above."""

    code = "manifest_not_found"
    default_hint = "Run 'vantage-secrets init' to write one, or name it with --manifest or VANTAGE_SECRETS_MANIFEST."


class UnknownSecretError(ManifestError):
    """The manifest has no secret of that name."""

    code = "unknown_secret"
    default_hint = "Run 'vantage-secrets status' to see the names, or add it to vantage-secrets.toml."


class DotenvError(InvalidInputError):
    """A ``.env`` file cannot be read as one; the message names the line."""

    code = "invalid_dotenv"
    default_hint = "Correct that line of the file and try again; nothing was imported."


class MissingExtraError(VantageSecretsError):
    """An optional package is not installed."""

    code = "missing_extra"

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing ``package`` and the ``extra`` that brings it."""
        super().__init__(
            f"The Python package '{package}' is not installed.", hint=f"pip install 'vantage-secrets[{extra}]'"
        )
        self.package = package
        self.extra = extra


class UnsupportedOperationError(VantageSecretsError):
    """The store or target does not declare the capability; nothing was changed."""

    code = "unsupported_operation"
    default_hint = "Use a store that declares the capability; the table of stores in the documentation lists them."


class SecretExposureError(VantageSecretsError, TypeError):
    """Something tried to serialise a secret value."""

    code = "secret_exposure"
    default_hint = "Pass the secret's name instead, and read the value where it is used."


class StoreError(VantageSecretsError):
    """A store could not do what was asked."""

    code = "store_error"


class SecretNotFoundError(StoreError):
    """Absence: the store answered, and it holds no such secret."""

    code = "secret_not_found"
    default_hint = "Run 'vantage-secrets list' to see what is there, or 'vantage-secrets set NAME' to create it."


class VersionNotFoundError(SecretNotFoundError):
    """The secret exists, but not in that version or stage."""

    code = "version_not_found"
    default_hint = "Run 'vantage-secrets history NAME' to see its versions."


class VersionRetiredError(SecretNotFoundError):
    """That version existed; its value is gone for good."""

    code = "version_retired"
    default_hint = "Read the current version instead."


class StoreAccessDeniedError(StoreError):
    """Refusal: the store answered, and said no."""

    code = "store_access_denied"
    default_hint = "Ask the owner of the store for the permission that the message names."


class StoreUnavailableError(StoreError):
    """Outage: the store did not answer, or could not; says nothing about the secret."""

    code = "store_unavailable"
    default_hint = "Try again when the store answers."


class StoreBusyError(StoreUnavailableError):
    """The store was locked or throttled for longer than the time allowed."""

    code = "store_busy"
    default_hint = "Try again in a moment; another process is using the store."


class StoreFullError(StoreUnavailableError):
    """The store has no room left; nothing was written."""

    code = "store_full"
    default_hint = "Free some space, then run the same command again."


class StoreReadOnlyError(StoreUnavailableError):
    """The store takes no writes; nothing was written."""

    code = "store_read_only"
    default_hint = "Write from a place where the store's folder is writable; reading still works here."


class VersionConflictError(StoreError):
    """Another writer was first: compare-and-set lost, or a token was used for another value."""

    code = "version_conflict"
    default_hint = "Look at 'vantage-secrets history NAME', then run the command again."


class PendingVersionExistsError(VersionConflictError):
    """A pending version is there already: a rotation of this secret is under way."""

    code = "pending_version_exists"
    default_hint = "Run 'vantage-secrets rotate NAME' to finish the rotation that was begun."


class StoreIntegrityError(StoreError):
    """The stored bytes are not the bytes that were written."""

    code = "store_integrity"
    default_hint = "Keep the file as evidence and restore the last backup."


class EncryptionKeyError(StoreError):
    """The key-encryption key cannot be used."""

    code = "encryption_key"
    default_hint = "Run 'vantage-secrets doctor' to see which key the store was made with."


class EncryptionKeyNotFoundError(EncryptionKeyError):
    """No key-encryption key was found in any of its places."""

    code = "encryption_key_not_found"
    default_hint = "Name the key file with VANTAGE_SECRETS_KEY_FILE or 'key_file' in the manifest."


class WrongEncryptionKeyError(EncryptionKeyError):
    """A key-encryption key was found, but the store was not made with it."""

    code = "wrong_encryption_key"
    default_hint = "Use the key that the store was made with; nothing was read or changed."


class InsecurePermissionsError(StoreError):
    """A file that must be private may be read or written by others."""

    code = "insecure_permissions"
    default_hint = "Run 'chmod 600' on the file and, if others may have read it, rotate what it holds."


class EnvironmentMismatchError(StoreError):
    """The store was made for another environment than the manifest names."""

    code = "environment_mismatch"
    default_hint = "Set 'environment' in vantage-secrets.toml to the store's own, or use another store."


class AuditError(VantageSecretsError):
    """The audit log could not do what was asked."""

    code = "audit_error"


class AuditUnwritableError(AuditError):
    """The audit log cannot be written, and the manifest says that then nothing may happen."""

    code = "audit_unwritable"
    default_hint = 'Give this user the right to write the log, or set [audit] on_unwritable = "spool".'


class AuditIntegrityError(AuditError):
    """The audit log is not what was written; the message names the first bad record."""

    code = "audit_integrity"
    default_hint = "Keep the log as evidence and compare it with the last exported copy."


class DatabaseError(VantageSecretsError):
    """The control database could not do what was asked."""

    code = "database_error"


class TargetError(VantageSecretsError):
    """A target could not do what was asked."""

    code = "target_error"


class TargetUnavailableError(TargetError):
    """The target did not answer; this proves nothing about a credential."""

    code = "target_unavailable"
    default_hint = "Run the command again when the target answers; it goes on where it stopped."


class CredentialRefusedError(TargetError):
    """The target answered, and refused the credential."""

    code = "credential_refused"
    default_hint = "Run 'vantage-secrets rotate NAME' again; it installs the credential anew."


class CredentialAcceptedError(TargetError):
    """The target accepts a credential that must be dead."""

    code = "credential_accepted"
    default_hint = "Treat the credential as live: revoke it at the target by hand, then run the command again."


class RotationError(VantageSecretsError):
    """A step of a rotation could not be taken; running it again goes on from there."""

    code = "rotation_error"
    default_hint = "Run 'vantage-secrets rotate NAME' again; every step is safe to repeat."


class ValueUnavailableError(VantageSecretsError):
    """The client has no value that it may serve: the store is away and the last good value is too old."""

    code = "value_unavailable"
    default_hint = "Restore the store, or raise [client] max_stale in vantage-secrets.toml."


class DeliveryError(VantageSecretsError):
    """Secrets could not be handed to a process."""

    code = "delivery_error"
