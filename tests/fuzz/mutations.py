"""A few thousand inputs that are the same on every machine: seeds with bytes flipped, cut, doubled, spliced and spiced."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

SPICE = (
    b"NaN", b"-Infinity", b"1e999", b"-0", b"\\ud800", b"\xed\xa0\x80", b"\xff", b"\x00", b"\n", b"\r", b"null", b"{}", b"[", b"]" * 50,
    b"[" * 3000, b'{"a":' * 2000, b'"', b",", b"&a ", b"*a", b"<<: ", b"!!binary ", b"---\n", b"...", b"\xe2\x80\xae", b"\xc2\xa0",
    b'{"$artifact":"x"}', b"9" * 400, b"0.1" + b"0" * 400, b"\\u0000", b"\xef\xbb\xbf", b"true", b"%YAML 1.1\n", b"\t",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs; the seeds themselves come first."""
    dice = random.Random(seed)  # noqa: S311 - the same inputs everywhere is the point
    yield from seeds[:count]
    for _ in range(count - len(seeds)):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 2, 4, 8))):
            _edit(data, dice, seeds)
        yield bytes(data)


def _edit(data: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice((1, 2, 8, 64)))
    kind = dice.randrange(6)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del data[at:end]
    elif kind == 2:
        data[at:at] = data[at:end]
    elif kind == 3:
        data[at:end] = dice.choice(SPICE)
    elif kind == 4:
        data[at:at] = dice.choice(SPICE)
    else:
        other = dice.choice(seeds)
        start = dice.randrange(len(other) + 1)
        data[at:at] = other[start : start + 64]
