"""Which user's process is at the other end of a loopback connection: Linux says so in /proc/net/tcp."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

TABLE = Path("/proc/net/tcp")
_ESTABLISHED = "01"


def same_user(scope: Any) -> bool:  # noqa: ANN401 - ASGI
    """Whether the peer is our own user's, root's or unknown: whoever may be able to read our memory and files."""
    peer, here = scope.get("client"), scope.get("server")
    if not peer or not here:
        return True
    owner = uid_of(tuple(peer), tuple(here), TABLE.read_text(encoding="ascii"))
    return owner is None or owner in {0, os.getuid()}


def uid_of(peer: tuple[str, int], here: tuple[str, int], table: str) -> int | None:
    """The owner of the socket whose own address is `peer` and whose remote is `here`; None when the table has none."""
    wanted = (_hex(peer), _hex(here), _ESTABLISHED)
    for line in table.splitlines()[1:]:
        fields = line.split()
        if tuple(fields[1:4]) == wanted:
            return int(fields[7])
    return None


def _hex(address: tuple[str, int]) -> str:
    packed = socket.inet_aton(address[0])
    return f"{int.from_bytes(packed, 'little'):08X}:{address[1]:04X}"
