"""Statements reach the database as Django wrote them, the first time and each time after."""

import pytest
from django.db import connection

from portal.sqlite import base

pytestmark = pytest.mark.django_db

LONG = "/* " + "x" * base._LONGEST_KEPT + " */"


@pytest.mark.parametrize("comment", ["", LONG], ids=["short", "too long to be kept"])
def test_a_percent_sign_in_a_statement_and_in_a_value_stays_one(comment):
    for value in ("%s?", "100%%", "?"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT '%%s?', %s, '100%%' {comment}", [value])
            assert cursor.fetchone() == ("%s?", value, "100%")


def test_a_statement_without_values_is_not_touched():
    with connection.cursor() as cursor:
        cursor.execute("SELECT '%s', '%%'")
        assert cursor.fetchone() == ("%s", "%%")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL understands %s")
def test_values_may_have_names():
    for value in (1, 2):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %(one)s, %(one)s", {"one": value})
            assert cursor.fetchone() == (value, value)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL understands %s")
def test_a_statement_is_translated_once():
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, 'translated once'", [1])
        before = base._translated.cache_info()
        cursor.execute("SELECT %s, 'translated once'", [2])
        after = base._translated.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
