"""gunicorn as Hatchery has it: two workers, threads, and one TLS context, made before the fork."""

import os
import ssl
from pathlib import Path
from typing import Any

_folder = Path(os.environ["SITE_FOLDER"])

bind = f"127.0.0.1:{os.environ['SITE_PORT']}"
workers = 2
worker_class = "gthread"
threads = 8
keepalive = 30  # seconds
preload_app = True
control_socket_disable = True
certfile, keyfile = str(_folder / "server.pem"), str(_folder / "server.key")

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_context.minimum_version = ssl.TLSVersion.TLSv1_2
_context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL")
_context.load_cert_chain(certfile, keyfile)


def ssl_context(config: Any, default: Any) -> ssl.SSLContext:
    """By default gunicorn reads the certificate anew for each connection, and no session is ever resumed."""
    return _context
