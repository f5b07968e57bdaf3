"""`bootstrap` with this project's settings and listeners, and what a newcomer is told."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from pki.core.names import url_host
from pki.keystore.files import remedy
from pki.services.audit import Actor
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from pki.services.issuing import bootstrap, demo
from pki.services.trusting import bundle
from portal.listeners import Listener, all_listeners, certified_listeners


@dataclass(frozen=True)
class Outcome:
    """What a run of `bootstrap` made."""

    made: bootstrap.Made
    token: str | None  # a one-time token, on the first run only


def run(*, with_demo: bool) -> Outcome:
    """Make what is missing, for all listeners: those that are served elsewhere need certificates too.

    Raises Refusal, KeystoreError or OSError.
    """
    actor, now = Actor.shell(), timezone.now()
    made = bootstrap.bootstrap(
        settings.PORTAL_DATA_DIR,
        certified_listeners(),
        settings.PORTAL_HOSTNAMES,
        settings.PORTAL_ADMIN_PASSWORD,
        actor,
        now,
        two_roots=settings.PORTAL_TOPOLOGY == "two",
    )
    if made.issuers:
        # Else who asks for it first meets the worker that is making it, and is told to come again.
        bundle.publish_due(now)
    if not with_demo:
        return Outcome(made, None)
    try:
        demo.make(demo_folder(), actor, now)
    except OSError as error:
        raise OSError(
            f"The folder {demo_folder()} cannot be used ({error.strerror}); "
            f"{remedy(error)}, or use --no-demo."
        ) from error
    token = None
    if made.issuers:
        token, _ = tokens.make(actor, now, devices.default_profile(), name_pattern="*")
    return Outcome(made, token)


def demo_folder() -> Path:
    folder: Path = settings.PORTAL_DATA_DIR / "demo"
    return folder


def welcome(outcome: Outcome) -> str:
    """What a newcomer does next, to paste into a second terminal."""
    lines = ["", "Hatchery is serving. Ctrl-C stops it.", ""]
    lines += _ways_in(outcome)
    lines += ["", "Try it in a second terminal:", "", f"  cd {_relative(demo_folder())}"]
    lines += _to_try()
    lines += ["", "Enroll a device of your own:", ""]
    lines += _to_enroll()
    return "\n".join([*lines, ""])


def _ways_in(outcome: Outcome) -> list[str]:
    console = all_listeners()["console"]
    token = ["for one more device: .venv/bin/python manage.py issue_token --device NAME"]
    if outcome.token:
        token = [
            f"{outcome.token}   (one new device, 24 hours)",
            f"{_relative(demo_folder())}/token is another, for ten",
        ]
    return [
        f"  Console      {console.url}/admin/   (the browser warns until it trusts demo/ca.pem)",
        f"  User         {bootstrap.ADMINISTRATOR}",
        f"  Password     {_password(outcome)}",
        *(f"  {title:<12} {line}" for title, line in zip(("Token", ""), token, strict=False)),
    ]


def _to_try() -> list[str]:
    hello, secure = (all_listeners()[name] for name in ("hello", "secure"))
    return [
        f"  curl --cacert ca.pem {hello.url}/hello",
        f"  curl {hello.url}/hello                     # exit 60: not trusted",
        *([] if secure.proxied else _with_curl(secure)),
        f"  openssl s_client -connect {_host()}:{hello.port} -CAfile ca.pem </dev/null",
        *(_through_proxies(secure) if secure.proxied else _with_openssl(secure)),
    ]


def _to_enroll() -> list[str]:
    provisioning, secure = (all_listeners()[name] for name in ("provisioning", "secure"))
    lines = [
        "  openssl ecparam -genkey -name prime256v1 -noout -out my.key",
        '  openssl req -new -key my.key -out my.csr -subj "/CN=my-device/O=Demo"',
        '  curl --fail-with-body --cacert ca.pem -H "Authorization: Bearer $(cat token)" '
        f"--data-binary @my.csr {provisioning.url}/sign-csr -o my.pem",
    ]
    if not secure.proxied:
        lines.append(f"  curl --cacert ca.pem --cert my.pem --key my.key {secure.url}/secure")
    return lines


def _with_curl(secure: Listener) -> list[str]:
    return [
        f"  curl --cacert ca.pem {secure.url}/secure    # exit 56: no client certificate",
        f"  curl --cacert ca.pem --cert client.pem --key client.key {secure.url}/secure",
        f"  curl --cacert ca.pem --cert client.p12:{demo.P12_PASSWORD} --cert-type P12 {secure.url}/secure",
    ]


def _with_openssl(secure: Listener) -> list[str]:
    return [
        f"  openssl s_client -connect {_host()}:{secure.port} -CAfile ca.pem "
        "-cert client.pem -key client.key </dev/null"
    ]


def _through_proxies(secure: Listener) -> list[str]:
    """Where devices reach the secure listener then, only its proxies know."""
    return [
        "",
        f"The secure listener, {secure.url}, answers nobody but its proxies "
        f"({', '.join(map(str, settings.PORTAL_PROXIES))}); devices go to them.",
    ]


def _host() -> str:
    return url_host(settings.PORTAL_HOSTNAMES[0])


def _password(outcome: Outcome) -> str:
    file = bootstrap.password_file(settings.PORTAL_DATA_DIR)
    if settings.PORTAL_ADMIN_PASSWORD:
        return "the one in PORTAL_ADMIN_PASSWORD"
    if not file.exists():
        return "the one you set"
    if outcome.made.administrator:
        return f"{file.read_text().strip()}   (also in {_relative(file)})"
    return f"in {_relative(file)}, unless you changed it"


def _relative(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
