"""The sign-offs in use, read from the content store once: bytes filed under a digest never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from policies.change import ChangeSet, Digest
from policies.evidence import Evidence
from policies.strict import parse
from tools.gate.content import ContentStore
from tools.gate.ledger import Deposited

T = TypeVar("T")
_MANIFESTS, _WHOLE = 16, 2
"""How many are kept at hand: manifests are small, a change's files may be 32 MiB."""


@dataclass
class _Recent(Generic[T]):
    """The values that were asked for last, by the digests of what they were read from."""

    most: int
    _kept: OrderedDict[str, T] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, digest: str, read: Callable[[], T]) -> T:
        """The value of `digest`, read when it is not at hand."""
        with self._lock:
            value = self._kept[digest] if digest in self._kept else read()
            self._kept[digest] = value
            self._kept.move_to_end(digest)
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)
            return value


class Shelf:
    """Manifests and evidence of kept sign-offs. Every method raises JournalFaultError for bytes that are not there or others."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._changes: _Recent[ChangeSet] = _Recent(_MANIFESTS)
        self._evidence: _Recent[Evidence] = _Recent(_WHOLE)

    def change(self, kept: Deposited) -> ChangeSet:
        """The manifest of a kept sign-off."""
        return self._changes.get(
            kept.manifest, lambda: parse(ChangeSet, self._content.read(kept.manifest), "the stored manifest")
        )

    def evidence(self, kept: Deposited, cosigned: tuple[Digest, ...] = ()) -> Evidence:
        """Everything that was deposited of it, and other signers' bundles, each part checked by its digest."""
        return self._evidence.get(" ".join((kept.signoff, *cosigned)), lambda: self._read(kept, cosigned))

    def _read(self, kept: Deposited, cosigned: tuple[Digest, ...]) -> Evidence:
        artifacts = self.change(kept).artifacts
        content = {a.digest: self._content.read(a.digest) for a in artifacts if a.operation != "delete"}
        bundle, manifest = self._content.read(kept.bundle).decode(), self._content.read(kept.manifest)
        others = tuple(self._content.read(digest).decode() for digest in cosigned)
        return Evidence(bundle, manifest, content, others)
