"""Real proxies, started from the files of `examples/` with only names, ports and paths put in."""

import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients import needs, run
from tests.server import ROOT, free_ports

EXAMPLES = ROOT / "examples"
STARTS_WITHIN = 30.0  # seconds, generous
# The examples' ports: of Hatchery's listeners, and of the application.
NUMBERS = {"secure": "8444", "provisioning": "8445", "status": "8080"}
APPLICATION = "9000"
PIP = "in the virtual environment: pip install -r"

# What Debian's nginx.conf has around conf.d, with every path in the test's folder.
NGINX_CONF = """
pid {folder}/nginx.pid;
error_log {folder}/front.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {example};
}}
"""


_LOOKED_AT: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Kind:
    """A proxy's program and its example files."""

    form: str  # what PORTAL_PROXIES calls it, and its folder in examples/
    header: str  # in which it forwards a certificate
    package: str
    installer: str
    suffix: str  # of the example file that it is started with
    listens: str  # a regular expression: where it listens; its only group is the port
    words: tuple[str, ...]  # of its command
    looking: tuple[str, ...] = ()  # words before those, with which it looks at its files and ends


KINDS = {
    kind.form: kind
    for kind in (
        Kind(
            *("nginx", "X-SSL-Client-Cert", "nginx-light", "on Debian: apt-get install", ".conf"),
            r"(?<=listen )(\d+)\b",
            ("-e", "{folder}/front.log", "-c", "{folder}/nginx.conf", "-g", "daemon off;"),
            ("-t",),
        ),
        Kind(
            *("haproxy", "X-SSL-Client-DER", "haproxy", "on Debian: apt-get install", ".cfg"),
            r"(?<=bind ):(\d+)\b",
            ("-W", "-db", "-f", "{example}"),
            ("-c",),
        ),
        Kind(
            *("traefik", "X-Forwarded-Tls-Client-Cert", "requirements-proxies.txt", PIP, ".static.yml"),
            r'(?<=address: "):(\d+)\b',
            ("--configFile={example}",),
        ),
        Kind(
            *("envoy", "X-Forwarded-Client-Cert", "requirements-proxies.txt", PIP, ".yaml"),
            r"0\.0\.0\.0, port_value: (\d+)\b",
            ("-c", "{example}", "--use-dynamic-base-id", "--concurrency", "1"),
            ("--mode", "validate"),
        ),
    )
}


@dataclass
class Front:
    """A running proxy. The ports on which it listens are known by their numbers in the example."""

    kind: Kind
    folder: Path  # its files, with those that the examples have in /etc/hatchery
    process: subprocess.Popen
    ports: dict[str, int]

    @property
    def main(self) -> str:
        """The first port of its example, where it ends mutual TLS."""
        return next(iter(self.ports))

    @property
    def log(self) -> str:
        return (self.folder / "front.log").read_text(errors="replace")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def reloaded_by(self) -> tuple[str, ...]:
        """The command that does what `systemctl reload` does."""
        sig = "HUP" if self.kind.form == "nginx" else "USR2"
        return ("sh", "-c", f"kill -{sig} {self.process.pid}")


def program(kind: Kind) -> str:
    """The proxy's path; without it the test is skipped, or fails."""
    return needs(kind.form, package=kind.package, installer=kind.installer)


def start(
    kind: Kind,
    example: str,
    folder: Path,
    hatchery: Mapping[str, int],
    application: int,
    edit: Callable[[str], str] = str,
) -> Front:
    """Run a proxy from examples/<form>/<example>.*, in front of Hatchery's listeners and of an application,
    which are on these ports. `folder` has what the examples have in /etc/hatchery; `edit` does what a README
    says that one may change.
    """
    behind = {NUMBERS[name]: port for name, port in hatchery.items() if name in NUMBERS}
    behind[APPLICATION] = application
    ports: dict[str, int] = {}
    for source in (EXAMPLES / kind.form).glob(f"{example}.*"):
        text = filled_in(edit(source.read_text()), kind, folder, behind, ports)
        (folder / source.name).write_text(text)
    if not ports:
        raise AssertionError(f"examples/{kind.form}/{example}{kind.suffix} listens nowhere")
    words = {"folder": folder, "example": folder / f"{example}{kind.suffix}"}
    (folder / "nginx.conf").write_text(NGINX_CONF.format(**words))
    command = [word.format(**words) for word in kind.words]
    if kind.looking and (kind.form, example) not in _LOOKED_AT:
        # As its README has it done before it is started; once for each example.
        done = run(program(kind), *kind.looking, *command, cwd=folder)
        assert done.returncode == 0, done.stderr
        _LOOKED_AT.add((kind.form, example))
    with (folder / "front.log").open("ab") as log:
        process = subprocess.Popen(
            [program(kind), *command],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    front = Front(kind, folder, process, ports)
    try:
        _await(front)
    except BaseException:
        front.stop()
        raise
    return front


def filled_in(text: str, kind: Kind, folder: Path, behind: Mapping[str, int], ports: dict[str, int]) -> str:
    """An example with this machine's names, ports and paths; the ports where it listens go into `ports`."""

    def upstream(found: re.Match[str]) -> str:
        return f"127.0.0.1{found[1]}{behind[found[2]]}"

    def listens(found: re.Match[str]) -> str:
        port = ports.setdefault(found[1], free_ports(1)[0])
        separator = ", port_value: " if "port_value" in found[0] else ":"
        return f"127.0.0.1{separator}{port}"

    text = re.sub(r"hatchery\.example(:|, port_value: )(\d+)", upstream, text)
    text = re.sub(rf"127\.0\.0\.1(:|, port_value: )({APPLICATION})\b", upstream, text)
    text = re.sub(kind.listens, listens, text)
    text = re.sub(r"\b(app|devices|status)\.example", "localhost", text)
    return re.sub(r"/(etc/(hatchery|haproxy|traefik)|(run|var/lib)/haproxy)/", f"{folder}/", text)


def _await(front: Front) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not _is_up(front):
        if front.process.poll() is not None:
            raise AssertionError(f"{front.kind.form} ended: {front.log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"{front.kind.form} did not start: {front.log}")
        time.sleep(0.05)


def _is_up(front: Front) -> bool:
    """Whether all its ports are open and the first shows the certificate that it was given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    first, *others = (("127.0.0.1", port) for port in front.ports.values())
    try:
        with socket.create_connection(first, 1) as raw, context.wrap_socket(raw) as tls:
            shown = tls.getpeercert(binary_form=True)
        for address in others:
            socket.create_connection(address, 1).close()
    except OSError:
        return False
    given = (front.folder / "server.pem").read_text().partition(ssl.PEM_FOOTER)
    return shown == ssl.PEM_cert_to_DER_cert(given[0] + given[1])
