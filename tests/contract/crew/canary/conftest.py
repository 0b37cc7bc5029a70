"""The frameworks' own warnings at their import, as the crew's unit tests treat them."""

from tests.unit.crew.conftest import pytest_configure

__all__ = ["pytest_configure"]
