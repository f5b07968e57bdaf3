"""The requirements files name everything that they install."""

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.server import ROOT

# What brings exactly one version of a package along, and so pins it.
PINNED_BY_ITS_NAMESAKE = {"psycopg-binary"}
FILES = {"requirements.txt": [], "requirements-dev.txt": ["requirements.txt"]}


def pinned(file: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r ")]


def pulled_in(requirement: Requirement) -> set[str]:
    """The packages that a package needs by itself, here and with these extras."""
    extras = {"", *requirement.extras}
    needed = (Requirement(text) for text in requires(requirement.name) or ())
    return {
        canonicalize_name(each.name)
        for each in needed
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    }


@pytest.mark.parametrize("file", FILES)
def test_what_is_pulled_in_is_pinned_as_well(file):
    ours = pinned(file)
    assert all(str(each.specifier).startswith("==") for each in ours)
    named = {canonicalize_name(each.name) for other in [file, *FILES[file]] for each in pinned(other)}
    missing = {each.name: pulled_in(each) - named - PINNED_BY_ITS_NAMESAKE for each in ours}
    assert not {name: packages for name, packages in missing.items() if packages}
