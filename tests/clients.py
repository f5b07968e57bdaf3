"""Devices as the tests play them: keys, CSRs, and the programs that a person would use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def make_csr(
    common_name: str | None = None,
    *,
    key=None,
    subject: list[tuple[x509.ObjectIdentifier, str]] | None = None,
    sans: list[x509.GeneralName] | None = None,
) -> bytes:
    """A PEM CSR, for a new P-256 key if none is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    attributes = list(subject or [])
    if common_name is not None:
        attributes.append((NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(x509.NameAttribute(oid, value, _validate=False) for oid, value in attributes)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    digest = None if "Ed" in type(key).__name__ else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM)


def run(
    *command: str | Path, cwd: Path | None = None, stdin: bytes = b"", timeout: float = 60.0
) -> subprocess.CompletedProcess:
    """Run a program as a newcomer's shell would: no certificate bundle from the environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PORTAL_", "SSL_CERT", "CURL_CA")) and name != "DJANGO_SETTINGS_MODULE"
    }
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=environment,
    )


def which(program: str) -> str | None:
    """The path of an installed program, also where Debian keeps it out of a user's PATH."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    folders = (Path(sys.executable).parent, os.environ["PATH"], "/usr/sbin", *versions)
    return shutil.which(program, path=os.pathsep.join(map(str, folders)))


def needs(program: str, *, package: str, installer: str = "on Debian: apt-get install") -> str:
    """The path of a program; without it the test is skipped, or fails if HATCHERY_TOOLS=required."""
    found = which(program)
    if found is not None:
        return found
    return _without(f"{program} is not installed; {installer} {package}")


def needs_file(path: Path, *, package: str, installer: str = "on Debian: apt-get install") -> Path:
    """A file that a package has, such as a library; without it as without a program."""
    return path if path.exists() else _without(f"{path.name} is not installed; {installer} {package}")


def _without(reason: str) -> NoReturn:
    if os.environ.get("HATCHERY_TOOLS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
