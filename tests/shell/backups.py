"""Backups as these tests alter them, by somebody who has the passphrase."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from pki.services.keeping import archive
from pki.services.keeping.manifest import Manifest


def rebuilt(
    source: Path, target: Path, passphrase: str, change: Callable[[Manifest, Path], Manifest]
) -> Path:
    """The backup again, sealed, with what `change` makes of its manifest and its unpacked files."""
    folder = target.with_name(f"{target.name}.unpacked")
    folder.mkdir()
    manifest = change(archive.unpack(source, folder).manifest, folder)
    files = {name: archive.describe(folder / name) for name in manifest.files}
    manifest = dataclasses.replace(manifest, files=files)
    archive.write(target, manifest.sealed(passphrase), folder, files, manifest.made_at)
    shutil.rmtree(folder)
    return target
