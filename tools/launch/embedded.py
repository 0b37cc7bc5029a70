"""The embedded graph of a working directory: one server, which the first run starts and the next ones share."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic import ValidationError

from policies.change import Word
from tools.launch import folders
from tools.launch.processes import House
from tools.launch.wiring import free_port, fresh_password
from tools.settings import GraphSettings


class EmbeddedSettings(Word):
    """What `knowledge.embedded` is told."""

    folder: Path
    port: int
    http_port: int
    password: str


def settings_of(house: House, folder: Path, crew_python: Path) -> GraphSettings:
    """The address of the server over `folder`, started here unless another run's already answers.

    It is not waited for: the crew plans without memory while it starts, and outcomes wait for it.
    """
    folders.private(folder)
    address = folder / "address.json"
    known = _known(address)
    told = known if known is not None and _answers(known.port) else None
    if told is None:
        password = known.password if known is not None else fresh_password()  # the stored user keeps its own
        told = EmbeddedSettings(folder=folder, port=free_port(), http_port=free_port(), password=password)
        house.start("graph", [crew_python, "-P", "-m", "knowledge.embedded"], []).tell(told)
        address.touch(mode=0o600)
        address.write_text(told.model_dump_json(), encoding="utf-8")
    return GraphSettings(uri=f"bolt://127.0.0.1:{told.port}", user="neo4j", password=told.password)


def _known(address: Path) -> EmbeddedSettings | None:
    """Where the last server over this folder was; None where there never was one."""
    try:
        return EmbeddedSettings.model_validate_json(address.read_bytes())
    except (OSError, ValidationError):
        return None


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False
