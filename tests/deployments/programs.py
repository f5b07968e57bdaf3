"""What a service manager or a container would run, with the environment that it gives and no other."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.clients import run
from tests.server import LISTENERS, free_ports, seen_within

STARTS_WITHIN = 90.0  # seconds, generous: the tests do not time the start
BIN = Path(sys.executable).parent


def blocks(readme: Path, language: str) -> list[str]:
    """The blocks of a language in a README, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(), re.S | re.M)


def instead(text: str, here: Mapping[str, Path | str]) -> str:
    """`text` with these names put in the place of others: where several fit, the longest."""
    names = sorted(here, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), lambda match: str(here[match[0]]), text)


def on_this_machine() -> tuple[dict[str, str], dict[str, int]]:
    """Settings for free ports of the loopback, as an administrator would add them, and the ports."""
    ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
    settings = {f"PORTAL_PORT_{name.upper()}": str(port) for name, port in ports.items()}
    return {**settings, "PORTAL_BIND_HOST": "127.0.0.1", "PORTAL_HOSTNAMES": "localhost"}, ports


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **given}


def done(command: Sequence[str], cwd: Path, given: Mapping[str, str]) -> str:
    """What a command says, on both channels; it must succeed."""
    ended = subprocess.run(
        [*command],
        cwd=cwd,
        env=_environment(given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        umask=0o077,
    )
    assert ended.returncode == 0, (ended.args, ended.stdout)
    return ended.stdout


@contextmanager
def served(
    command: Sequence[str], cwd: Path, given: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen]:
    """A server, which is stopped in the end as all service managers do it, and must end in order."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command],
            cwd=cwd,
            env=_environment(given),
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o077,
        )
    with ExitStack() as last:
        last.callback(process.wait, 30)
        last.callback(process.kill)
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, log.read_text()


def answers(port: int, *words: str | Path, scheme: str = "https", path: str = "/") -> str:
    """What curl gets of a listener; "" if there is no answer, or a refusal."""
    url = f"{scheme}://localhost:{port}{path}"
    return run("curl", "-sS", "--fail", *words, url).stdout.decode()


def is_up(process: subprocess.Popen, status: int, log: Path) -> bool:
    """Whether the status listener of a process says in time that it reaches its database."""

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        return bool(answers(status, scheme="http", path="/healthz"))

    return seen_within(STARTS_WITHIN, healthy)


def enroll(folder: Path, ports: Mapping[str, int], name: str, token: str) -> tuple[str | Path, ...]:
    """Enroll a device with curl; the words by which curl then shows its certificate."""
    key, csr, root, chain = (folder / f"{name}.{kind}" for kind in ("key", "csr", "root", "pem"))
    root.write_text(answers(ports["status"], scheme="http", path="/ca/bundle.pem"))
    made = run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
    assert made.returncode == 0
    asked = run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", csr)
    assert asked.returncode == 0
    words = ("--cacert", root, "-H", f"Authorization: Bearer {token}", "--data-binary", f"@{csr}")
    chain.write_text(answers(ports["provisioning"], *words, path="/sign-csr"))
    assert "BEGIN CERTIFICATE" in chain.read_text()
    return "--cacert", root, "--cert", chain, "--key", key
