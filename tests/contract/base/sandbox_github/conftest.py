from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.rehearsal_github import Served, served


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("github")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """A rehearsal GitHub of one test's own."""
    with served(tmp_path) as running:
        yield running
