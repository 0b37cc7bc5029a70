"""The gate's store of bytes: a file per digest, written once, checked at each reading."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from policies.change import digest_of
from tools.gate.journal import JournalFaultError


class ContentStore:
    """Bytes by digest below one folder."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when it is missing. Raises JournalFaultError."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as fault:
            raise JournalFaultError(f"{folder} cannot be made: {fault.strerror}") from fault

    def keep(self, data: bytes) -> str:
        """Store the bytes durably; their digest. Raises JournalFaultError."""
        digest = digest_of(data)
        path = self._path(digest)
        if path.is_file() and path.read_bytes() == data:
            return digest
        try:
            handle, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
            Path(name).replace(path)
        except OSError as fault:
            raise JournalFaultError(
                f"{self._folder} cannot be written: {fault.strerror}; make room and run again"
            ) from fault
        return digest

    def sync(self) -> None:
        """Make the names of what was kept durable too; call before the journal speaks of them."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self, digest: str) -> bytes:
        """The bytes. Raises JournalFaultError when they are missing or others."""
        try:
            data = self._path(digest).read_bytes()
        except OSError as fault:
            raise JournalFaultError(
                f"the stored bytes {digest[:19]} cannot be read ({fault.strerror}): sign the change again"
            ) from fault
        if digest_of(data) != digest:
            raise JournalFaultError(
                f"the stored bytes {digest[:19]} were changed: nothing is submitted from them; sign the change again"
            )
        return data

    def _path(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")
