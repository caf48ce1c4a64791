from tests import world  # first, because it may monkey-patch

import pytest

WORLD = "patched" if world.PATCHED else "plain"


def pytest_report_header() -> str:
    return f"world: {WORLD}"


@pytest.fixture
def patched() -> bool:
    """Whether the tests run in a monkey-patched process."""
    return world.PATCHED
