"""The API over TLS and loopback: who may ask, what is served, in which forms."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.served_cluster import TOKEN, ServedCluster, deployment
from tools.sandbox.cluster.app import OpenTokenError, read_token

Json = dict[str, Any]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
DEPLOYMENTS = "/apis/apps/v1/namespaces/web/deployments"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCluster]:
    with ServedCluster(tmp_path_factory.mktemp("cluster") / "state") as cluster:
        ask(cluster, "POST", "/api/v1/namespaces", {"metadata": {"name": "web"}})
        yield cluster


class Heard:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.body)
        return found


def ask(
    cluster: ServedCluster,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = TOKEN,
    kind: str = "application/json",
    accept: str = "application/json",
) -> Heard:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    headers = {"Content-Type": kind, "Accept": accept} | (
        {"Authorization": f"Bearer {token}"} if token else {}
    )
    request = urllib.request.Request(cluster.url + path, data, headers, method=method)
    context = ssl.create_default_context(cafile=str(cluster.authority))
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as response:
            return Heard(response.status, response.headers, response.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Heard(refused.code, refused.headers, refused.read())


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
@pytest.mark.parametrize("path", ["/api", "/api/v1/namespaces", "/openapi/v3", "/apis/absent"])
def test_without_the_token_nothing_is_told(served: ServedCluster, path: str, token: str | None) -> None:
    heard = ask(served, "GET", path, token=token)
    assert (heard.status, heard.json["reason"]) == (401, "Unauthorized")


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    token.chmod(0o640)
    with pytest.raises(OpenTokenError, match="chmod 600"):
        read_token(token)
    token.chmod(0o600)
    assert read_token(token) == "x"
    token.write_text("\n")
    with pytest.raises(OpenTokenError, match="holds no token"):
        read_token(token)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
def test_health_and_version_are_public(served: ServedCluster, path: str) -> None:
    assert ask(served, "GET", path, token=None).status == 200


def test_the_version_says_that_this_is_a_rehearsal(served: ServedCluster) -> None:
    assert ask(served, "GET", "/version").json["gitVersion"].endswith("+rehearsal")


MISSING = {
    "/api/v1/gadgets": 404,
    "/api/v2/pods": 404,
    "/apis/absent.example/v1/things": 404,
    "/apis/apps/v1/namespaces/web/deployments/x/gadgets": 404,
    "/apis/apps/v1/deployments/x": 404,
    "/apis/apps/v1/namespaces/web/namespaces/web/deployments": 404,
    "/api/v1/namespaces/web/nodes": 404,
    "/": 404,
}


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_served_is_404(served: ServedCluster, path: str) -> None:
    assert ask(served, "GET", path).status == MISSING[path]


BODIES: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (b"{", "application/json", 400),
    "no object": (b"[]", "application/json", 400),
    "another media type": (b"x", "text/csv", 415),
    "broken protobuf": (b"k8s", "application/vnd.kubernetes.protobuf", 400),
    "too large": (b'{"a":"' + b"x" * 4_000_000 + b'"}', "application/json", 413),
    "deeply nested": (b"[" * 100_000, "application/json", 400),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_read_is_refused(served: ServedCluster, what: str) -> None:
    body, kind, code = BODIES[what]
    assert ask(served, "POST", DEPLOYMENTS, body, kind=kind).status == code


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/apply-patch+json"])
def test_an_unknown_patch_is_415(served: ServedCluster, kind: str) -> None:
    assert ask(served, "PATCH", f"{DEPLOYMENTS}/web?fieldManager=x", {}, kind=kind).status == 415


@pytest.mark.parametrize("query", ["dryRun=Some", "fieldValidation=Perhaps"])
def test_an_unknown_option_is_refused(served: ServedCluster, query: str) -> None:
    assert ask(served, "POST", f"{DEPLOYMENTS}?{query}", deployment("other")).status == 400


def test_yaml_is_read_as_kubernetes_reads_it(served: ServedCluster) -> None:
    text = b"metadata: {name: dated}\ndata: {day: 2026-11-23, 'on': 'yes'}"
    heard = ask(served, "POST", "/api/v1/namespaces/web/configmaps", text, kind="application/yaml")
    assert heard.json["data"] == {"day": "2026-11-23", "on": "yes"}


def test_pages_and_selectors(served: ServedCluster) -> None:
    for name in "abc":
        labels = {"set": "pages", "odd": str(name != "b")}
        ask(
            served,
            "POST",
            "/api/v1/namespaces/web/configmaps",
            {"metadata": {"name": f"page-{name}", "labels": labels}},
        )
    base = "/api/v1/namespaces/web/configmaps?labelSelector=set%3Dpages"
    first = ask(served, "GET", f"{base}&limit=2").json
    assert [item["metadata"]["name"] for item in first["items"]] == ["page-a", "page-b"]
    assert first["metadata"]["remainingItemCount"] == 1
    rest = ask(served, "GET", f"{base}&limit=2&continue={first['metadata']['continue']}").json
    assert [item["metadata"]["name"] for item in rest["items"]] == ["page-c"]
    assert "continue" not in rest["metadata"]
    assert len(ask(served, "GET", f"{base},odd%3DTrue").json["items"]) == 2
    assert ask(served, "GET", f"{base}&continue=%21").status == 400
    assert ask(served, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dpage-b").json["items"]


def test_a_list_of_a_namespace_that_is_not_there_is_empty(served: ServedCluster) -> None:
    heard = ask(served, "GET", "/api/v1/namespaces/absent/pods")
    assert (heard.status, heard.json["items"]) == (200, [])


def test_tables_and_metadata_alone(served: ServedCluster) -> None:
    shown = ask(served, "GET", "/api/v1/namespaces", accept=TABLE).json
    assert shown["kind"] == "Table"
    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", "Status", "Age"]
    assert ["web", "Active"] in [row["cells"][:2] for row in shown["rows"]]
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    found = ask(served, "GET", "/api/v1/namespaces", accept=partial).json
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"metadata"}


def test_a_watch_tells_what_happens_after_a_revision(served: ServedCluster) -> None:
    base = "/api/v1/namespaces/web/configmaps"
    revision = ask(served, "GET", base).json["metadata"]["resourceVersion"]
    ask(served, "POST", base, {"metadata": {"name": "watched", "labels": {"w": "1"}}})
    ask(
        served,
        "PATCH",
        f"{base}/watched",
        {"metadata": {"labels": {"w": "2"}}},
        kind="application/merge-patch+json",
    )
    ask(served, "DELETE", f"{base}/watched")
    query = f"?watch=true&timeoutSeconds=1&resourceVersion={revision}"
    lines = [json.loads(line) for line in ask(served, "GET", base + query).body.splitlines()]
    assert [(line["type"], line["object"]["metadata"]["name"]) for line in lines] == [
        ("ADDED", "watched"), ("MODIFIED", "watched"), ("DELETED", "watched"),
    ]  # fmt: skip
    chosen = ask(served, "GET", f"{base}{query}&labelSelector=w%3D1").body.splitlines()
    assert [json.loads(line)["type"] for line in chosen] == ["ADDED", "DELETED"]


def test_a_watch_may_begin_with_everything_and_says_when_that_ended(served: ServedCluster) -> None:
    query = "?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    lines = [json.loads(line) for line in ask(served, "GET", f"/api/v1/namespaces{query}").body.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"ADDED"}
    assert lines[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_after_a_restart_objects_are_there_and_older_watches_end_with_410(tmp_path: Path) -> None:
    with ServedCluster(tmp_path / "state") as first:
        ask(first, "POST", "/api/v1/namespaces", {"metadata": {"name": "kept"}})
    with ServedCluster(tmp_path / "state") as second:
        assert ask(second, "GET", "/api/v1/namespaces/kept").status == 200
        heard = ask(second, "GET", "/api/v1/namespaces?watch=true&timeoutSeconds=1&resourceVersion=2")
    event = json.loads(heard.body.splitlines()[0])
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_warning_is_a_header(served: ServedCluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    ask(served, "POST", "/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    manifest = deployment()
    manifest["metadata"]["namespace"] = "strict"
    heard = ask(served, "POST", "/apis/apps/v1/namespaces/strict/deployments?dryRun=All", manifest)
    assert heard.status == 201
    assert heard.headers["Warning"].startswith('299 - "would violate PodSecurity \\"restricted:latest\\"')


def test_scale_reads_and_writes_replicas(served: ServedCluster) -> None:
    ask(served, "POST", DEPLOYMENTS, deployment("scaled"))
    path = f"{DEPLOYMENTS}/scaled/scale"
    assert ask(served, "GET", path).json["spec"] == {"replicas": 3}
    assert (
        ask(served, "PATCH", path, {"spec": {"replicas": 2}}, kind="application/merge-patch+json").status
        == 200
    )
    assert ask(served, "GET", f"{DEPLOYMENTS}/scaled").json["spec"]["replicas"] == 2
    assert ask(served, "PUT", path, {"spec": {"replicas": "2"}}).status == 400


def test_a_log_says_that_nothing_was_executed(served: ServedCluster) -> None:
    pod = {"metadata": {"name": "alone"}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    ask(served, "POST", "/api/v1/namespaces/web/pods", pod)
    path = "/api/v1/namespaces/web/pods/alone"
    for _ in range(200):
        if ask(served, "GET", path).json["status"]["phase"] == "Running":
            break
    assert b"no container is executed here" in ask(served, "GET", f"{path}/log", accept="*/*").body
    assert ask(served, "GET", f"{path}/log?tailLines=1").body.count(b"\n") == 1
    assert ask(served, "GET", f"{path}/log?container=absent").status == 400
    metrics = ask(served, "GET", "/apis/metrics.k8s.io/v1beta1/namespaces/web/pods/alone").json
    assert "countersign/rehearsal" in metrics["metadata"]["labels"]


REFUSED_METHODS = [
    ("POST", "/apis/apps/v1/namespaces/web/deployments/web"),
    ("POST", "/apis/apps/v1/deployments"),
    ("PUT", DEPLOYMENTS),
    ("DELETE", "/apis/metrics.k8s.io/v1beta1/namespaces/web/pods"),
    ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
]


@pytest.mark.parametrize(("method", "path"), REFUSED_METHODS)
def test_a_method_that_does_not_fit_is_refused(served: ServedCluster, method: str, path: str) -> None:
    assert ask(served, method, path, {} if method != "GET" else None).status in {400, 405}


def test_a_delete_keeps_to_its_precondition(served: ServedCluster) -> None:
    base = "/api/v1/namespaces/web/configmaps"
    ask(served, "POST", base, {"metadata": {"name": "guarded"}})
    assert ask(served, "DELETE", f"{base}/guarded", {"preconditions": {"uid": "another"}}).status == 409
    assert ask(served, "DELETE", f"{base}/guarded?dryRun=All").status == 200
    assert ask(served, "GET", f"{base}/guarded").status == 200
    assert ask(served, "DELETE", f"{base}/guarded").status == 200
    assert ask(served, "DELETE", f"{base}/guarded").status == 404
