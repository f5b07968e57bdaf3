"""docs/diagnose.md: its tables name every code, and what clients say of a mistake is what they say."""

import ast
import re
import socket
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients import needs, run
from tests.core import cast
from tests.server import ROOT
from tests.services import tls_servers
from tests.services.tls_servers import CLIENT, DAY, LOCAL, certificate, pem, self_signed, serving

PAGE = (ROOT / "docs" / "diagnose.md").read_text()
JAVA = Path(__file__).with_name("Knock.java")
NODE = """
const [, ...words] = process.argv, fs = require("fs"), https = require("https");
async function knock(ca, host) {
  const options = {ca: fs.readFileSync(ca), timeout: 5000};
  return new Promise(done => https.get(`https://${host}/`, options,
      answer => { answer.destroy(); done(answer.statusCode); })
    .on("timeout", function () { this.destroy(); })
    .on("error", error => done(`${error.code} ${error.message}`.replace(/\\n/g, " "))));
}
(async () => {
  for (let i = 0; i < words.length; i += 2) console.log(await knock(words[i], words[i + 1]));
})();
"""


def rows():
    """Code → what the page says that clients say of it."""
    cells = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {code: each[2] for each in cells for code in re.findall(r"`([a-z0-9_]+)`", each[0])}


def said(cell: str, client: str) -> list[str]:
    """The messages that a cell gives to a client: ``curl: `this` or `that` ``; none if it has none."""
    found = re.search(rf"\b{client}: (`[^`]+`(?: or `[^`]+`)*)", cell)
    return re.findall(r"`([^`]+)`", found[1]) if found else []


# --- Every code -----------------------------------------------------------------------------------


