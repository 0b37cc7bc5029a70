"""One rig for the whole tier: 18 seconds to start, so it is started once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.build import ToolMissingError, build, cache_folder, require_tools
from tests.rig.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Real servers that end with the session; skipped by name where a tool to build them is missing."""
    environment = dict(os.environ)
    try:
        cache = cache_folder(environment)
        java = require_tools(cache, environment)
        binaries = build(cache, java, say=lambda line: print(line, file=sys.stderr))
    except ToolMissingError as missing:
        pytest.skip(f"rig: {missing}")
    folder: Path = tmp_path_factory.mktemp("rig")
    with Rig(folder, binaries, environment) as started:
        yield started
