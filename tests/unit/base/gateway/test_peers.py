"""Whose process is at the other end."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from tools.gateway import peers

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:C350 0100007F:1B9E 01 00000000:00000000 00:00000000 00000000  1234        0 1
   1: 0100007F:1B9E 0100007F:C350 01 00000000:00000000 00:00000000 00000000   999        0 2
   2: 0100007F:C351 0100007F:1B9E 06 00000000:00000000 00:00000000 00000000     7        0 3
"""


@pytest.mark.parametrize(("peer", "uid"), [(50000, 1234), (50001, None), (50002, None)])
def test_the_owner_is_that_of_the_clients_own_end(peer: int, uid: int | None) -> None:
    assert peers.uid_of(("127.0.0.1", peer), ("127.0.0.1", 7070), TABLE) == uid


def test_our_own_process_is_told_from_the_kernels_table() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        taken, peer = listening.accept()
        with taken:
            table = peers.TABLE.read_text()
            assert peers.uid_of(peer, listening.getsockname(), table) == os.getuid()
            assert peers.same_user({"client": client.getsockname(), "server": listening.getsockname()})


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"client": None, "server": ("127.0.0.1", 1)},
        {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1)},
    ],
)
def test_an_unknown_peer_is_no_other_user(scope: dict[str, Any]) -> None:
    assert peers.same_user(scope)
