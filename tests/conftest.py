"""A certificate authority for each test that wants one, and one real server for those that need sockets."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from pki.keystore import keystore
from pki.services import bootstrap
from pki.services.audit import Actor


@pytest.fixture
def actor() -> Actor:
    return Actor("shell:test")


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def moment() -> datetime:
    """A moment that never moves."""
    return datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def ca(db, settings, tmp_path, actor, now):
    """A bootstrapped authority in a data directory of its own."""
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    bootstrap.bootstrap(tmp_path, ["hello", "secure"], ["localhost", "127.0.0.1"], "a-password", actor, now)
    yield tmp_path
    keystore.cache_clear()
