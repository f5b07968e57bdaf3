"""What a client says to a proxy, and what it can forge."""

import socket
import ssl
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.live.devices import Answer, Connection, Device
from tests.proxies.fronts import Front

Headers = list[tuple[str, str]]


def ask(
    connection: Connection, path: str = "/", headers: Headers = (), method: str = "GET", body=""
) -> Answer:
    """Send a request with headers as they are, and read the answer."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return connection.send("\r\n".join([*lines, "", body]).encode())


def is_refused(front: Front, port: str, context: ssl.SSLContext, path: str = "/") -> bool:
    """Whether TLS ends it: by an alert, or, as nginx does, by a 400 in its first answer."""
    try:
        connection = Connection(front, port, context)
    except (ssl.SSLError, ConnectionError):
        return True
    try:
        return connection.get(path).status == 400
    except (ssl.SSLError, ConnectionError):
        return True
    finally:
        connection.close()


def without_certificate(device: Device) -> ssl.SSLContext:
    """A client that trusts what the device trusts, and shows nothing."""
    return ssl.create_default_context(cafile=str(device.server.demo / "ca.pem"))


def certificate_of(device: Device) -> x509.Certificate:
    return x509.load_pem_x509_certificate((device.folder / f"{device.name}.pem").read_bytes())


def forwarded(device: Device) -> dict[str, str]:
    """A device's certificate as each proxy would forward it, by the names of the headers."""
    certificate = certificate_of(device)
    pem = quote(certificate.public_bytes(Encoding.PEM), safe="")
    base64 = "".join(certificate.public_bytes(Encoding.PEM).decode().splitlines()[1:-1])
    return {
        "Client-Cert": f":{base64}:",
        "X-SSL-Client-Cert": pem,
        "X-Forwarded-Tls-Client-Cert": base64,
        "X-Forwarded-Client-Cert": f'Hash={"0" * 64};Cert="{pem}"',
        "X-SSL-Client-DER": base64,
    }


FORMS = (
    "Client-Cert",
    "X-SSL-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Client-Cert",
    "X-SSL-Client-DER",
)


def forged_certificate(device: Device, header: str) -> Headers:
    """A device's certificate under one of the names that proxies use, in every writing of the name."""
    return in_every_writing({header: forwarded(device)[header]})


def forged_identity(name: str) -> Headers:
    """What Hatchery answers of a device, as somebody would write it who is not that device."""
    return in_every_writing(
        {
            "Hatchery-Device": name,
            "Hatchery-Serial": "abcdef",
            "Hatchery-Uri": f"spiffe://localhost/device/{name}",
            "Hatchery-Groups": "administrators",
            "Hatchery-Not-After": "2099-01-01T00:00:00Z",
            "Hatchery-Reason": "none",  # which a good device has not: nothing overwrites it
        }
    )


def invented_identity(name: str) -> Headers:
    """Names of the same beginnings that nobody has told a proxy of: the next Hatchery may answer them."""
    return in_every_writing(
        {
            "Hatchery-Roles": name,
            "Client-Cert-Subject": f"CN={name}",
            "X-SSL-Client-Verified-As": name,
            "X-Forwarded-Tls-Client-Cert-Name": name,
        }
    )


def in_every_writing(headers: dict[str, str]) -> Headers:
    """Also small, a second time, and with _ for -, which CGI does not tell apart."""
    return [
        (write(name), value)
        for write in (str, str.lower, lambda name: name.replace("-", "_"))
        for name, value in headers.items()
    ]


def from_address(address: str, port: int, request: bytes) -> bytes:
    """What plain HTTP answers to somebody who comes from another address of this machine."""
    with socket.create_connection(("127.0.0.1", port), 20, source_address=(address, 0)) as raw:
        raw.sendall(request)
        raw.settimeout(20)
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
        return received
