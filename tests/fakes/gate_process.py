"""A gate process over real pipes with the targets of tests/fakes: `gate_process.py FOLDER RUN ROLE=FD ...`."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from tests.fakes.gate import Clock, World, no_notary
from tools.gate.server import serve_roles
from tools.tool import Role

if __name__ == "__main__":
    folder, run_id, *pairs = sys.argv[1:]
    roles = {Role(name): int(fd) for name, _, fd in (pair.partition("=") for pair in pairs)}
    world = World(Path(folder), run_id=run_id, clock=Clock())
    anyio.run(serve_roles, world.room, no_notary, roles)
