"""Image references and what may be known of them: digest, registry, user, rehearsal pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from policies.finding import Finding, ImageFacts, ImageTable, ParameterChange, Remediation, SetValue
from policies.kubernetes_objects import mapping
from policies.pod_specs import CONTAINER_LISTS, PodSpecAt
from policies.rules import rule

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNPRIVILEGED_USER = 10001


@dataclass(frozen=True)
class ImageReference:
    """An image reference in full: docker.io/library/nginx, a tag, a digest."""

    repository: str
    tag: str | None
    digest: str | None

    @property
    def registry(self) -> str:
        """The part before the first slash."""
        return self.repository.partition("/")[0]


def parse_image(text: str) -> ImageReference:
    """A reference as the container runtimes read it; `nginx` is docker.io/library/nginx."""
    name, _, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = head + slash + last
    registry, slash, rest = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = "docker.io", name
    if registry in {"docker.io", "index.docker.io", "registry-1.docker.io"}:
        registry = "docker.io"
        rest = rest if "/" in rest else f"library/{rest}"
    return ImageReference(f"{registry}/{rest}", tag or None, digest or None)


@dataclass(frozen=True)
class ContainerImage:
    """The image of one container of a pod spec, and what is known of it."""

    at: PodSpecAt
    pointer: str
    container: dict[str, Any]
    reference: ImageReference
    facts: ImageFacts | None

    @property
    def where(self) -> str:
        """Kind/name/container, as findings call it."""
        return f"{self.at.owner.label}/{self.container.get('name', '?')}"

    def finding(self, name: str, message: str, fix: tuple[Remediation, ...] = ()) -> Finding:
        """A finding at the image's line."""
        owner = self.at.owner
        line = owner.line(f"{self.pointer}/image")
        return rule(name).finding(
            owner.path, self.where, f"{self.where} {message}", line=line, remediations=fix
        )

    def patch(self, *edits: tuple[str, JsonValue]) -> tuple[Remediation, ...]:
        """Set values at pointers below the container."""
        return self.at.owner.patch(
            *(SetValue(pointer=f"{self.pointer}/{place}", value=value) for place, value in edits)
        )


def image_findings(
    at: PodSpecAt, images: ImageTable, allowed_registries: frozenset[str], *, rehearsal: bool
) -> Iterator[Finding]:
    """Each container's image: pinned, from an allowed registry, no rehearsal pin on a real target, not root."""
    for pointer, container in at.containers():
        text = str(container.get("image") or "")
        if not text:
            continue  # the models say that an image is missing
        reference = parse_image(text)
        image = ContainerImage(at, pointer, container, reference, images.get(reference.repository))
        yield from _pin(image, text, rehearsal=rehearsal)
        if not from_registry(reference, allowed_registries):
            allowed = ", ".join(sorted(allowed_registries)) or "none"
            yield image.finding("kubernetes/image-registry", f"uses {text}; allowed registries are {allowed}")
        yield from _user(image, images)


def images_named(value: object) -> Iterator[str]:
    """Every image that a JSON value would have pulled: of containers of any kind and of image volumes, wherever they stand."""
    if isinstance(value, dict):
        for name in (*CONTAINER_LISTS, "volumes"):
            listed = value.get(name)
            for entry in map(mapping, listed if isinstance(listed, list) else ()):
                image = entry.get("image")
                if text := mapping(image).get("reference") if name == "volumes" else image:
                    yield str(text)
        for inner in value.values():
            yield from images_named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from images_named(inner)


def from_registry(reference: ImageReference, allowed: AbstractSet[str]) -> bool:
    """Whether an entry of the list is the reference's registry, or a path in it."""
    name = reference.repository
    return any(name == entry or name.startswith(entry.rstrip("/") + "/") for entry in allowed)


def _pin(image: ContainerImage, text: str, *, rehearsal: bool) -> Iterator[Finding]:
    reference, facts = image.reference, image.facts
    known = facts.digest if facts else None
    pin = image.patch(("image", f"{reference.repository}@{known}")) if known else ()
    if reference.digest is None or not _DIGEST.fullmatch(reference.digest):
        yield image.finding("kubernetes/image-digest", f"names {text} without a digest", pin)
    elif known and reference.digest != known:
        message = f"names {reference.digest[:19]}..., the pin of {reference.repository} is {known[:19]}..."
        yield image.finding("kubernetes/image-pin-mismatch", message, pin)
    if facts and facts.rehearsal and not rehearsal:
        yield image.finding(
            "kubernetes/image-rehearsal-pin", f"uses the rehearsal pin of {reference.repository}"
        )


def _user(image: ContainerImage, images: ImageTable) -> Iterator[Finding]:
    own = mapping(image.container.get("securityContext")).get("runAsUser")
    user = own if own is not None else mapping(image.at.spec.get("securityContext")).get("runAsUser")
    facts = image.facts
    if user is not None or facts is None or facts.user != 0 or image.at.spec.get("hostUsers") is False:
        return  # an explicit user is pod-security/run-as-user's; an unknown one the kubelet checks under runAsNonRoot
    runs_as_root = f"uses {facts.repository}, which runs as root"
    sibling = facts.unprivileged_sibling
    if sibling:
        known = f" (uid {images[sibling].user})" if sibling in images else ""
        fix: tuple[Remediation, ...] = (ParameterChange(parameter="image", value=sibling),)
        yield image.finding(
            "kubernetes/image-runs-as-root",
            f"{runs_as_root}; its unprivileged sibling is {sibling}{known}",
            fix,
        )
        return
    fix = image.patch(
        ("securityContext/runAsUser", UNPRIVILEGED_USER), ("securityContext/runAsGroup", UNPRIVILEGED_USER)
    )
    yield image.finding("kubernetes/image-runs-as-root", runs_as_root, fix)
