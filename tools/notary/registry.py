"""What this user's notary has signed: one file per (change_id, phase), made once and never replaced while it counts."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from policies.change import ChangeId, Digest, Phase, Word
from policies.trust import Instant, moment
from tools.tool import ToolRefusedError


class SignedRecord(Word):
    """One signature that was given."""

    change_id: ChangeId
    phase: Phase
    manifest_digest: Digest
    signoff: Digest
    expires: Instant
    bundle: str


class Registry:
    """The files below `folder`. Safe between processes: a record appears whole, by a link that fails when one is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, change_id: str, phase: Phase) -> SignedRecord | None:
        """The signature that was given. Raises ToolRefusedError for a record that cannot be read: it might be one."""
        path = self._path(change_id, phase)
        try:
            return SignedRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as fault:
            message = f"the record of what was signed for {change_id} cannot be read: {type(fault).__name__}."
            raise ToolRefusedError(
                "record-unreadable", message, f"Look at {path.name} in the notary's folder."
            ) from fault

    def standing(
        self, change_id: str, phase: Phase, manifest_digest: str, now: datetime
    ) -> SignedRecord | None:
        """The earlier signature on the very same manifest. Raises ToolRefusedError when another one still counts."""
        record = self.find(change_id, phase)
        if record is None or now >= moment(record.expires):
            return None  # an expired sign-off unlocks nothing; its place is free
        if record.manifest_digest != manifest_digest:
            message = f"{change_id} {phase} was signed as {record.signoff[:19]} over another manifest."
            raise ToolRefusedError("already-signed", message, "Submit that one, or open a new change.")
        return record

    def keep(self, record: SignedRecord, now: datetime) -> SignedRecord:
        """Keep it durably, before anybody hears of it; the record that stands, which is another's if it was first."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(record.change_id, record.phase)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{record.signoff[7:19]}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(record.canonical())
            file.flush()
            os.fsync(file.fileno())
        try:
            earlier = self.find(record.change_id, record.phase)
            if earlier is not None and now >= moment(earlier.expires):
                path.rename(path.with_name(f"{path.name}.{earlier.signoff[7:19]}"))
            os.link(draft, path)
        except FileExistsError:
            standing = self.standing(record.change_id, record.phase, record.manifest_digest, now)
            if standing is None:
                raise
            return standing
        finally:
            draft.unlink()
        return record

    def _path(self, change_id: str, phase: Phase) -> Path:
        return self._folder / f"{change_id}.{phase.value}.json"
