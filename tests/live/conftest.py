import pytest

from tests.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as they found it."""
    running = Server(tmp_path_factory.mktemp("live"), from_nothing=True).start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.output()
