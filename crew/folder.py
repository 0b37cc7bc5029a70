"""A run's folder as the stages leave it: read again at the end, so that a resumed run has all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crew.goal import Met, Transcript
from policies.change import MANIFEST_NAME, ChangeSet

TEAM, MET = ".team.json", ".findings.json"


@dataclass(frozen=True)
class RunFolder:
    """Phase -> what was said, found and signed in it."""

    path: Path

    @property
    def transcripts_dir(self) -> Path:
        """Where each negotiation leaves its words."""
        return self.path / "transcripts"

    @property
    def database(self) -> Path:
        """The run's own record of finished stages."""
        return self.path / "stages.sqlite"

    def signed(self, phase: str) -> Path:
        """Where exactly the signed bytes of a phase lie."""
        return self.path / "changesets" / phase

    def transcripts(self) -> Mapping[str, Transcript]:
        """The negotiations."""
        files = [p for p in sorted(self.transcripts_dir.glob("*.json")) if not p.name.endswith((TEAM, MET))]
        return {p.stem: Transcript.model_validate_json(p.read_bytes()) for p in files}

    def met(self) -> Mapping[str, Met]:
        """What the notary found."""
        files = sorted(self.transcripts_dir.glob(f"*{MET}"))
        return {p.name.removesuffix(MET): Met.model_validate_json(p.read_bytes()) for p in files}

    def changes(self) -> tuple[ChangeSet, ...]:
        """The manifests that were handed in for signing."""
        found = sorted(self.path.glob(f"changesets/*/{MANIFEST_NAME}"))
        return tuple(ChangeSet.model_validate_json(path.read_bytes()) for path in found)

    def tell(self, more: Mapping[str, Any]) -> None:
        """Add to `result.json`, whole or not at all."""
        path = self.path / "result.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({**before, **more}, ensure_ascii=False, indent=1), encoding="utf-8")
        fresh.replace(path)
