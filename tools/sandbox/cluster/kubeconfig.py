"""The kubeconfig that points kubectl and our client at the rehearsal cluster."""

from __future__ import annotations

import base64

import yaml

CONTEXT = "countersign-rehearsal"


def kubeconfig(url: str, token: str, authority: bytes = b"") -> str:
    """A kubeconfig with one context, as YAML text. It holds the token: write it 0600.

    `authority` is the PEM of the certificate authority (tls.py); without TLS kubectl does not send the token.
    """
    cluster = {"server": url}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
