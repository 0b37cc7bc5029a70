"""A Kubernetes API over plain HTTPS: what the rig and its tests ask, with nothing between them and the answer."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """Status code and parsed body, whatever the code."""

    status: int
    body: Any
    warnings: tuple[str, ...] = ()
    """The texts of the server's `Warning` headers."""


@dataclass(frozen=True)
class Api:
    """One server spoken to as one user."""

    url: str
    token: str
    authority: Path

    def request(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> Answer:
        """Send one request; an HTTP error is an answer, a connection that fails is an OSError."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as response:
                return _answer(response.status, response)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error)

    def get(self, path: str) -> Answer:
        """Read one path."""
        return self.request("GET", path)

    def apply(self, path: str, body: Mapping[str, Any], *, manager: str, query: str = "") -> Answer:
        """Server-side apply as `manager`, without force."""
        return self.request("PATCH", f"{path}?fieldManager={manager}{query}", body, kind=APPLY)

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig (JSON is YAML) with the one context `rig`; readable by its owner only."""
        authority = base64.b64encode(self.authority.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "rig", "cluster": {"server": self.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": path.name, "user": {"token": self.token}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": path.name}}],
            "current-context": "rig",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))


def connect(kubeconfig: Path) -> Api:
    """The user of a kubeconfig that `write_kubeconfig` wrote (its authority is put beside it)."""
    config = json.loads(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    authority = kubeconfig.with_name("authority.crt")
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return Api(cluster["server"], config["users"][0]["user"]["token"], authority)


def _answer(status: int, response: HTTPResponse | urllib.error.HTTPError) -> Answer:
    return Answer(status, _parsed(response.read()), tuple(response.headers.get_all("Warning") or ()))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode(errors="replace")  # health checks and logs answer in plain text
