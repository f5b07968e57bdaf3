"""examples/kubernetes, read."""

from functools import cache
from typing import Any

import yaml

from tests.server import ROOT

FOLDER = ROOT / "examples" / "kubernetes"


@cache
def manifests(kind: str) -> list[dict[str, Any]]:
    """All manifests of a kind."""
    files = [yaml.safe_load_all(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))]
    return [each for file in files for each in file if each["kind"] == kind]


def manifest(kind: str) -> dict[str, Any]:
    """The only one of its kind."""
    (found,) = manifests(kind)
    return found


def pod(kind: str) -> dict[str, Any]:
    """What the pods of a StatefulSet or a Job, or a Pod, are to be."""
    found = manifest(kind)
    return found["spec"] if kind == "Pod" else found["spec"]["template"]["spec"]


def containers(kind: str) -> list[dict[str, Any]]:
    """The containers of its pod, those of the start included."""
    return [*pod(kind).get("initContainers", ()), *pod(kind)["containers"]]
