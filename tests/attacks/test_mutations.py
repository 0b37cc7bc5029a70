"""Twelve thousand random edits of what was signed, from one seed: not one is accepted, and not one effect is at the targets."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from securesystemslib.signer import CryptoSigner

from policies.change import canonical
from policies.gate import GateError
from tests.attacks.stage import Pipe
from tests.fakes.gate import World, no_notary
from tests.fakes.signed import Case, deploy, payload_of, release, seal_raw
from tools.gate.server import tools_of
from tools.tool import Role, ToolRefusedError

SEED = 20261126
STRANGER = CryptoSigner.generate_ed25519()
TEXTS = (
    "",
    "main",
    "approve",
    "../x",
    "\u0430pprove",
    "0" * 40,
    "sha256:" + "0" * 64,
    "cs-ffffffffffffffff",
    "\u200b",
    "*",
    "-",
    "\n",
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**53 - 1,
    1.5,
    [],
    {},
    [None],
    {"$artifact": "x"},
    *TEXTS,
)

Edit = Callable[[random.Random, Case], Case]


def edited_bytes(chance: random.Random, data: bytes) -> bytes:
    """One byte other, one more, one less, a piece twice, or two pieces in each other's place."""
    at = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + bytes([chance.randrange(256)]) + data[at:]
        case 2:
            return data[:at] + data[at + 1 :]
        case 3:
            return data[:at] + data[at : at + chance.randrange(1, 40)] + data[at:]
        case _:
            end = chance.randrange(at, len(data))
            return data[:at] + data[end:] + data[at:end]


def edited_json(chance: random.Random, value: Any) -> Any:
    """A JSON value with one thing other somewhere in it."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list) and node[key]:
                walk(node[key])

    walk(value)
    node, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            node[key] = chance.choice(OTHERS)
        case 1:
            del node[key]
        case 2 if isinstance(node, dict):
            node[chance.choice(("x", "approved", "$artifact", f"{key} "))] = node[key]
        case 3 if isinstance(node, list):
            chance.shuffle(node)
        case _:
            old = node[key]
            node[key] = (
                old + 1
                if isinstance(old, int | float)
                else edited_text(chance, old)
                if isinstance(old, str)
                else [old]
            )
    return value


def edited_text(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return (
        text[:at] + chance.choice(("a", "\u0430", "\u200b", "0", "/", " ")) + text[at + chance.randrange(2) :]
    )


def bundle_bytes(chance: random.Random, case: Case) -> Case:
    return case.but(bundle=edited_bytes(chance, case.bundle.encode()).decode("utf-8", "surrogateescape"))


def bundle_json(chance: random.Random, case: Case) -> Case:
    return case.but(bundle=canonical(edited_json(chance, json.loads(case.bundle))).decode())


def payload_json(chance: random.Random, case: Case) -> Case:
    """Another payload in the old envelope, or under a stranger's good signature."""
    said = case.payload()
    while (edited := edited_json(chance, said)) == said:
        pass
    other = canonical(edited)
    if chance.randrange(2):
        return case.but(bundle=seal_raw(other, STRANGER))
    fresh = json.loads(seal_raw(other, STRANGER))
    outer = json.loads(case.bundle)
    outer["dsseEnvelope"]["payload"] = fresh["dsseEnvelope"]["payload"]
    return case.but(bundle=canonical(outer).decode())


def manifest_bytes(chance: random.Random, case: Case) -> Case:
    return case.but(manifest=edited_bytes(chance, case.manifest))


def manifest_json(chance: random.Random, case: Case) -> Case:
    return case.but(manifest=canonical(edited_json(chance, json.loads(case.manifest))))


def content(chance: random.Random, case: Case) -> Case:
    digest, data = chance.choice(sorted(case.content.items()))
    held = dict(case.content)
    match chance.randrange(4):
        case 0:
            held[digest] = edited_bytes(chance, data)
        case 1:
            del held[digest]
        case 2:
            held[f"sha256:{chance.randrange(16**64):064x}"] = data
        case _:
            held[digest] = data + bytes([chance.randrange(256)])
    return case.but(content=held)


def request_bytes(chance: random.Random, case: Case) -> Case:
    assert case.request is not None
    return case.but(request=edited_bytes(chance, case.request.encode()).decode("utf-8", "surrogateescape"))


def turn(chance: random.Random, case: Case) -> Case:
    """Another grant than the one whose turn it is."""
    return case.but(seq=chance.choice([n for n in range(-3, 12) if n != case.seq]))


EDITS: list[tuple[Edit, int]] = [
    (bundle_bytes, 2000),
    (bundle_json, 1500),
    (payload_json, 2000),
    (manifest_bytes, 1500),
    (manifest_json, 1500),
    (content, 1000),
    (request_bytes, 500),
    (turn, 500),
]


def cases() -> list[Case]:
    change, files = deploy()
    return [Case.publish(), Case.of(release(), {}), Case.of(change, files)]


@pytest.mark.parametrize(("edit", "number"), EDITS, ids=[edit.__name__ for edit, _ in EDITS])
def test_no_edit_is_accepted(edit: Edit, number: int) -> None:
    chance, known = random.Random(f"{SEED} {edit.__name__}"), cases()  # noqa: S311 - a seed, not a secret
    for case in known:
        assert case.ask()
    met: Counter[str] = Counter()
    tried = 0
    while tried < number:
        case = chance.choice([one for one in known if edit is not content or one.content])
        other = edit(chance, case)
        if other == case:
            continue
        tried += 1
        try:
            permit = other.ask()
        except GateError as no:
            met[no.name] += 1
        else:
            pytest.fail(f"edit {tried} of {edit.__name__} was accepted: {permit.grant.name}, {other}")
    assert met.total() == number


def test_no_edited_call_has_an_effect(tmp_path: Path) -> None:
    """Arguments of submit, edited at random, through the role's own pipe; effects are counted at the targets."""
    chance, number = random.Random(f"{SEED} calls"), 1500  # noqa: S311 - a seed, not a secret
    world = World(tmp_path / "gate")
    signed = world.signed()
    asked = {"signoff": signed.signoff, "seq": 1}
    met: Counter[str] = Counter()
    with start_blocking_portal() as portal:
        pipe = Pipe(portal, tools_of(world.room, no_notary, Role.DEVOPS), "gate", Role.DEVOPS)
        while met.total() < number:
            other = edited_json(chance, asked)
            if canonical(other) == canonical(asked):
                continue
            try:
                answer = pipe.raw("submit", other)
            except ToolRefusedError as no:
                met[no.name] += 1
            else:
                pytest.fail(f"{other} was done: {answer}")
        assert world.all_effects() == 0
        assert pipe.raw("submit", asked)["state"] == "done"
    assert world.all_effects() == 1
    assert {"arguments-refused", "unknown-signoff", "out-of-order"} <= set(met)


def test_the_payload_is_what_the_edits_start_from() -> None:
    """A guard of this file: an edit that changes nothing would prove nothing."""
    case, chance = Case.publish(), random.Random(SEED)  # noqa: S311 - a seed, not a secret
    payloads = {payload_of(payload_json(chance, case).bundle) for _ in range(200)}
    assert len(payloads) > 150
    assert payload_of(case.bundle) not in payloads
