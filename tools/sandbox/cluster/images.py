"""Container images by name: which repository, whether the rehearsal knows it, who it runs as."""

from __future__ import annotations

from policies.finding import ImageFacts, ImageTable


def repository_of(image: str) -> str:
    """`nginx:1.29` -> `docker.io/library/nginx`; tag and digest are dropped."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    first, slash, rest = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    if "." not in first and ":" not in first and first != "localhost":
        return f"docker.io/{name}"
    return f"docker.io/library/{rest}" if first == "docker.io" and "/" not in rest else name


def facts_of(image: str, known: ImageTable) -> ImageFacts | None:
    """What is known of an image, or None: then nothing can be pulled."""
    return known.get(repository_of(image))


def image_id(image: str, facts: ImageFacts) -> str:
    """The digest that was pulled, as a container status names it; empty when the rehearsal knows none."""
    digest = image.partition("@")[2] or facts.digest or ""
    return f"{repository_of(image)}@{digest}" if digest else ""
