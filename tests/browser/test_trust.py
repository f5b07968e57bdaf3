"""The browser of these tests is no blind one."""

import pytest
from playwright.sync_api import Error

from tests.browser import chromium


def test_a_browser_that_does_not_know_our_authority_does_not_open_the_console(playwright, server):
    other = chromium.launch(playwright, b"")
    try:
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            other.new_page().goto(server.url("console", "/admin/"))
    finally:
        other.close()
