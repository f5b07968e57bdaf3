"""What testssl.sh finds at each TLS listener: `make scan-tls`, on a server of its own.

Ends with 1 if it finds something above LOW that is not explained here, or could not look. Names of listeners
may follow, to look at those alone.
"""

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.clients import needs, run
from tests.server import Server

LISTENERS = ("hello", "secure", "provisioning", "console")
QUIET = ("OK", "INFO", "LOW", "DEBUG")
# By its id: why it is as it should be.
EXPLAINED = {
    "engine_problem": "of testssl.sh's own OpenSSL, which has no GOST",
    "secure_client_renego": "not tested without a client certificate; it is refused as everywhere",
    "BREACH": "not tested without a client certificate; no answer is compressed",
}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hatchery-scan-") as folder:
        return _scan(Path(folder))


def _scan(folder: Path) -> int:
    server = Server(folder / "data").start()
    try:
        found = [each for name in sys.argv[1:] or LISTENERS for each in _findings(server, name, folder)]
    finally:
        server.stop()
    open_ = [each for each in found if each["id"] not in EXPLAINED]
    for each in found:
        why = EXPLAINED.get(each["id"], "NOT EXPLAINED")
        print(f"{each['listener']:13} {each['severity']:9} {each['id']}: {each['finding']} ({why})")
    print(f"{len(found)} findings above LOW, {len(open_)} of them not explained.")
    return 1 if open_ else 0


def _findings(server: Server, name: str, folder: Path) -> Iterable[dict[str, Any]]:
    written = folder / f"{name}.json"
    done = run(
        *(needs("testssl", package="testssl.sh"), "--quiet", "--color", "0", "--warnings", "batch"),
        *("--ip", "127.0.0.1", "--add-ca", server.demo / "ca.pem", "--jsonfile", written),
        server.url(name, "/"),
        cwd=folder,
        timeout=1200,
    )
    (folder / f"{name}.txt").write_bytes(done.stdout)
    every = json.loads(written.read_text())
    rated = [each for each in every if each["id"] in ("overall_grade", "final_score")]
    said = ", ".join(f"{each['id']} {each['finding']}" for each in rated)
    print(f"{name}: {len(every)} checks{said and ', ' + said}", flush=True)
    return [{**each, "listener": name} for each in every if each["severity"] not in QUIET]


if __name__ == "__main__":
    sys.exit(main())
