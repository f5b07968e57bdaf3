"""The Go server that tutorials end with: net/http, three listeners, nothing that is stored or audited."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.alternatives import authority, fresh, programs
from benchmarks.compare.served import Job, Served
from tests.server import free_ports

_SOURCE = Path(__file__).with_name("go")


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """`/hello`, `/secure` and `/sign-csr`, all in one process. Raises Missing."""
    plain = programs.built(_SOURCE, folder / "plain")
    files, token, ports = authority.make(folder), secrets.token_urlsafe(32), free_ports(3)
    hello, secure, provisioning = (f"localhost:{port}" for port in ports)
    root = files.certificate("root")
    (folder / "token").write_text(token)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    with programs.running([plain, folder, *addresses], folder, ports, programs.GO) as processes:
        yield Served(
            "Go net/http",
            processes,
            {
                "hello": lambda _: Job(f"https://{hello}/hello", root),
                "secure": lambda _: Job(
                    f"https://{secure}/secure", root, files.certificate("client"), files.key("client")
                ),
                "sign-csr": lambda number: Job(
                    f"https://{provisioning}/sign-csr",
                    root,
                    method="POST",
                    headers={"Authorization": f"Bearer {token}"},
                    requests=fresh.requests(number, lambda _, csr: csr),
                ),
            },
        )
