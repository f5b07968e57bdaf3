"""django-ca's REST API behind gunicorn and over SQLite, in an environment of its own that is made here."""

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

from benchmarks.alternatives import authority, fresh, programs
from benchmarks.compare.served import CONNECTIONS, Job, Missing, Served
from tests.clients import make_csr
from tests.forks import ROOT
from tests.server import free_ports

_SITE = Path(__file__).with_name("django_ca_site")
_REQUIREMENTS = ROOT / "requirements-django-ca.txt"
_ENVIRONMENT = ROOT / ".venv-django-ca"
_USER = "bench"
_CHEAP = "django.contrib.auth.hashers.MD5PasswordHasher"


def with_default_hashing(folder: Path) -> AbstractContextManager[Served]:
    """The password of each call is hashed as Django does it by default: PBKDF2. Raises Missing."""
    return _serve(folder, "django-ca", hasher="")


def with_cheap_hashing(folder: Path) -> AbstractContextManager[Served]:
    """The password of each call is hashed once, with MD5. Raises Missing."""
    return _serve(folder, "django-ca, MD5", hasher=_CHEAP)


@contextmanager
def _serve(folder: Path, name: str, *, hasher: str) -> Iterator[Served]:
    python, files, (port,) = _python(), authority.make(folder), free_ports(1)
    password = secrets.token_urlsafe(32)
    environment = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": str(_SITE),
        "SITE_FOLDER": str(folder),
        "SITE_PORT": str(port),
        "SITE_PASSWORD_HASHER": hasher,
    }
    serial = _prepared(python, files, password, environment)
    credentials = base64.b64encode(f"{_USER}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    path = f"/django_ca/api/ca/{serial}/"
    command = [python, "-m", "gunicorn", "--config", _SITE / "gunicorn_conf.py", "wsgi"]
    with programs.running(command, folder, [port], environment) as processes:
        _expect_issued(files, port, path, headers)
        yield Served(
            name,
            processes,
            {
                "sign-csr": lambda number: Job(
                    f"https://localhost:{port}{path}sign/",
                    files.certificate("root"),
                    method="POST",
                    headers=headers,
                    requests=fresh.requests(number, _request),
                )
            },
            stores=True,
            # With a hash that takes a hundred handshakes' time, no session need be resumed.
            connections=CONNECTIONS if hasher else ("new", "kept"),
        )


@cache
def _python() -> Path:
    """The Python of the environment, which is made if it is not there, or is not what is required now."""
    python = _ENVIRONMENT / "bin" / "python"
    mark, wanted = _ENVIRONMENT / "installed", hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        venv.create(_ENVIRONMENT, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "-r", _REQUIREMENTS], stdout=sys.stderr)
        if done.returncode != 0:
            raise Missing(f"{_REQUIREMENTS.name} cannot be installed from PyPI")
        mark.write_text(wanted)
    return python


def _prepared(python: Path, files: authority.Files, password: str, environment: dict[str, str]) -> str:
    """Tables, CA and user; the CA's serial."""
    command = [python, _SITE / "prepare.py", files.certificate("issuer"), files.key("issuer"), _USER]
    done = subprocess.run(command, input=password, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"django-ca cannot be set up: {done.stderr}")
    return done.stdout.split()[-1]


def _expect_issued(files: authority.Files, port: int, path: str, headers: dict[str, str]) -> None:
    """Raises RuntimeError unless it signs: it answers 200 to a request that it then fails to sign, too."""
    context = ssl.create_default_context(cafile=str(files.certificate("root")))
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    connection.request("POST", f"{path}sign/", _request("first", make_csr("first")), headers)
    order = json.loads(connection.getresponse().read())
    connection.request("GET", f"{path}orders/{order['slug']}/", headers=headers)
    order = json.loads(connection.getresponse().read())
    connection.close()
    if order["status"] != "issued":
        raise RuntimeError(f"django-ca did not sign: {order}")


def _request(device: str, csr: bytes) -> bytes:
    """A request for a client's certificate: the profile that it names adds no extension here."""
    wish = {
        "csr": csr.decode(),
        "subject": [{"oid": "2.5.4.3", "value": device}],  # CN
        "profile": "client",
        "extensions": [
            {"type": "key_usage", "critical": True, "value": ["digital_signature"]},
            {"type": "extended_key_usage", "critical": False, "value": ["1.3.6.1.5.5.7.3.2"]},
        ],
    }
    return json.dumps(wish).encode()
