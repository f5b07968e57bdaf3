"""Pages whose lines install something: typed on a machine that is a folder."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import run
from tests.docs.blocks import block, blocks
from tests.live.pages import page, walk
from tests.live.sandbox import Sandbox
from tests.server import ROOT, Server, seen_within

EXAMPLES = ROOT / "examples"


@pytest.fixture
def machine(server, tmp_path):
    return Sandbox(tmp_path, server)


def fingerprint(server):
    """The root's, as the console shows it."""
    words = ("openssl", "x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256")
    return run(*words, cwd=server.demo).stdout.decode().strip().partition("=")[2]


def test_the_files_are_what_the_page_says(server):
    """docs/concepts/files.md"""
    walk(server, page("concepts/files.md"))


def test_health_is_what_the_page_says(server):
    """docs/operating.md, "Monitoring"."""
    walk(server, "```sh\n" + block("docs/operating.md", "curl -fsS") + "```")


def test_a_proxys_files_are_made_as_the_page_says(machine, server, tmp_path):
    """examples/README.md from its first line to its last, then examples/crl/README.md."""
    fetching, enrolling, joining = (each.text for each in blocks("examples/README.md", "sh"))
    machine.did(fetching.replace("FINGERPRINT", fingerprint(server)), EXAMPLES)
    here = tmp_path / "etc" / "hatchery"
    assert (here / "bundle.pem").read_text().count("BEGIN CERTIFICATE") == 1

    on_hatcherys_machine, on_the_proxys = enrolling.split("\n\n")
    token = machine.did(on_hatcherys_machine, tmp_path).strip()
    machine.did(on_the_proxys.replace("TOKEN", token), tmp_path)
    verified = run(
        "openssl", "verify", "-CAfile", "bundle.pem", "-untrusted", "all.pem", "proxy.pem", cwd=here
    )
    assert verified.stdout == b"proxy.pem: OK\n", verified.stderr

    for ending in ("pem", "key"):
        shutil.copy(here / f"proxy.{ending}", here / f"server.{ending}")
    machine.did(joining, here)
    assert "PRIVATE KEY" in (here / "proxy-both.pem").read_text()
    assert (here / "proxy-both.pem").stat().st_mode & 0o077 == 0

    lines = block("examples/crl/README.md", "install fetch-crl")
    machine.did(lines.replace("HOST:PORT", f"localhost:{server.ports['status']}"), EXAMPLES / "crl")
    assert (here / "crl.pem").read_text().count("BEGIN X509 CRL") == 2
    unit = (tmp_path / "etc/systemd/system/hatchery-crl@.service").read_text()
    assert f"localhost:{server.ports['status']}/crl/all.pem" in unit
    assert "systemctl enable --now hatchery-crl@nginx.timer" in machine.notes.read_text()


def test_the_agent_is_set_up_as_its_page_says(machine, server, tmp_path):
    """examples/agent/README.md, with what it says to write into agent.conf."""
    lines = block("examples/agent/README.md", "install hatchery-agent")
    before, after = lines.split("install -m 600 /dev/stdin")
    machine.did(before, EXAMPLES / "agent")
    conf = tmp_path / "etc" / "hatchery" / "agent.conf"
    says = {
        "name": "typed-agent",
        "ca_sha256": fingerprint(server).replace(":", "").lower(),
        "folder": str(tmp_path / "var"),
    }
    text = machine.here(conf.read_text())
    for name, value in says.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.M)
    conf.write_text(text)
    token = server.token("--device", "typed-agent")
    machine.did("install -m 600 /dev/stdin" + after, EXAMPLES / "agent", stdin=token.encode())
    certificate = tmp_path / "var" / "current" / "cert.pem"
    shown = run("openssl", "x509", "-in", certificate, "-noout", "-subject").stdout
    assert b"typed-agent" in shown
    assert "systemctl enable --now hatchery-agent.timer" in machine.notes.read_text()


def test_gunicorn_serves_as_in_production(tmp_path):
    """docs/operating.md, "In production"; its first line is what `make` does before this."""
    server = Server(tmp_path / "var")
    machine = Sandbox(tmp_path / "machine", server)
    server.data.mkdir()
    server.copy_tables()  # most of what `migrate` does, which takes it seconds
    installing, migrating, making, serving = block("docs/operating.md", "python3 -m venv").splitlines()
    assert installing.endswith("pip install -r requirements.txt")
    machine.did(f"{migrating}\n{making}", ROOT)
    assert not server.demo.exists(), "the page says so"
    command = serving.removeprefix(".venv/bin/").split()
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            cwd=ROOT,
            env=server.environment,
            stderr=log,
        )
    try:
        url = server.url("status", "/healthz")
        assert seen_within(60.0, lambda: run("curl", "-sS", "--fail", url).stdout == b'{"status": "ok"}')
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
