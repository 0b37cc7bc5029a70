"""A profile is an allow-list, and the gate holds it against a clean change under a good signature: what it does not list is no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policies.change import EMPTY_DIGEST, Artifact, Operation, canonical
from policies.gate import GateError
from policies.profile import Profile, matches
from tests.fakes.signed import (
    BASE,
    BRANCH,
    CLUSTER,
    DEFAULT,
    FILES,
    OBJECT,
    SANDBOX,
    Case,
    change_of,
    deploy,
    publish,
    publish_grants,
)


def narrowed(**scope: Any) -> Profile:
    return SANDBOX.model_copy(update={"scope": SANDBOX.scope.model_copy(update=scope)})


def published(**scope: Any) -> Case:
    """Judged and signed under the very profile that does not list it."""
    return Case.of(publish(), FILES, narrowed(**scope))


def deployed(body: Any = OBJECT, **scope: Any) -> Case:
    change, files = deploy(canonical(body))
    return Case.of(change, files, narrowed(**scope))


def deleting(*leave: str) -> Case:
    gone = Artifact(path="infra/old.tf", digest=EMPTY_DIGEST, operation=Operation.DELETE)
    push = {
        "branch": BRANCH, "base_commit": BASE, "message": "m", "files": [{"path": gone.path, "operation": "delete"}],
    }  # fmt: skip
    change = change_of(publish().phase, {}, [("github.push_commit", push)], artifacts=(gone,))
    return Case.of(change, {}, narrowed(deletes=leave))


def running(*containers: dict[str, Any], key: str = "containers", **spec: Any) -> dict[str, Any]:
    pod = {key: list(containers), **spec}
    return {**OBJECT, "spec": {"template": {"spec": pod}}}


def image(name: str) -> dict[str, str]:
    return {"name": "c", "image": name}


NGINX = "docker.io/nginxinc/nginx-unprivileged@sha256:" + "a" * 64
ELSEWHERE = "registry.evil.example/nginx@sha256:" + "a" * 64
ROWS: list[tuple[str, Callable[[], Case], str]] = [
    ("no-repository", lambda: published(repositories=()), "out-of-scope"),
    ("another-repository", lambda: published(repositories=("acme/platform2", "acme/*x")), "out-of-scope"),
    ("no-path", lambda: published(paths=()), "out-of-scope"),
    ("one-path-of-two", lambda: published(paths=("infra/*",)), "out-of-scope"),
    ("a-path-that-begins-alike", lambda: published(paths=("infra/main.t", "manifests/*")), "out-of-scope"),
    ("a-path-in-another-case", lambda: published(paths=("INFRA/*", "manifests/*")), "out-of-scope"),
    ("no-verb", lambda: published(verbs=()), "out-of-scope"),
    (
        "a-later-verb-is-not-listed",
        lambda: published(verbs=("github.push_commit", "github.open_pull_request")),
        "out-of-scope",
    ),
    ("no-delete-is-listed", lambda: deleting(), "out-of-scope"),
    ("another-delete-is-listed", lambda: deleting("manifests/*"), "out-of-scope"),
    ("no-cluster", lambda: deployed(clusters=()), "out-of-scope"),
    ("another-cluster", lambda: deployed(clusters=("uid-2",)), "out-of-scope"),
    ("no-namespace", lambda: deployed(namespaces=()), "out-of-scope"),
    ("one-namespace-of-two", lambda: deployed(namespaces=("web",)), "out-of-scope"),
    ("no-kind", lambda: deployed(kinds=()), "call-mismatch"),
    ("the-kind-without-its-group", lambda: deployed(kinds=("Deployment",)), "call-mismatch"),
    ("the-kind-of-another-group", lambda: deployed(kinds=("Deployment.extensions",)), "call-mismatch"),
    ("no-registry", lambda: deployed(running(image(NGINX)), registries=()), "call-mismatch"),
    ("another-registry", lambda: deployed(running(image(ELSEWHERE))), "call-mismatch"),
    ("a-registry-that-begins-alike", lambda: deployed(running(image("docker.io.evil.example/x@sha256:1"))), "call-mismatch"),
    ("a-registry-with-a-port", lambda: deployed(running(image("docker.io:5000/x"))), "call-mismatch"),
    ("a-registry-as-a-user", lambda: deployed(running(image("localhost/docker.io/x"))), "call-mismatch"),
    ("the-second-container", lambda: deployed(running(image(NGINX), image(ELSEWHERE))), "call-mismatch"),
    ("an-init-container", lambda: deployed(running(image(ELSEWHERE), key="initContainers")), "call-mismatch"),
    ("an-ephemeral-container", lambda: deployed(running(image(ELSEWHERE), key="ephemeralContainers")), "call-mismatch"),
    (
        "an-image-volume",
        lambda: deployed(running(image(NGINX), volumes=[{"name": "v", "image": {"reference": ELSEWHERE}}])),
        "call-mismatch",
    ),
    (
        "a-pod-spec-deep-inside",
        lambda: deployed({**OBJECT, "spec": {"any": [{"where": {"containers": [image(ELSEWHERE)]}}]}}),
        "call-mismatch",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "name"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_the_profile_does_not_list_is_no_whoever_signed_it(make: Callable[[], Case], name: str) -> None:
    with pytest.raises(GateError) as no:
        make().ask()
    assert no.value.name == name, no.value


@pytest.mark.parametrize(
    "make",
    [
        published,
        deployed,
        lambda: deleting("infra/*"),
        lambda: deployed(clusters=(CLUSTER.uid,), namespaces=("argocd", "web"), kinds=("Deployment.apps",)),
        lambda: deployed(running(image(NGINX))),
        lambda: deployed(running(image("nginx@sha256:" + "a" * 64)), registries=("docker.io",)),
        lambda: deployed(running(image("ghcr.io/acme/app:1")), registries=("ghcr.io/acme",)),
    ],
    ids=["publish", "deploy", "listed-delete", "exact-lists", "image", "short-name", "path-in-a-registry"],
)
def test_what_it_lists_goes_through(make: Callable[[], Case]) -> None:
    assert make().ask()


@pytest.mark.parametrize("active", [DEFAULT, DEFAULT.model_copy(update={"name": "sandbox"})])
def test_a_sandbox_signoff_never_counts_on_a_real_target(active: Profile) -> None:
    """Not under a real profile, not under one of the same name, not with the real key, not with its flag rubbed out."""
    signed = Case.publish()
    with pytest.raises(GateError) as no:
        signed.but(rehearsal=False, profile=active).ask()
    assert no.value.name == "rehearsal-mismatch"
    real = Case.of(publish(profile=active.name), FILES, active, signer=signed.signer)
    for edit in (
        {"bundle": signed.bundle},
        {"bundle": signed.bundle, "trust": signed.trust},
        {"trust": signed.trust},
        {"request": signed.request},
    ):
        with pytest.raises(GateError):
            real.but(**edit).ask()


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("infra/*", "infra/a/b.tf", True),
        ("infra/*", "infra", False),
        ("infra/*", "infrastructure/a.tf", False),
        ("*", "anything", True),
        ("", "", True),
        ("", "x", False),
        ("in*fra/x", "inAfra/x", False),
        ("infra/?", "infra/a", False),
    ],
)
def test_an_entry_is_exact_or_ends_in_a_star(pattern: str, value: str, *, fits: bool) -> None:
    assert matches((pattern,), value) is fits


def test_every_list_that_is_empty_allows_nothing() -> None:
    assert not matches((), "")
    grants = [name for name, _ in publish_grants()]
    assert not any(matches(narrowed(verbs=()).scope.verbs, name) for name in grants)
