"""nginx that ends TLS in front of nothing: what TLS alone costs, in C."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.alternatives import authority, programs
from benchmarks.compare.served import CONNECTIONS, Job, Served
from tests.server import free_ports

_CONFIGURATION = """
daemon off;
pid nginx.pid;
worker_processes 2;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type application/json;
    keepalive_requests 1000000;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
    ssl_prefer_server_ciphers on;
    ssl_ecdh_curve X25519:prime256v1;
    ssl_session_tickets {tickets};
    ssl_session_timeout 1h;
    server {{
        listen 127.0.0.1:{hello} ssl;
        location = /hello {{ return 200 '{{"message": "Hello from TLS server"}}'; }}
    }}
    server {{
        listen 127.0.0.1:{secure} ssl;
        ssl_verify_client on;
        ssl_client_certificate root.pem;
        ssl_verify_depth 3;
        location = /secure {{
            return 200 '{{"message": "Hello, mutual trust established", "client": "$ssl_client_s_dn"}}';
        }}
    }}
}}
"""


def with_tickets(folder: Path) -> AbstractContextManager[Served]:
    """As it is by default: two tickets with each full TLS 1.3 handshake. Raises Missing."""
    return _serve(folder, "nginx, tickets", "on")


def without_tickets(folder: Path) -> AbstractContextManager[Served]:
    """No session is ever resumed. Raises Missing."""
    return _serve(folder, "nginx", "off")


@contextmanager
def _serve(folder: Path, name: str, tickets: str) -> Iterator[Served]:
    nginx = programs.program("nginx", package="nginx-light")
    files, ports = authority.make(folder), free_ports(2)
    hello, secure = ports
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(tickets=tickets, hello=hello, secure=secure))
    root = files.certificate("root")
    command = [nginx, "-p", folder, "-c", configuration, "-e", "stderr"]
    with programs.running(command, folder, ports) as processes:
        yield Served(
            name,
            processes,
            {
                "hello": lambda _: Job(f"https://localhost:{hello}/hello", root),
                "secure": lambda _: Job(
                    f"https://localhost:{secure}/secure",
                    root,
                    files.certificate("client"),
                    files.key("client"),
                ),
            },
            connections=CONNECTIONS if tickets == "on" else ("new", "kept"),
        )
