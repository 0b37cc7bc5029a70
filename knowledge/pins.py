"""Where the pins are; policies/pins.py says what they are, because the notary reads them too."""

from __future__ import annotations

from pathlib import Path

from policies.pins import Pins, load

__all__ = ["PINS", "Pins", "load"]

PINS = Path(__file__).with_name("pins.toml")
