"""A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler, and kwok as the kubelet.

Users: `admin` (system:masters), the controllers and the scheduler under the names that Kubernetes gives their roles,
service accounts by tokens of the API server itself.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.rig.api import Api
from tests.rig.build import Binaries
from tests.rig.children import Ports, Start, wait_for

MANIFESTS = Path(__file__).resolve().parent / "manifests"
TOKEN_SECONDS = 7 * 24 * 3600  # a rig that was left up stays usable for a week


@dataclass(frozen=True)
class Cluster:
    """A control plane that is ready, as its administrator."""

    admin: Api
    kubeconfig: Path
    audit_log: Path


def start_cluster(state: Path, binaries: Binaries, start: Start, ports: Ports) -> Cluster:
    """Start everything and wait until a namespace gets its service account and the node is ready."""
    pki = state / "pki"
    pki.mkdir()
    program = binaries.kubernetes
    etcd_port, port, kwok_port = ports.take(), ports.take(), ports.take()
    _start_etcd(program, state, start, etcd_port, ports.take())
    tokens = _write_tokens(pki)
    server = start("kube-apiserver", _apiserver(program, state, etcd_port, port))
    # The server makes its own certificate on its first start; what signed it lies behind it in the same file.
    authority = pki / "apiserver.crt"
    wait_for(server, lambda: authority.exists() and authority.stat().st_size > 0, seconds=60)
    users = {name: Api(f"https://127.0.0.1:{port}", token, authority) for name, token in tokens.items()}
    for name, api in users.items():
        api.write_kubeconfig(_kubeconfig(state, name))
    admin = users["admin"]
    wait_for(server, lambda: _answers(admin, "/readyz"), seconds=60)

    controllers = start(
        "kube-controller-manager",
        [
            *_secured(program, "kube-controller-manager", state, ports.take()),
            "--use-service-account-credentials=true",
            f"--root-ca-file={authority}",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        ],
    )
    start("kube-scheduler", _secured(program, "kube-scheduler", state, ports.take()))
    cluster = Cluster(admin, _kubeconfig(state, "admin"), state / "logs" / "audit.jsonl")
    apply_manifest(cluster, binaries, MANIFESTS / "node.yaml")
    kwok = start(
        "kwok",
        [
            binaries.kwok,
            f"--kubeconfig={cluster.kubeconfig}",
            "--manage-all-nodes=true",
            f"--config={binaries.kwok_stages}",
            f"--config={_write_pod_logs(state)}",
            # It answers for the kubelet too, so that `kubectl logs` has somebody to ask.
            f"--server-address=127.0.0.1:{kwok_port}",
            "--node-ip=127.0.0.1",
            f"--node-port={kwok_port}",
            f"--tls-cert-file={authority}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
        ],
    )
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    wait_for(controllers, lambda: _answers(admin, account), seconds=60)
    wait_for(kwok, lambda: _node_is_ready(admin), seconds=60)
    return cluster


def service_account(admin: Api, namespace: str, name: str) -> Api:
    """The same server spoken to as a service account, with a token that the server itself issued."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    answer = admin.request("POST", path, asked)
    if answer.status != 201:
        raise RuntimeError(f"no token for {namespace}/{name}: {answer.body}")
    return Api(admin.url, answer.body["status"]["token"], admin.authority)


def apply_manifest(cluster: Cluster, binaries: Binaries, manifest: Path) -> None:
    """`kubectl apply --server-side` as the administrator; what it says on failure is in the error."""
    # Server-side, because a client-side apply of Argo CD's CRDs exceeds the limit of an annotation.
    command: list[str | Path] = [
        binaries.kubernetes,
        "kubectl",
        f"--kubeconfig={cluster.kubeconfig}",
        "apply",
        "--server-side",
    ]
    done = subprocess.run([*command, "-f", manifest], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{manifest.name}: {done.stderr}")


def _start_etcd(program: Path, state: Path, start: Start, port: int, peer_port: int) -> None:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    etcd = start(
        "etcd",
        [
            program,
            "etcd",
            f"--data-dir={state / 'etcd'}",
            "--log-level=warn",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ],
    )
    wait_for(etcd, lambda: _is_healthy(f"{client}/health"), seconds=30)


def _write_tokens(pki: Path) -> dict[str, str]:
    """Random tokens by user, written in the API server's format: token,user,uid,groups."""
    names = {
        "admin": ("admin", "system:masters"),
        "kube-controller-manager": ("system:kube-controller-manager", ""),
        "kube-scheduler": ("system:kube-scheduler", ""),
    }
    tokens = {name: secrets.token_hex(32) for name in names}
    lines = [f'{tokens[name]},{user},{name},"{groups}"\n' for name, (user, groups) in names.items()]
    (pki / "tokens.csv").write_text("".join(lines))
    return tokens


def _apiserver(program: Path, state: Path, etcd_port: int, port: int) -> list[str | Path]:
    pki = state / "pki"
    key = pki / "service-accounts.key"
    subprocess.run([program, "service-account-key", key], check=True)
    issuer = f"https://127.0.0.1:{port}"
    return [
        program,
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        # A machine without a network has no other address, and Endpoints may hold no loopback one.
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={pki}",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--service-account-issuer={issuer}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged",  # so that Pod Security admission, and not this switch, refuses
        f"--audit-policy-file={MANIFESTS / 'audit.yaml'}",
        f"--audit-log-path={state / 'logs' / 'audit.jsonl'}",
        "--audit-log-mode=blocking",  # a test that reads the log reads all of it
    ]


def _secured(program: Path, name: str, state: Path, port: int) -> list[str | Path]:
    """A controller's command line: one of it, on loopback, under its own user."""
    kubeconfig = _kubeconfig(state, name)
    return [
        program,
        name,
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--leader-elect=false",
    ]


def _write_pod_logs(state: Path) -> Path:
    """What `kubectl logs` says of every container: one line that owns up to being nobody's."""
    said = state / "pod.log"
    said.write_text(
        "2026-01-01T00:00:00.000000000Z stdout F rig: kwok starts no container, so it said nothing\n"
    )
    logs = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "rig"},
        "spec": {"logs": [{"logsFile": str(said)}]},
    }
    config = state / "kwok.json"
    config.write_text(json.dumps(logs))
    return config


def _kubeconfig(state: Path, name: str) -> Path:
    return state / ("kubeconfig" if name == "admin" else f"{name}.kubeconfig")


def _answers(api: Api, path: str) -> bool:
    try:
        return api.get(path).status == 200
    except OSError:
        return False  # not listening yet


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(json.load(response)["health"] == "true")
    except OSError:
        return False  # not listening yet


def _node_is_ready(admin: Api) -> bool:
    node = admin.get("/api/v1/nodes/rig-node")
    conditions = node.body.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
