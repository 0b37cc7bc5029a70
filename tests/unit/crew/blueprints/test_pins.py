from __future__ import annotations

import re
from pathlib import Path

import pytest

from knowledge.pins import PINS, load
from policies.images import parse_image
from policies.pins import PinsFaultError, rehearsal_digest

PINNED = load(PINS)


def test_every_pin_has_a_source_and_names_bytes() -> None:
    for pin in PINNED.images.values():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", pin.digest)
        assert len(set(pin.digest)) > 10, "an invented digest would look like this"
    assert all(re.fullmatch(r"[0-9a-f]{40}", pin.sha) for pin in PINNED.actions.values())
    assert PINNED.found.year >= 2026


def test_no_pin_is_a_rehearsal_in_disguise() -> None:
    for repository, pin in PINNED.images.items():
        assert pin.digest not in {rehearsal_digest(repository, tag) for tag in (pin.tag, None, "latest")}


def test_images_are_named_in_full_and_their_siblings_are_pinned_too() -> None:
    for repository, pin in PINNED.images.items():
        assert parse_image(repository).repository == repository
        if pin.unprivileged_sibling:
            assert PINNED.images[pin.unprivileged_sibling].user != 0
            assert pin.user == 0


def test_the_tables_for_the_policies_say_the_same() -> None:
    nginx = PINNED.image_table()["docker.io/library/nginx"]
    assert (nginx.user, nginx.unprivileged_sibling, nginx.rehearsal) == (
        0,
        "docker.io/nginxinc/nginx-unprivileged",
        False,
    )
    assert nginx.digest == PINNED.images["docker.io/library/nginx"].digest
    checkout = PINNED.actions["actions/checkout"]
    assert PINNED.action_pins()[f"actions/checkout@{checkout.tag}"] == checkout.sha


def test_a_rehearsal_digest_depends_on_the_name_and_the_tag() -> None:
    digests = {
        rehearsal_digest("ghcr.io/a/b", "1"),
        rehearsal_digest("ghcr.io/a/b", "2"),
        rehearsal_digest("ghcr.io/a/c", "1"),
    }
    assert len(digests) == 3
    assert rehearsal_digest("ghcr.io/a/b", None) == rehearsal_digest("ghcr.io/a/b", "latest")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sha256:0985", "sha256:zz85"),
        ('sha = "11bd', 'sha = "v4'),
        ("user = 0", "user = -1"),
        ("port = 80\n", "port = 0\n"),
        ('tag = "1.30.5-alpine"', 'colour = "red"'),
        ("[terraform]", "[terraform"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, old: str, new: str) -> None:
    text = PINS.read_text(encoding="utf-8")
    assert old in text
    wrong = tmp_path / "pins.toml"
    wrong.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PinsFaultError, match=r"pins\.toml cannot be used"):
        load(wrong)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinsFaultError):
        load(tmp_path / "pins.toml")
