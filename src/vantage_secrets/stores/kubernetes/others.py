"""Who else has to do with a Secret object, as its metadata tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

FIELD_MANAGER: Final = "vantage-secrets"
"""As whom our writes stand in ``managedFields``."""

_MARKS: Final = {
    "reconcile.external-secrets.io/": "External Secrets",
    "external-secrets.io/": "External Secrets",
    "sealedsecrets.bitnami.com/": "Sealed Secrets",
    "meta.helm.sh/": "Helm",
    "argocd.argoproj.io/": "Argo CD",
    "kustomize.toolkit.fluxcd.io/": "Flux",
    "cert-manager.io/": "cert-manager",
}
_KINDS: Final = {"ExternalSecret": "External Secrets", "SealedSecret": "Sealed Secrets"}


def owners(metadata: dict[str, Any]) -> list[str]:
    """Return which tools have marked the object as theirs: by an annotation, a label, or as its owner."""
    marks = (*(metadata.get("annotations") or {}), *(metadata.get("labels") or {}))
    found = {tool for mark in marks for prefix, tool in _MARKS.items() if mark.startswith(prefix)}
    for owner in metadata.get("ownerReferences") or ():
        kind = str(owner.get("kind", ""))
        found.add(_KINDS.get(kind, kind))
    return sorted(found)


def writers(metadata: dict[str, Any], key: str) -> Iterator[str]:
    """Yield under which names others wrote a key of the data, as ``managedFields`` tell."""
    for entry in metadata.get("managedFields") or ():
        manager = str(entry.get("manager", ""))
        if manager != FIELD_MANAGER and f"f:{key}" in (entry.get("fieldsV1") or {}).get("f:data", {}):
            yield manager
