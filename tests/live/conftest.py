import pytest

from tests import postgres, tables
from tests.live.balancers import BALANCER
from tests.server import Server, free_ports

POOL = 4  # connections
BAD_TOKENS = 8  # from one address, before more are answered with 429


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as they found it."""
    running = Server(tmp_path_factory.mktemp("live")).start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.output()


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL for the nodes alone, which may be stopped in between."""
    with tables.on_postgresql() as running:
        yield running


@pytest.fixture(scope="session")
def second_way(cluster, tmp_path_factory):
    """How the second node reaches that PostgreSQL, which may be cut."""
    return postgres.Way(cluster, tmp_path_factory.mktemp("way"))


@pytest.fixture(scope="session")
def nodes(cluster, second_way, tmp_path_factory):
    """Two nodes over one PostgreSQL, the second made from the first, which hear one address as a balancer.

    The first one's threads share connections, each of the second one's keeps its own.
    """
    folder = tmp_path_factory.mktemp("nodes")
    settings = {
        "DATABASE_URL": cluster.url,
        "WEB_CONCURRENCY": "1",
        "PORTAL_BALANCERS": BALANCER,
        "PORTAL_LIMIT_FAILURES": str(BAD_TOKENS),
    }
    first = Server(folder / "first", {**settings, "PORTAL_DATABASE_POOL": str(POOL)})
    (first.ports["metrics"],) = free_ports(1)
    first.start()
    second = first.second_node(folder / "second")
    del second.settings["PORTAL_DATABASE_POOL"]
    second.settings["DATABASE_URL"] = str(second_way.url)
    second.start()
    yield first, second
    assert [node.stop() for node in (first, second)] == [0, 0]
