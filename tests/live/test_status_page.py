"""docs/status.md, as written: each of its lines, in its order, and what it says that they print."""

import re
import sys

import pytest

from tests.clients import needs
from tests.live.pages import here, page, said, steps, walk
from tests.server import Server

PAGE = page("status.md")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What `make serve` has just made."""
    for program, package in (("ocsptool", "gnutls-bin"), ("java", "default-jdk-headless")):
        needs(program, package=package)
    running = Server(tmp_path_factory.mktemp("page")).start()
    yield running
    assert running.stop() == 0, running.output()


def test_the_shell_lines_of_the_page_print_what_it_says(fresh):
    walk(fresh, PAGE)


def test_the_python_of_the_page_reads_lists_and_cas(fresh):
    """Two CAs and their two lists, as the page has had them fetched and verified before."""
    fetching = [step.command for step in steps(PAGE) if step.command.startswith("../../examples/")]
    assert len(fetching) == 2
    for command in fetching:
        assert said(fresh, "sh", "-c", here(command, fresh)) == (0, "")
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
    status, output = said(fresh, sys.executable, "-", stdin=here(program, fresh))
    assert status == 0, output
    assert output == "{'x509': 2, 'crl': 2, 'x509_ca': 2}\n"
