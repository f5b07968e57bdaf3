"""The bill of materials: valid CycloneDX, exactly the pins of what is served, and what these carry along."""

import contextlib
import hashlib
import io
import json
from pathlib import Path, PurePosixPath

import pytest
from django.contrib.staticfiles import finders

from requirements.pins import pins
from tests.server import ROOT

pytest.importorskip("cyclonedx", reason="not installed; pip install -r requirements-supply.txt")

from cyclonedx.schema import SchemaVersion
from cyclonedx.spdx import is_expression
from cyclonedx.validation.json import JsonStrictValidator

from requirements import sbom


@pytest.fixture(scope="module")
def text():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        sbom.main()
    return printed.getvalue()


@pytest.fixture(scope="module")
def bill(text):
    return json.loads(text)


def inside(component: dict) -> list[dict]:
    return component.get("components", [])


def test_it_is_valid_cyclonedx(text):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"book"', 1)) is not None


def test_it_has_exactly_what_is_pinned_with_every_hash(bill):
    listed = {
        (each["name"], each["version"], *sorted(one["content"] for one in published["hashes"]))
        for each in bill["components"]
        for published in each["externalReferences"]
    }
    assert listed == {(pin.name, pin.version, *sorted(pin.hashes)) for pin in pins(ROOT / "requirements.txt")}
    assert bill["metadata"]["component"]["name"] == "hatchery"


def test_everything_has_a_licence_that_spdx_knows(bill):
    for each in [*bill["components"], *(one for package in bill["components"] for one in inside(package))]:
        (licence,) = each["licenses"]
        assert is_expression(licence["expression"]), each["name"]


def test_everything_is_there_because_of_something(bill):
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    reached, waiting = set(), ["hatchery"]
    while waiting:
        reached.add(ref := waiting.pop())
        waiting += [each for each in needs[ref] if each not in reached]
    assert reached - {"hatchery"} == {each["bom-ref"] for each in bill["components"]}


def test_whatever_the_console_serves_of_others_is_listed_with_its_version_and_hash(bill):
    """A folder of somebody else's is one with a licence of its own."""
    served = {
        path: storage.path(path) for finder in finders.get_finders() for path, storage in finder.list([])
    }
    of_others = {str(PurePosixPath(path).parent) for path in served if "LICENSE" in PurePosixPath(path).name}
    carried = [one for package in bill["components"] for one in inside(package) if inside(one)]
    listed = {file["name"]: file["hashes"][0]["content"] for one in carried for file in inside(one)}
    assert {str(PurePosixPath(path).parent) for path in listed} == of_others
    assert set(listed) == {path for path in served if str(PurePosixPath(path).parent) in of_others}
    contents = {path: Path(served[path]).read_bytes() for path in listed}
    assert listed == {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    for one in (one for one in carried if "version" in one):
        assert any(one["version"].encode() in contents[file["name"]] for file in inside(one)), one["name"]