def codes_of(module: Path) -> set[str]:
    """The codes of the findings that a module makes: given as they are, or looked up in its tables."""
    tree = ast.parse(module.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    named = [
        call.args[0]
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in ("Finding", "found")
    ]
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    looked_up = tables if any(not isinstance(each, ast.Constant) for each in named) else []
    words = [
        node.value
        for each in [*named, *looked_up]
        for node in ast.walk(each)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {word for word in words if re.fullmatch(r"ours|[a-z0-9]+(_[a-z0-9]+)+", word)}


def test_the_page_has_every_code_and_no_other():
    folders = (ROOT / "pki" / "core", ROOT / "pki" / "services" / "looking")
    made = set().union(*(codes_of(module) for folder in folders for module in folder.glob("*.py")))
    good = set(re.findall(r"`([a-z0-9_]+)`", PAGE.split("### No mistake")[1].split("## ")[0]))
    assert {"key_mismatch", "port_closed", "certificate_held", "plain_http", "ours"} <= made
    assert made == set(rows()) | good
    assert not set(rows()) & good


# --- What clients say -----------------------------------------------------------------------------


PSK_ALONE = ("-cipher", "PSK-AES128-GCM-SHA256", "-psk", "00")


class Made(NamedTuple):
    """A mistake, as clients meet it."""

    port: int
    store: Path
    shown: Path | None = None  # a certificate with its key
    host: str = "localhost"


@contextmanager
def plain_http():
    with HTTPServer(("127.0.0.1", 0), tls_servers.Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory, module_now):
    """Code → the mistake."""
    folder, now, ca = tmp_path_factory.mktemp("mistakes"), module_now, cast.ca()

    def kept(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    def keyed(name: str, *chain) -> Path:
        return kept(name, pem(*chain) + tls_servers.key_pem())

    def chain(*sans: str, at: datetime = now, **more) -> bytes:
        return pem(certificate(at, *sans, **more), ca.issuing)

    good, store = chain(*LOCAL), kept("ca.pem", pem(ca.root))
    mine, old = certificate(now, usage=CLIENT), certificate(now - 33 * DAY, usage=CLIENT)
    crl = kept("crl.pem", tls_servers.revocation_list(mine.serial_number, now))
    wants = ("-Verify", "3", "-verify_return_error", "-CAfile", kept("clients.pem", pem(ca.root, ca.issuing)))
    mine_file = keyed("mine.pem", mine, ca.issuing)
    with ExitStack() as stack:

        def served(code: str, shown: bytes, *options) -> int:
            (folder / code).mkdir()
            return stack.enter_context(serving(folder / code, shown, "-www", *options))

        twice = ("-cert2", folder / "sni" / "server.pem", "-key2", folder / "sni" / "server.key")
        right, asking = served("right", good), served("asking", good, *wants)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            closed = listening.getsockname()[1]
        yield {
            "certificate_expired": Made(served("old", chain(*LOCAL, at=now - 33 * DAY)), store),
            "certificate_not_yet_valid": Made(served("early", chain(*LOCAL, at=now + 2 * DAY)), store),
            "hostname_mismatch": Made(served("name", chain("DNS:door.example")), store),
            "eku_missing": Made(served("eku", chain(*LOCAL, usage=CLIENT)), store),
            "self_signed": Made(served("self", pem(self_signed(now))), store),
            "intermediate_missing": Made(served("alone", pem(certificate(now, *LOCAL))), store),
            "trust_store_lacks_ca": Made(right, kept("other.pem", pem(self_signed(now)))),
            "trust_store_wrong_ca": Made(right, kept("wrong.pem", pem(cast.ca("P-384").root))),
            "tls_version_too_old": Made(
                served("tls1", good, "-tls1", "-cipher", "DEFAULT@SECLEVEL=0"), store
            ),
            "plain_http": Made(stack.enter_context(plain_http()), store),
            "port_closed": Made(closed, store),
            "name_not_resolved": Made(443, store, host="no-such-host.invalid"),
            "client_certificate_not_sent": Made(asking, store),
            "client_ca_unknown": Made(asking, store, keyed("stranger.pem", self_signed(now))),
            "client_certificate_expired": Made(asking, store, keyed("old.pem", old, ca.issuing)),
            "client_certificate_revoked": Made(
                served("crl", good, *wants, "-crl_check", "-CRL", crl), store, mine_file
            ),
            "key_mismatch": Made(right, store, kept("mixed.pem", pem(mine) + tls_servers.key_pem("P-384"))),
            "handshake_failed": Made(served("psk", good, "-tls1_2", *PSK_ALONE), store),
            "name_not_served": Made(
                served("sni", good, "-servername", "door.example", "-servername_fatal", *twice), store
            ),
            "none": Made(right, store),
        }


@pytest.fixture(scope="module")
def module_now():
    return datetime.now(UTC)


def curl(made: Made) -> str:
    shown = ("--cert", made.shown) if made.shown else ()
    url = f"https://{made.host}:{made.port}/"
    done = run("curl", "-sS", "-o", "-", "--max-time", "10", "--cacert", made.store, *shown, url)
    return done.stderr.decode()


def s_client(made: Made) -> str:
    shown = ("-cert", made.shown, "-key", made.shown, "-cert_chain", made.shown) if made.shown else ()
    checks = ("-verify_hostname", made.host, "-verify_return_error", "-purpose", "sslserver")
    done = run(
        *("openssl", "s_client", "-connect", f"{made.host}:{made.port}", "-CAfile", made.store, "-ign_eof"),
        *(*checks, *shown),
        # In TLS 1.3 a refusal of the client comes with the first read.
        stdin=b"GET / HTTP/1.0\r\n\r\n",
    )
    return done.stderr.decode()


def each_in_one_run(command, mistakes):
    """What a program prints of each mistake that needs no client certificate, a line each."""
    asked = {code: made for code, made in mistakes.items() if made.shown is None}
    words = [word for made in asked.values() for word in (made.store, f"{made.host}:{made.port}")]
    done = run(*command, *words)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(asked), done
    return dict(zip(asked, lines, strict=True))


def test_what_clients_say_of_a_mistake_is_on_the_page(mistakes):
    needs("curl", package="curl")
    needs("openssl", package="openssl")
    page = rows()
    met = {
        "curl": {code: curl(made) for code, made in mistakes.items()},
        "OpenSSL": {code: s_client(made) for code, made in mistakes.items()},
        "Java": each_in_one_run((needs("java", package="default-jdk-headless"), JAVA), mistakes),
        "Node": each_in_one_run((needs("node", package="nodejs"), "-e", NODE), mistakes),
    }
    assert met["curl"].pop("none") == ""
    assert met["Java"].pop("none") == met["Node"].pop("none") == "200"
    del met["OpenSSL"]["none"]
    for client, found in met.items():
        for code, message in found.items():
            promised = said(page[code], client)
            assert promised or client != "curl", code
            assert not promised or any(each in message for each in promised), (client, code, message)
