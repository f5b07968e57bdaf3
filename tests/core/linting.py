"""What the linter pkilint finds, asked in this process: loading it anew each time takes ten times as long."""

import io
import json
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from pkilint.bin import lint_crl, lint_ocsp_response, lint_pkix_cert

Finding = tuple[str, str | None]  # code and message


def in_certificate(folder: Path, der: bytes, severity: str = "WARNING") -> list[Finding]:
    return _found(lint_pkix_cert.main, folder, der, severity)


def in_crl(folder: Path, der: bytes) -> list[Finding]:
    return _found(lint_crl.main, folder, der, "WARNING", "-t", "CRL", "-p", "PKIX")


def in_ocsp_answer(folder: Path, der: bytes) -> list[Finding]:
    return _found(lint_ocsp_response.main, folder, der, "WARNING")


def _found(
    main: Callable[[list[str]], int], folder: Path, der: bytes, severity: str, *words: str
) -> list[Finding]:
    path = folder / "it.der"
    path.write_bytes(der)
    printed = io.StringIO()
    # What it uses of other libraries is its own affair.
    with warnings.catch_warnings(action="ignore"), redirect_stdout(printed):
        status = main(["lint", *words, "-s", severity, "-f", "JSON", "--document-format", "DER", str(path)])
    found = [
        (finding["code"], finding.get("message"))
        for result in json.loads(printed.getvalue())["results"]
        for finding in result["finding_descriptions"]
    ]
    assert status == len(found)
    return found
