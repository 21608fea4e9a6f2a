"""What holds for every test: a slow machine is no reason for a property to fail. And on which stores they run."""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests import stores
from tests.postgres import PostgresServer

settings.register_profile("any machine", deadline=None)
# `make mutation` runs every test very often: few examples, the same ones each time, and no search for the smallest
settings.register_profile(
    "mutation", deadline=None, max_examples=20, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests of this process; each has a database of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs on each kind of store: `stores.opened` gives one."""
    if request.param == "sqlite":
        yield request.param
        return
    stores.on_server.append(request.getfixturevalue("postgres").url)
    try:
        yield request.param
    finally:
        stores.on_server.pop()
