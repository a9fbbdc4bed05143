"""What AWS and its SDK raise, as our errors: the one place that knows their codes.

SECURITY: an error of the SDK holds the response's body, and a validation error the parameters. So ours are returned
here and raised outside the ``except`` block, where nothing of the SDK's hangs on them.
"""

from __future__ import annotations

from typing import Final

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    VersionConflictError,
)

_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "SlowDown",
        "429",
    }
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NOT_LOGGED_IN: Final = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_KEY: Final = frozenset({"DecryptionFailure", "EncryptionFailure", "KMSAccessDeniedException"})
_LOGIN_ERRORS: Final = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "RefreshWithMFAUnsupportedError",
    "TokenRetrievalError",
    "SSOError",
    "MetadataRetrievalError",
)


class RequestRefusedError(StoreError):
    """AWS answered that a request does not fit the secret's present state, or is not one it takes."""

    code = "aws_request_refused"
    default_hint = "Look at the secret with 'aws secretsmanager describe-secret --secret-id NAME', then try again."


def translated(exc: Exception, operation: str) -> StoreError:
    """Return our error for one of the SDK's.

    Args:
        exc: A ``botocore.exceptions.ClientError`` or ``BotoCoreError``, or what the network below it raised.
        operation: What was called, such as ``GetSecretValue``.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, SSLError

    if isinstance(exc, ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = exc.response.get("Error", {})
        code = str(said.get("Code", ""))
        if code.startswith("AccessDenied") and "KMS" in str(said.get("Message", "")):
            code = "KMSAccessDeniedException"  # AWS refuses the secret and the key with one code.
        return from_code(code, exc.operation_name or operation, status)
    if isinstance(exc, ParamValidationError):
        return RequestRefusedError(f"The SDK does not send this {operation} request: a parameter is not valid.")
    kinds = {kind.__name__ for kind in type(exc).__mro__}
    if kinds.intersection(_LOGIN_ERRORS):
        return StoreAccessDeniedError(
            f"There is no AWS login to use: {type(exc).__name__}.",
            hint="Give this machine a role, or log in with 'aws sso login'; 'aws sts get-caller-identity' shows who.",
        )
    if isinstance(exc, SSLError):
        return StoreUnavailableError(
            "The TLS connection to AWS Secrets Manager was refused.",
            hint="Check the clock, AWS_CA_BUNDLE, and any proxy between here and AWS.",
        )
    assert isinstance(exc, BotoCoreError | OSError)
    return StoreUnavailableError(f"AWS Secrets Manager did not answer {operation}: {type(exc).__name__}.")


def from_code(code: str, operation: str, status: int = 400) -> StoreError:
    """Return our error for the code in an answer of AWS, or in an entry of a batch's list of errors."""
    if code == "ResourceNotFoundException":
        return SecretNotFoundError("AWS Secrets Manager has no such secret, or no value for it.")
    if code == "ResourceExistsException":
        return VersionConflictError("AWS Secrets Manager has that secret or version already.")
    if code in _THROTTLED or status == 429:
        return StoreBusyError(
            f"AWS Secrets Manager throttled {operation} for longer than the time allowed.",
            hint="Try again in a moment; if it lasts, read less often or ask AWS for a higher quota.",
        )
    if code == "LimitExceededException":
        return StoreFullError(
            f"A quota of AWS Secrets Manager forbids {operation}; nothing was written.",
            hint="See the Service Quotas console, service 'Secrets Manager'; a secret takes about 100 versions a day.",
        )
    if status >= 500 or code in ("InternalServiceError", "InternalFailure", "ServiceUnavailable"):
        return StoreUnavailableError(f"AWS Secrets Manager could not answer {operation}: {code or status}.")
    if code in _KEY:
        return StoreAccessDeniedError(
            f"The KMS key of the secret cannot be used: {code}.",
            hint="Enable the key in AWS KMS and allow kms:Decrypt and kms:GenerateDataKey on it.",
        )
    if code in _EXPIRED:
        return StoreAccessDeniedError(
            "The AWS login has expired.", hint="Log in again with 'aws sso login', or let the role renew it."
        )
    if code in _NOT_LOGGED_IN:
        return StoreAccessDeniedError(
            f"AWS does not accept the login: {code}.", hint="'aws sts get-caller-identity' shows who is logged in."
        )
    if status in (401, 403) or code.startswith(("AccessDenied", "UnauthorizedOperation")):
        return StoreAccessDeniedError(
            f"AWS refuses {operation}.", hint=f"Ask for the permission {_permission(operation)} on this secret."
        )
    return RequestRefusedError(f"AWS Secrets Manager refused {operation}: {code or status}.")


def _permission(operation: str) -> str:
    return f"{'sts' if operation.startswith('AssumeRole') else 'secretsmanager'}:{operation}"
