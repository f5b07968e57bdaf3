"""PostgreSQL's machine, or the network to it, goes without a word: nobody waits for it for long."""

import time
from concurrent.futures import ThreadPoolExecutor

import environ
import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from portal.postgresql.base import DatabaseWrapper
from tests import postgres
from tests.clients import needs
from tests.models import networks

pytestmark = postgres.not_there("the run on SQLite has one for these tests")

LONGEST = 20.0  # seconds


def settings(url):
    return {**environ.Env.db_url_config(url), "ENGINE": "portal.postgresql"}


def parameters(url):
    made = ConnectionHandler({"default": settings(url)})["default"]
    assert isinstance(made, DatabaseWrapper)
    return made.get_connection_params()


def test_what_the_url_says_of_waiting_is_done_and_else_nobody_waits_for_long():
    told = parameters("postgres://user@host/name?tcp_user_timeout=60000&keepalives_idle=300")
    assert (told["tcp_user_timeout"], told["keepalives_idle"]) == (60000, 300)
    assert (told["connect_timeout"], told["keepalives_interval"], told["keepalives_count"]) == (4, 2, 3)
    alone = parameters("postgres://user@host/name")
    assert (alone["tcp_user_timeout"], alone["keepalives_idle"]) == (10_000, 4)


@pytest.fixture
def cluster():
    with postgres.cluster(needs(postgres.PROGRAM, package=postgres.PACKAGE)) as made:
        yield made


@pytest.fixture
def way(cluster):
    with networks.way_to(cluster.folder / f".s.PGSQL.{networks.PORT}") as laid:
        yield laid


@pytest.fixture
def database(way):
    """A new connection at each call."""
    url = f"postgres://hatchery@{way.there}:{networks.PORT}/hatchery"
    made = []

    def connection():
        handler = ConnectionHandler({"default": settings(url)})["default"]
        handler.inc_thread_sharing()
        made.append(handler)
        return handler

    yield connection
    for each in made:
        each.close()


def asked(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def seconds_until_it_fails(connection, sql):
    began = time.monotonic()
    with pytest.raises(OperationalError):
        asked(connection, sql)
    return time.monotonic() - began


@pytest.mark.django_db
def test_a_network_that_vanishes_holds_no_thread_for_long(way, database):
    asking, waiting, connecting = database(), database(), database()
    assert asked(asking, "SELECT 1") == asked(waiting, "SELECT 1") == [(1,)]
    with ThreadPoolExecutor(3) as threads:
        waits = threads.submit(seconds_until_it_fails, waiting, "SELECT pg_sleep(60)")
        time.sleep(0.5)  # until PostgreSQL has the question
        way.cut()
        try:
            asks = threads.submit(seconds_until_it_fails, asking, "SELECT 1")
            connects = threads.submit(seconds_until_it_fails, connecting, "SELECT 1")
            assert connects.result(LONGEST) < 6
            assert asks.result(LONGEST) < 14
            assert waits.result(LONGEST) < LONGEST
        finally:
            way.mend()
    assert asked(database(), "SELECT 1") == [(1,)]
