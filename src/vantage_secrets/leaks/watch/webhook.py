"""What forges send at a push: whether it is theirs, and which repository was pushed to.

- GitHub signs the body with HMAC-SHA-256, ``X-Hub-Signature-256: sha256=<hex>`` ("Validating webhook deliveries").
- Gitea and Forgejo do so without the prefix, ``X-Gitea-Signature`` and ``X-Forgejo-Signature``, and send GitHub's
  header too.
- GitLab sends the secret itself, ``X-Gitlab-Token`` ("Webhooks", secret token), so it belongs into TLS only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vantage_secrets.leaks.watch.pushes import Push, RefUpdate, update_of

_SIGNATURES = ("X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature")
_EVENTS = {"X-Forgejo-Event": "gitea", "X-Gitea-Event": "gitea", "X-GitHub-Event": "github"}
"""Gitea and Forgejo send GitHub's header too, so theirs come first."""


def is_authentic(headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes]) -> bool:
    """Return whether a request was made by somebody who knows one of the secrets.

    Args:
        headers: The request's, by name; looked up without regard to case by the mapping.
        body: As it was sent.
        secrets: The current one, and the one before while both are valid.
    """
    # SECURITY: compared in constant time, and with each secret, so that the time says nothing about which one it was.
    signature = next((text for name in _SIGNATURES if (text := headers.get(name))), None)
    token = headers.get("X-Gitlab-Token")
    if signature is not None:
        given = signature.removeprefix("sha256=").lower().encode("utf-8", "replace")
        wanted = [hmac.digest(secret, body, "sha256").hex().encode() for secret in secrets]
    elif token is not None:
        given = hashlib.sha256(token.encode("utf-8", "replace")).digest()  # digests are of one length
        wanted = [hashlib.sha256(secret).digest() for secret in secrets]
    else:
        return False
    return any([hmac.compare_digest(given, each) for each in wanted])  # noqa: C419 - all of them, always


def push_of(headers: Mapping[str, str], body: bytes) -> Push | None:
    """Return the push that an authentic request tells of; ``None`` when it is about something else."""
    content = _content(headers, body)
    if content is None:
        return None
    origin = next((origin for name, origin in _EVENTS.items() if headers.get(name)), "")
    if origin and headers.get("X-GitHub-Event", headers.get("X-Gitea-Event", "push")) == "push":
        return _push(origin, _text(content.get("repository"), "full_name"), content)
    if headers.get("X-Gitlab-Event") and content.get("object_kind", content.get("event_name")) in ("push", "tag_push"):
        return _push("gitlab", _text(content.get("project"), "path_with_namespace"), content)
    return None


def _content(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    try:
        if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):  # as GitHub may be set up
            from urllib.parse import parse_qs

            body = parse_qs(body, max_num_fields=10)[b"payload"][0]
        content = json.loads(body)
    except (ValueError, KeyError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _text(content: object, key: str) -> str:
    text = content.get(key) if isinstance(content, dict) else None
    return text if isinstance(text, str) else ""


def _push(origin: str, repository: str, content: Mapping[str, Any]) -> Push | None:
    if not repository:
        return None
    update: RefUpdate | None = update_of(content.get("ref"), content.get("before"), content.get("after"))
    return Push(repository, origin, (update,) if update else ())
