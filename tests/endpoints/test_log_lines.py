"""What the log has of requests that fail: what went wrong, once, and nothing that says only that it did."""

import logging

import pytest
from django.db import OperationalError

from pki.services.issuing import authorities
from pki.services.publishing import publication, serving
from tests.endpoints.problems import assert_problem


@pytest.fixture
def lines(caplog):
    """The log, with Django's own lines, which do not come to the root."""
    django = logging.getLogger("django")
    django.addHandler(caplog.handler)
    yield lambda: [f"{each.levelname} {each.name}" for each in caplog.records]
    django.removeHandler(caplog.handler)


def fail_with(monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(authorities, "trusted", fails)


def test_a_refusal_is_no_error_of_the_server(status, lines, monkeypatch):
    def busy(*_):
        raise publication.PublicationBusy("Try again.")

    monkeypatch.setattr(serving, "current_full_lists", busy)
    assert_problem(status.get("/crl/all.pem"), 503, "publication_busy")
    assert lines() == []


def test_a_database_that_does_not_answer_is_logged_once(status, lines, monkeypatch):
    fail_with(monkeypatch, OperationalError("gone"))
    assert_problem(status.get("/ca/all.pem"), 503, "unavailable")
    assert lines() == ["ERROR hatchery.endpoint"]


def test_what_fails_in_an_endpoint_is_logged_once(status, lines, monkeypatch):
    fail_with(monkeypatch, RuntimeError("broken"))
    assert_problem(status.get("/ca/all.pem"), 500, "internal_error")
    assert lines() == ["ERROR hatchery.endpoint"]


def test_what_fails_before_an_endpoint_is_logged_once(status, lines, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("django.urls.resolvers.URLResolver.resolve", broken)
    assert_problem(status.get("/ca/all.pem"), 500, "internal_error")
    assert lines() in (["ERROR django.request"], ["ERROR hatchery.endpoint"])
