"""Real Argo CD on loopback: its application controller and repo server, and the cache between them.

Its API server is left out: Countersign drives Argo CD by its custom resources. One thing is not on loopback,
because Argo CD has no option for it: the controller's port with its own metrics.
"""

from __future__ import annotations

import secrets
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.rig.build import Binaries
from tests.rig.children import Ports, Start, wait_for
from tests.rig.cluster import MANIFESTS, Cluster, apply_manifest, service_account

CONTROLLER = "argocd-application-controller"
REPO_SERVER = "argocd-repo-server"


def start_argocd(state: Path, binaries: Binaries, cluster: Cluster, start: Start, ports: Ports) -> None:
    """Install what Argo CD expects in the cluster, start its programs and wait until they say that they are well."""
    for manifest in (binaries.argocd_crds, MANIFESTS / "argocd.yaml"):
        apply_manifest(cluster, binaries, manifest)
    _create_secret(cluster)
    kubeconfig = state / "argocd.kubeconfig"
    service_account(cluster.admin, "argocd", CONTROLLER).write_kubeconfig(kubeconfig)

    redis_port, repo_port, repo_metrics, metrics = (ports.take() for _ in range(4))
    redis, repo = f"127.0.0.1:{redis_port}", f"127.0.0.1:{repo_port}"
    environment = _environment(state, kubeconfig)
    cache = start("redis", [binaries.argocd, "redis", redis], environment)
    wait_for(cache, lambda: _listens(redis_port), seconds=30)
    repo_server = start(
        REPO_SERVER,
        [
            binaries.argocd,
            REPO_SERVER,
            "--disable-tls",
            f"--redis={redis}",
            "--address=127.0.0.1",
            f"--port={repo_port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={repo_metrics}",
        ],
        environment,
    )
    controller = start(
        CONTROLLER,
        [
            binaries.argocd,
            CONTROLLER,
            f"--kubeconfig={kubeconfig}",
            "--namespace=argocd",
            f"--redis={redis}",
            f"--repo-server={repo}",
            "--repo-server-plaintext",
            f"--metrics-port={metrics}",
        ],
        environment,
    )
    wait_for(repo_server, lambda: _is_well(f"http://127.0.0.1:{repo_metrics}/healthz?full=true"), seconds=60)
    wait_for(controller, lambda: _is_well(f"http://127.0.0.1:{metrics}/healthz"), seconds=60)
    # Last, and asked of the API: by now the CRDs of a moment ago are surely served.
    apply_manifest(cluster, binaries, MANIFESTS / "project.yaml")


def _environment(state: Path, kubeconfig: Path) -> Mapping[str, str]:
    """What its pods would set, and a temporary folder that goes with the rig."""
    scratch = state / "argocd"
    scratch.mkdir()
    return {
        "KUBECONFIG": str(kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # "the cluster I run in" is the one of KUBECONFIG
        "ARGOCD_GPG_ENABLED": "false",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
    }


def _create_secret(cluster: Cluster) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "argocd-secret", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "stringData": {"server.secretkey": secrets.token_urlsafe(32)},
    }
    answer = cluster.admin.request("POST", "/api/v1/namespaces/argocd/secrets", secret)
    if answer.status != 201:
        raise RuntimeError(f"argocd-secret: {answer.body}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # not listening yet, or an HTTP error: not well yet
        return False
