"""A world of its own for each test."""

from __future__ import annotations

import pytest

from tests.fakes.served_cluster import World


@pytest.fixture
def world() -> World:
    """A fresh cluster with namespace web."""
    fresh = World()
    fresh.namespace("web")
    return fresh
