"""Whether the first administrator still has the password that lies in a file."""

import pytest
from django.contrib.auth.models import User

from pki.services.issuing import bootstrap
from pki.services.people import logins
from tests.services.cast import TESTER


@pytest.fixture
def generated(db, settings, tmp_path, now):
    """A first run to which no password was given."""
    settings.PORTAL_DATA_DIR = tmp_path
    bootstrap._administrator(tmp_path, "", TESTER, now)
    return User.objects.get(username="admin")


def test_the_generated_password_is_in_use_until_it_is_changed(generated):
    assert logins.default_password_in_use()
    generated.set_password("her-own-password")
    generated.save()
    assert not logins.default_password_in_use()


def test_a_hash_that_was_only_made_anew_is_still_of_the_generated_password(generated, tmp_path):
    """As Django does at a login once its hashes have more rounds."""
    generated.set_password(bootstrap.password_file(tmp_path).read_text().strip())
    generated.save()
    assert logins.default_password_in_use()


def test_a_password_that_was_given_is_no_default(ca):
    assert not logins.default_password_in_use()


def test_neither_a_file_that_is_gone_nor_an_administrator_who_is_warns(generated, tmp_path):
    User.objects.update(is_active=False)
    assert not logins.default_password_in_use()
    User.objects.update(is_active=True)
    assert logins.default_password_in_use()
    bootstrap.password_file(tmp_path).unlink()
    assert not logins.default_password_in_use()


def test_pages_do_not_hash_each_time(generated, monkeypatch):
    assert logins.default_password_in_use()
    monkeypatch.setattr(logins, "check_password", lambda *_: pytest.fail("it was hashed again"))
    assert logins.default_password_in_use()
