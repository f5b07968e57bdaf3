"""`make sbom`: a software bill of materials of what is served, in CycloneDX 1.6 (ECMA-424).

Names, versions and hashes are those of requirements.txt; licences and the console's files are those of the
packages that are installed.
"""

import tomllib
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from importlib.metadata import files, metadata
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from requirements.carried import STATIC, Carried, compiled_in, front_end
from requirements.pins import ROOT, Pin, pins, source_of

SERVED = ROOT / "requirements.txt"
# Whose metadata has words and not an SPDX expression.
LICENCES = {
    "Apache License, Version 2.0": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",  # segno, sqlparse
}


def bill_of_materials() -> Bom:
    """Hatchery, each package that it is served with, and what these carry along."""
    bom, ours = Bom(), _hatchery()
    bom.metadata.component = ours
    served = {pin.name: pin for pin in pins(SERVED)}
    components = {name: _package(pin) for name, pin in served.items()}
    for component in components.values():
        bom.components.add(component)
    for name, component in components.items():
        bom.register_dependency(
            component, [components[other] for other, pin in served.items() if name in pin.asked_by]
        )
    asked = source_of(SERVED).name
    bom.register_dependency(ours, [components[name] for name, pin in served.items() if asked in pin.asked_by])
    return bom


def _hatchery() -> Component:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
        name=project["name"],
        version=project["version"],
        description=project["description"],
    )


def _package(pin: Pin) -> Component:
    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    published = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{pin.name}/{pin.version}/#files"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
    )
    marker = pin.requirement.marker
    return Component(
        bom_ref=str(purl),
        name=pin.name,
        version=pin.version,
        purl=purl,
        licenses=[LicenseExpression(_licence(pin.name))],
        external_references=[published],
        properties=[Property(name="hatchery:only-where", value=str(marker))] if marker else (),
        components=[_carried(each) for each in (*front_end(), *compiled_in()) if each.by == pin.name],
    )


def _licence(name: str) -> str:
    """The package's licence as an SPDX expression."""
    told = metadata(name)
    classifiers = [each for each in told.get_all("Classifier") or () if each.startswith("License :: ")]
    words = [told["License-Expression"], told["License"], *classifiers]
    found: str = next(each for each in words if each)
    return LICENCES.get(found, found)


def _carried(carried: Carried) -> Component:
    return Component(
        bom_ref=f"{carried.by}:{carried.name}",
        name=carried.name,
        version=carried.version,
        licenses=[LicenseExpression(carried.licence)],
        components=[
            Component(
                type=ComponentType.FILE,
                bom_ref=f"{carried.by}:{path}",
                name=path,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
            )
            for folder in carried.folders
            for path, sha256 in static_files(carried.by)
            if str(Path(path).parent) == folder
        ],
    )


def static_files(package: str) -> Iterator[tuple[str, str]]:
    """Path below `static` and SHA-256, in hex, of what the console serves of a package."""
    static = STATIC[package]
    for file in files(package) or ():
        if str(file).startswith(static) and file.hash is not None:
            yield str(file).removeprefix(static), urlsafe_b64decode(file.hash.value + "==").hex()


def main() -> None:
    print(JsonV1Dot6(bill_of_materials()).output_as_string(indent=2))


if __name__ == "__main__":
    main()
