"""docs/clients/index.md knows every example, and says of each what the examples say."""

import re

from tests.examples.folders import EXAMPLES
from tests.server import ROOT

PAGE = (ROOT / "docs" / "clients" / "index.md").read_text()
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def test_every_example_has_a_readme_and_is_in_the_table():
    rows = re.findall(r"^\|.*\(\.\./\.\./examples/(\w+)/(?:README\.md)?\).*\|$", PAGE, re.M)
    assert sorted(rows) == FOLDERS
    for name in FOLDERS:
        assert (EXAMPLES / name / "README.md").read_text().startswith("# ")


def test_the_versions_that_were_run_are_those_that_the_tests_have():
    readme = (EXAMPLES / "python" / "README.md").read_text()
    pinned = (ROOT / "requirements-dev.txt").read_text() + (ROOT / "requirements.txt").read_text()
    versions = dict(re.findall(r"(requests|httpx|cryptography)[ =]+([0-9.]+[0-9])", pinned))
    assert len(versions) == 3
    for library, version in versions.items():
        assert re.search(rf"{library} {re.escape(version)}(?![0-9.]*[0-9])", readme), library
