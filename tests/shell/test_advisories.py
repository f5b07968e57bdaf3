"""What `make advisories` says, with a vulnerability service that is ours: an advisory, none, no service."""

import json
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from requirements.advisories import FOUND, NOT_LOOKED_AT, look
from tests.clients import needs

AGAINST_SEGNO = {
    "id": "OURS-1",
    "aliases": ["CVE-2026-0000"],
    "summary": "",
    "affected": [
        {
            "package": {"name": "segno", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}],
        }
    ],
}
HASH = "0" * 64


class Service(BaseHTTPRequestHandler):
    """As much of OSV's API as pip-audit asks: an advisory for each package by its name."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"vulns": [AGAINST_SEGNO]} if asked["package"]["name"] == "segno" else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture
def service():
    needs("pip-audit", package="requirements-supply.txt", installer="pip install -r")
    with closing(ThreadingHTTPServer(("127.0.0.1", 0), Service)) as server:
        server.close = server.server_close
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def asked(tmp_path):
    """Ask about these packages, at this service."""

    def ask(url, *names):
        file = tmp_path / "requirements.txt"
        file.write_text("".join(f"{name}==1.0 --hash=sha256:{HASH}\n" for name in names))
        return look([file], "--vulnerability-service", "osv", "--osv-url", url)

    return ask


def test_an_advisory_is_seen_and_says_what_mends_it(service, asked):
    findings = asked(service, "django", "segno")
    assert findings.status == FOUND
    assert findings.advisories == ("segno 1.0: CVE-2026-0000, OURS-1; mended in 99",)
    assert (findings.looked_at, findings.not_looked_at) == (2, ())
    clean = asked(service, "django")
    assert (clean.status, clean.looked_at, clean.advisories) == (0, 1, ())


def test_a_service_that_is_out_of_reach_is_no_good_news(service, asked):
    findings = asked("http://127.0.0.1:1/", "django")
    assert findings.status == NOT_LOOKED_AT
    assert findings.looked_at == 0
    assert "127.0.0.1" in findings.not_looked_at[0]
