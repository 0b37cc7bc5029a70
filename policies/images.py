"""Image references and what may be known of them: digest, registry, user, rehearsal pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from policies.finding import Finding, ImageFacts, ImageTable, ParameterChange, Remediation, SetValue
from policies.kubernetes_objects import mapping
from policies.pod_specs import PodSpecAt
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


def image_findings(
    at: PodSpecAt, images: ImageTable, allowed_registries: frozenset[str], *, rehearsal: bool
) -> Iterator[Finding]:
    """Each container's image: pinned, from an allowed registry, no rehearsal pin on a real target, not root."""
    for pointer, container in at.containers():
        text = str(container.get("image") or "")
        if not text:
            continue  # the models say that an image is missing
        reference = parse_image(text)
        facts = images.get(reference.repository)
        where = f"{at.owner.label}/{container.get('name', '?')}"
        line = at.owner.line(f"{pointer}/image")
        yield from _pin(at, pointer, where, line, text, reference, facts, rehearsal=rehearsal)
        if not _allowed(reference, allowed_registries):
            message = f"{where} uses {text}; allowed are {', '.join(sorted(allowed_registries))}"
            yield rule("kubernetes/image-registry").finding(at.owner.path, where, message, line=line)
        yield from _user(at, pointer, container, where, line, reference, facts, images)


def _allowed(reference: ImageReference, allowed: frozenset[str]) -> bool:
    return any(reference.repository == entry or reference.repository.startswith(entry.rstrip("/") + "/") for entry in allowed)


def _pin(  # noqa: PLR0913 - one container's facts
    at: PodSpecAt,
    pointer: str,
    where: str,
    line: int,
    text: str,
    reference: ImageReference,
    facts: ImageFacts | None,
    *,
    rehearsal: bool,
) -> Iterator[Finding]:
    path = at.owner.path
    known = facts.digest if facts else None
    pin = at.owner.patch(SetValue(pointer=f"{pointer}/image", value=f"{reference.repository}@{known}")) if known else ()
    if reference.digest is None or not _DIGEST.fullmatch(reference.digest):
        message = f"{where} names {text} without a digest"
        yield rule("kubernetes/image-digest").finding(path, where, message, line=line, remediations=pin)
    elif known and reference.digest != known:
        message = f"{where} names {reference.digest[:19]}..., the pin of {reference.repository} is {known[:19]}..."
        yield rule("kubernetes/image-pin-mismatch").finding(path, where, message, line=line, remediations=pin)
    if facts and facts.rehearsal and not rehearsal:
        message = f"{where} uses the rehearsal pin of {reference.repository}"
        yield rule("kubernetes/image-rehearsal-pin").finding(path, where, message, line=line)


def _user(  # noqa: PLR0913 - one container's facts
    at: PodSpecAt,
    pointer: str,
    container: dict[str, object],
    where: str,
    line: int,
    reference: ImageReference,
    facts: ImageFacts | None,
    images: ImageTable,
) -> Iterator[Finding]:
    own = mapping(container.get("securityContext")).get("runAsUser")
    user = own if own is not None else mapping(at.spec.get("securityContext")).get("runAsUser")
    if user is not None or facts is None or facts.user != 0 or at.spec.get("hostUsers") is False:
        return  # an explicit user is pod-security/run-as-user's; an unknown one the kubelet checks under runAsNonRoot
    sibling = facts.unprivileged_sibling
    remediations: tuple[Remediation, ...]
    if sibling:
        remediations = (ParameterChange(parameter="image", value=sibling),)
        remedy = f"use {sibling}, which runs as uid {images[sibling].user}" if sibling in images else f"use {sibling}"
    else:
        context = f"{pointer}/securityContext"
        remediations = at.owner.patch(
            SetValue(pointer=f"{context}/runAsUser", value=UNPRIVILEGED_USER),
            SetValue(pointer=f"{context}/runAsGroup", value=UNPRIVILEGED_USER),
        )
        remedy = f"set runAsUser {UNPRIVILEGED_USER} if the image can run as any user"
    message = f"{where}: {reference.repository} runs as root; {remedy}"
    yield rule("kubernetes/image-runs-as-root").finding(at.owner.path, where, message, line=line, remediations=remediations)
