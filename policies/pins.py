"""pins.toml as values: which bytes an image, an action, a provider or an add-on stands for, and who says so.

The notary and the crew read the same file through this one reader.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from policies.change import CommitSha, Digest, Word
from policies.finding import ImageFacts, ImageTable


class PinsFaultError(Exception):
    """pins.toml is missing or unreadable; the message names the entry."""


class ImagePin(Word):
    """One image repository: the tag that was pinned, its index digest, and what running it needs."""

    tag: str
    digest: Digest
    source: str = Field(min_length=10)
    user: int | None = Field(default=None, ge=0)
    port: int = Field(default=8080, ge=1, le=65535)
    protocol: Literal["http", "tcp"] = "http"
    writable: tuple[str, ...] = ()
    unprivileged_sibling: str | None = None


class ActionPin(Word):
    """One GitHub action: the tag and the full commit SHA that it stood for."""

    tag: str
    sha: CommitSha
    source: str = Field(min_length=10)


class ProviderPin(Word):
    """One Terraform provider: its version and the package hashes for the lock file."""

    version: str
    hashes: tuple[str, ...] = Field(min_length=1)
    source: str = Field(min_length=10)


class TerraformPin(Word):
    """The Terraform that workflows install."""

    version: str
    source: str


class EksPin(Word):
    """A Kubernetes version that EKS offers, and the add-on versions that go with it."""

    version: str
    addons: Mapping[str, str]
    source: str = Field(min_length=10)


class Pins(Word):
    """The whole file."""

    found: dt.date
    images: Mapping[str, ImagePin]
    actions: Mapping[str, ActionPin]
    terraform: TerraformPin
    providers: Mapping[str, ProviderPin]
    eks: EksPin

    def image_table(self) -> ImageTable:
        """Image repository -> what the policies need to know of it."""
        return {
            repository: ImageFacts(
                repository=repository,
                digest=pin.digest,
                user=pin.user,
                unprivileged_sibling=pin.unprivileged_sibling,
            )
            for repository, pin in self.images.items()
        }

    def action_pins(self) -> Mapping[str, str]:
        """owner/action@tag -> full commit SHA."""
        return {f"{action}@{pin.tag}": pin.sha for action, pin in self.actions.items()}


def rehearsal_digest(repository: str, tag: str | None) -> str:
    """The digest of an image that nobody pinned: it names no bytes, and only the sandbox runs it."""
    return "sha256:" + hashlib.sha256(f"rehearsal:{repository}:{tag or 'latest'}".encode()).hexdigest()


def load(path: Path) -> Pins:
    """Parse pins.toml. Raises PinsFaultError with the entry that is wrong."""
    try:
        return Pins.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as fault:
        raise PinsFaultError(f"{path.name} cannot be used: {fault}") from fault
