"""Secrets of Kubernetes in YAML, for `kubectl apply -f`: a certificate, its key and whom to trust.

Each value is written as JSON writes a string, which YAML reads as one (YAML 1.2 7.3.1): none can be taken for
anything else.
"""

import base64
import json
import re
from collections.abc import Mapping

from pki.core.errors import Refusal

# RFC 1123 2.1: what Kubernetes calls a DNS subdomain, and a label.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class KubernetesNameRefused(Refusal):
    """A name that the Kubernetes API would refuse."""

    code = "kubernetes_name_refused"


def tls_secret(name: str, namespace: str, *, certificate: bytes, key: bytes, ca: bytes) -> str:
    """A secret of type kubernetes.io/tls: `certificate` (a chain), `key` (PKCS#8) and `ca`, all PEM.

    Raises KubernetesNameRefused.
    """
    return _secret(
        name, namespace, "kubernetes.io/tls", {"tls.crt": certificate, "tls.key": key, "ca.crt": ca}
    )


def trust_secret(name: str, namespace: str, ca: bytes) -> str:
    """A secret with nothing but `ca`, PEM: for clients without an identity. Raises KubernetesNameRefused."""
    return _secret(name, namespace, "Opaque", {"ca.crt": ca})


def name_for(name: str) -> str:
    """A name as Kubernetes allows one: in lower case, with `-` for all other characters."""
    labels = (re.sub(r"[^a-z0-9-]", "-", label).strip("-") for label in name.lower().split("."))
    return ".".join(label for label in labels if label)[:253].strip("-.") or "hatchery"


def _secret(name: str, namespace: str, kind: str, files: Mapping[str, bytes]) -> str:
    if not _NAME.fullmatch(name):
        raise KubernetesNameRefused(
            "The name of a secret in Kubernetes has lower-case letters, digits, '-' and '.' only, and begins "
            f"and ends with a letter or a digit; {name[:64]!r} does not."
        )
    if not _NAMESPACE.fullmatch(namespace):
        raise KubernetesNameRefused(
            "A namespace in Kubernetes has lower-case letters, digits and '-' only, 63 at most; "
            f"{namespace[:64]!r} is none."
        )
    data = "".join(f'  {file}: "{base64.b64encode(content).decode()}"\n' for file, content in files.items())
    return (
        'apiVersion: "v1"\nkind: "Secret"\n'
        f"metadata:\n  name: {json.dumps(name)}\n  namespace: {json.dumps(namespace)}\n"
        f"type: {json.dumps(kind)}\ndata:\n{data}"
    )
