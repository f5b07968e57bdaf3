"""Every package is pinned with the hashes of its files, and pip takes no other file."""

import hashlib
import json
import re
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.pins import asked_for, compiled, pins, source_of
from tests.clients import run
from tests.server import ROOT

FILES = compiled()
of_each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
# What the tests run with, so that it can be asked what it needs.
INSTALLED = [file for file in FILES if file.stem in ("requirements", "requirements-dev")]


def pulled_in(requirement: Requirement) -> set[str]:
    """The packages that a package needs by itself, here and with these extras."""
    extras = {"", *requirement.extras}
    needed = (Requirement(text) for text in requires(requirement.name) or ())
    return {
        canonicalize_name(each.name)
        for each in needed
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    }


@of_each_file
def test_each_package_is_pinned_to_one_version_and_its_hashes(file):
    for pin in pins(file):
        assert [each.operator for each in pin.requirement.specifier] == ["=="], pin.name
        assert pin.hashes, pin.name
        assert len(set(pin.hashes)) == len(pin.hashes), pin.name


@of_each_file
def test_a_file_has_nothing_but_pins_hashes_and_who_asked_for_them(file):
    """No other index, no address, no editable folder, no line that pip would read and we did not."""
    hash_line = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    pin_line = r"[a-z0-9.-]+==[\w.]+( ; [^@\\]+)? \\"
    for line in file.read_text().splitlines():
        assert re.fullmatch(rf"\s*#.*|{pin_line}|{hash_line}", line), line
        assert "://" not in line


@of_each_file
def test_a_file_has_what_its_source_asks_for_and_what_that_pulls_in(file):
    source = source_of(file)
    sources = {source.name, *re.findall(r"^-r (\S+)$", source.read_text(), re.M)}
    there = {pin.name: pin for pin in pins(file)}
    asked = [each for name in sources for each in asked_for(source.with_name(name))]
    for each in asked:
        assert each.specifier.contains(there[canonicalize_name(each.name)].version), each
    by_us = {name for name, pin in there.items() if sources & set(pin.asked_by)}
    assert by_us == {canonicalize_name(each.name) for each in asked}
    for pin in there.values():
        assert pin.asked_by, pin.name
        assert set(pin.asked_by) <= {*there, *sources}, pin.name


def test_a_package_has_the_same_version_and_hashes_in_every_file():
    seen: dict[str, tuple] = {}
    for pin in (pin for file in FILES for pin in pins(file)):
        assert seen.setdefault(pin.name, (pin.version, pin.hashes)) == (pin.version, pin.hashes)


def test_every_source_is_compiled_and_every_file_has_a_source():
    assert {source_of(file) for file in FILES} == set((ROOT / "requirements").glob("*.in"))


@pytest.mark.parametrize("file", INSTALLED, ids=lambda file: file.stem)
def test_what_is_pulled_in_is_pinned_as_well(file):
    there = {pin.name for pin in pins(file)}
    wanted = {canonicalize_name(each.name): each for each in asked_for(source_of(file))}
    here = [pin for pin in pins(file) if pin.requirement.marker is None or pin.requirement.marker.evaluate()]
    missing = {pin.name: pulled_in(wanted.get(pin.name, pin.requirement)) - there for pin in here}
    assert len(missing) > 15
    assert not {name: packages for name, packages in missing.items() if packages}


# --- pip ------------------------------------------------------------------------------------------


def forged(folder: Path, name: str, version: str) -> Path:
    """A wheel that is called as one of ours and holds something else."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "forged = True\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_pip_refuses_a_file_that_has_not_the_hash_of_its_pin(tmp_path):
    """With that file's own hash it is taken: what pip minds is the hash, and nothing else."""
    text = (ROOT / "requirements.txt").read_text()
    (entry,) = re.findall(r"^segno==.*\n(?: .*\n)*", text, re.M)
    (pin,) = [pin for pin in pins(ROOT / "requirements.txt") if pin.name == "segno"]
    wheel = forged(tmp_path, pin.name, pin.version)
    wanted = tmp_path / "wanted.txt"
    installing = (
        *(sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-index"),
        *("--find-links", tmp_path, "--target", tmp_path / "installed", "-r", wanted),
    )

    wanted.write_text(entry)
    refused = run(*installing)
    assert refused.returncode != 0
    assert b"DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / "installed").exists()

    forged_hash = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted.write_text(entry.replace(pin.hashes[0], forged_hash))
    assert run(*installing).returncode == 0
    assert (tmp_path / "installed" / "segno.py").exists()


def test_nothing_is_installed_without_its_hash():
    """A file whose hashes were all lost is refused as well, not taken as it comes."""
    for path in ("Makefile", ".ci/run", "examples/docker/Dockerfile"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        installing = [line for line in text.splitlines() if "pip install" in line]
        assert installing
        assert all("--require-hashes" in line for line in installing)


@pytest.mark.parametrize("folder", ["docs/site", "tests/live/kotlin"])
def test_what_npm_installs_has_its_hash(folder):
    file = ROOT / folder / "package-lock.json"
    locked = {name: each for name, each in json.loads(file.read_text())["packages"].items() if name}
    assert locked
    assert not [name for name, each in locked.items() if not each["integrity"].startswith("sha512-")]
    asked = json.loads(file.with_name("package.json").read_text())["dependencies"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked


def test_the_example_in_go_needs_nothing_but_go():
    assert "require" not in (ROOT / "examples" / "go" / "go.mod").read_text()
