"""Django's settings, read from the environment and from `.env`; `.env.example` documents each one.

A value that makes no sense stops the start with one sentence (ImproperlyConfigured). What can only
be judged once Django runs is a system check, in `portal.checks`.
"""

import ipaddress
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from pki.core import destinations, proxies
from pki.core.names import TRUST_DOMAIN, url_host
from pki.core.proxies import Network
from portal.secrets import read_or_make_secret

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
PORTAL_DOT_ENV: Path | None = None
if env.str("DJANGO_READ_DOT_ENV", default="on") == "on":  # the tests turn it off
    PORTAL_DOT_ENV = BASE_DIR / ".env"
    environ.Env.read_env(PORTAL_DOT_ENV)


def number(name: str, default: int, least: int, most: int, what: str) -> int:
    value: str = env.str(name, default=str(default))
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise ImproperlyConfigured(f"{name} must be {what} from {least} to {most}, not {value!r}.")
    return int(value)


def port(name: str, default: int) -> int:
    return number(name, default, 1, 65535, "a port")


def optional_port(name: str) -> int | None:
    return port(name, 0) if env.str(name, default="") else None


def flag(name: str) -> bool:
    value: str = env.str(name, default="off").strip().lower()
    if value in ("on", "true", "yes", "1"):
        return True
    if value in ("off", "false", "no", "0", ""):
        return False
    raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")


def choice(name: str, *choices: str) -> str:
    """One of `choices`, of which the first is the default."""
    value: str = env.str(name, default=choices[0]).strip().lower() or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def named_proxies(name: str) -> tuple[proxies.Proxy, ...]:
    try:
        return proxies.parse(env.str(name, default=""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}.") from None


def balancers(name: str) -> tuple[Network, ...]:
    try:
        return proxies.balancers(env.str(name, default=""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}.") from None


def networks(name: str) -> tuple[Network, ...]:
    try:
        return destinations.networks(env.str(name, default=""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}.") from None


def path_or_none(name: str) -> Path | None:
    """A file, relative to the project's folder; None if none is named."""
    value: str = env.str(name, default="")
    if not value:
        return None
    path = (BASE_DIR / value).expanduser()
    if not path.parent.is_dir() or path.is_dir():
        raise ImproperlyConfigured(f"{name} must name a file in a folder that is there, not {value!r}.")
    return path


def syslog(name: str) -> SplitResult | None:
    value: str = env.str(name, default="")
    if not value:
        return None
    try:
        url = urlsplit(value)
        named = bool(url.hostname and url.port)
        if url.scheme == "unix":
            named = url.path.startswith("/") and not url.netloc
        if url.scheme not in ("tcp", "udp", "unix") or not named or url.username or url.query:
            raise ValueError
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} must be tcp://host:port, udp://host:port or unix:///dev/log, without a password."
        ) from None
    return url


def mail(name: str) -> dict[str, Any]:
    """Django's EMAIL_… settings by a URL; without one, mails go nowhere."""
    nowhere = {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    url: str = env.str(name, default="")
    try:
        config: dict[str, Any] = env.email_url_config(url) if url else nowhere
        if url.startswith("smtp") and not config["EMAIL_HOST"]:
            raise ValueError
    except (ImproperlyConfigured, ValueError, KeyError):
        # Said without the URL: there may be a password in it.
        raise ImproperlyConfigured(
            f"{name} must be a URL such as smtp+tls://user:password@mail.example:587."
        ) from None
    # RFC 8314 7.3, RFC 6409 3.1, RFC 5321 4.5.4.2.
    usual = 465 if config.get("EMAIL_USE_SSL") else 587 if config.get("EMAIL_USE_TLS") else 25
    return {
        **{key: value for key, value in config.items() if key.startswith("EMAIL_")},
        "EMAIL_PORT": config.get("EMAIL_PORT") or usual,
        "EMAIL_TIMEOUT": 10,  # seconds, for each word of the mail server
    }


def static_file(path: str) -> Callable[[object], str]:
    """Where a static file is served, for settings that are read at each request."""

    def href(request: object) -> str:
        from django.templatetags.static import static

        return static(path)

    return href


def everywhere_valid(hosts: list[str]) -> str:
    """The first host that is an address or has a dot; the first of all if there is none.

    Linters refuse a name of one label, such as localhost, in the URL of a pointer.
    """
    return next((host for host in hosts if "." in host or ":" in host), hosts[0])


def trust_domain(hosts: list[str]) -> str:
    """The first host that can name a SPIFFE trust domain: an IPv6 address cannot, and a wildcard neither."""
    return next((host.lower() for host in hosts if TRUST_DOMAIN.fullmatch(host.lower())), "hatchery")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# --- Hatchery -------------------------------------------------------------------------------------

PORTAL_DATA_DIR = (BASE_DIR / env.str("PORTAL_DATA_DIR", default="var")).expanduser().resolve()
PORTAL_BIND_HOST: str = env.str("PORTAL_BIND_HOST", default="127.0.0.1")
PORTAL_PORT_HELLO = port("PORTAL_PORT_HELLO", 8443)
PORTAL_PORT_SECURE = port("PORTAL_PORT_SECURE", 8444)
PORTAL_PORT_PROVISIONING = port("PORTAL_PORT_PROVISIONING", 8445)
PORTAL_PORT_CONSOLE = port("PORTAL_PORT_CONSOLE", 8446)
PORTAL_PORT_STATUS = port("PORTAL_PORT_STATUS", 8080)
# Of this process's metrics; without it they are not served, and nothing is counted. docs/monitoring.md.
PORTAL_PORT_METRICS = optional_port("PORTAL_PORT_METRICS")
PORTAL_METRICS_HOST: str = env.str("PORTAL_METRICS_HOST", default="127.0.0.1")
PORTAL_LISTENERS: list[str] = [
    name.strip()
    for name in env.list("PORTAL_LISTENERS", default=["hello", "secure", "provisioning", "console", "status"])
]
PORTAL_WORKERS = number("WEB_CONCURRENCY", 2, 1, 256, "a number of worker processes")
PORTAL_HOSTNAMES: list[str] = [
    host.strip() for host in env.list("PORTAL_HOSTNAMES", default=["localhost", "127.0.0.1", "::1"])
]
if not any(PORTAL_HOSTNAMES):
    raise ImproperlyConfigured("PORTAL_HOSTNAMES must name at least one host, such as localhost.")
PORTAL_STATUS_URL: str = env.str(
    "PORTAL_STATUS_URL", default=f"http://{url_host(everywhere_valid(PORTAL_HOSTNAMES))}:{PORTAL_PORT_STATUS}"
).rstrip("/")
# Read at the first run alone: one root for servers and clients, or two; docs/topologies.md.
PORTAL_TOPOLOGY = choice("PORTAL_TOPOLOGY", "one", "two")

# How long after a login what destroys something is done without asking for the password again.
PORTAL_RECENT_LOGIN_SECONDS = number("PORTAL_RECENT_LOGIN_SECONDS", 900, 60, 86400, "a number of seconds")
PORTAL_SESSION_SECONDS = number("PORTAL_SESSION_SECONDS", 12 * 3600, 300, 7 * 86400, "a number of seconds")
# Wrong passwords for one user from one address, and from one address for all users, before it is locked out.
PORTAL_LOGIN_FAILURES = number("PORTAL_LOGIN_FAILURES", 5, 3, 100, "a number of tries")
PORTAL_LOGIN_FAILURES_OF_ADDRESS = number(
    "PORTAL_LOGIN_FAILURES_OF_ADDRESS", 4 * PORTAL_LOGIN_FAILURES, 3, 10_000, "a number of tries"
)
PORTAL_LOCKOUT_SECONDS = number("PORTAL_LOCKOUT_SECONDS", 900, 60, 86400, "a number of seconds")
# Off, because a browser that holds any certificate asks its user which one to show, before the first page.
PORTAL_CONSOLE_CLIENT_CERTIFICATES = flag("PORTAL_CONSOLE_CLIENT_CERTIFICATES")

# How much of what is refused, and of what is made without a token, is borne within a window before more is
# answered with 429 (pki.services.limits).
PORTAL_LIMIT_SECONDS = number("PORTAL_LIMIT_SECONDS", 600, 10, 86400, "a number of seconds")
PORTAL_LIMIT_FAILURES = number("PORTAL_LIMIT_FAILURES", 100, 1, 1_000_000, "a number of requests")
PORTAL_LIMIT_DEVICE_FAILURES = number(
    "PORTAL_LIMIT_DEVICE_FAILURES", 30, 1, 1_000_000, "a number of requests"
)
PORTAL_LIMIT_WITHOUT_TOKEN = number("PORTAL_LIMIT_WITHOUT_TOKEN", 200, 1, 1_000_000, "a number of requests")

# For relying parties: how long a CRL and an OCSP answer may be relied on (each is made anew at half of it),
# and for how long a cache in between may hand out what it has.
PORTAL_CRL_SECONDS = number("PORTAL_CRL_SECONDS", 86400, 60, 30 * 86400, "a number of seconds")
PORTAL_OCSP_SECONDS = number("PORTAL_OCSP_SECONDS", 3600, 60, 7 * 86400, "a number of seconds")
PORTAL_STATUS_MAX_AGE = number("PORTAL_STATUS_MAX_AGE", 3, 0, 86400, "a number of seconds")

# Load balancers that pass TCP on, and say whose each connection is by the PROXY protocol; docs/postgresql.md.
PORTAL_BALANCERS = balancers("PORTAL_BALANCERS")

# Proxies that end mutual TLS in front of Hatchery; docs/proxies.md.
PORTAL_PROXIES = named_proxies("PORTAL_PROXIES")
PORTAL_SECURE_PROXY = choice("PORTAL_SECURE_PROXY", "off", "http", "tls", "mutual")
PORTAL_PROXY_DEVICES: list[str] = [
    name.strip() for name in env.list("PORTAL_PROXY_DEVICES", default=[]) if name.strip()
]
PORTAL_TRUST_DOMAIN: str = env.str("PORTAL_TRUST_DOMAIN", default="") or trust_domain(PORTAL_HOSTNAMES)

# Who is told by mail, and where webhooks may lead; docs/notices.md.
PORTAL_NOTICE_MAIL: list[str] = [
    address.strip() for address in env.list("PORTAL_NOTICE_MAIL", default=[]) if address.strip()
]
PORTAL_NOTICE_FROM: str = (
    env.str("PORTAL_NOTICE_FROM", default="") or f"hatchery@{trust_domain(PORTAL_HOSTNAMES)}"
)
PORTAL_WEBHOOK_NETWORKS = networks("PORTAL_WEBHOOK_NETWORKS")
PORTAL_WEBHOOK_CA_FILE: str = env.str("PORTAL_WEBHOOK_CA_FILE", default="")

# Where the audit trail is written beside the database; docs/audit.md.
PORTAL_AUDIT_FILE = path_or_none("PORTAL_AUDIT_FILE")
PORTAL_AUDIT_SYSLOG = syslog("PORTAL_AUDIT_SYSLOG")

# What the log looks like, and whether each request has a line; docs/monitoring.md.
PORTAL_LOG_FORMAT = choice("PORTAL_LOG_FORMAT", "line", "json")
PORTAL_LOG_REQUESTS = flag("PORTAL_LOG_REQUESTS")

# Networks whose servers the console may look at, beside our own listeners; docs/diagnose.md.
PORTAL_DIAGNOSE_NETWORKS = networks("PORTAL_DIAGNOSE_NETWORKS")

# --- Secrets: given, or made once in the data directory -------------------------------------------

_secrets = PORTAL_DATA_DIR / "secrets"
SECRET_KEY = env.str("SECRET_KEY", default="") or read_or_make_secret(_secrets / "secret-key")

PORTAL_KEY_PASSPHRASE_FILE: str = env.str("PORTAL_KEY_PASSPHRASE_FILE", default="")
if PORTAL_KEY_PASSPHRASE_FILE:
    try:
        PORTAL_KEY_PASSPHRASE = Path(PORTAL_KEY_PASSPHRASE_FILE).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"PORTAL_KEY_PASSPHRASE_FILE names {PORTAL_KEY_PASSPHRASE_FILE}, which cannot be read "
            f"({error.strerror})."
        ) from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(
            f"PORTAL_KEY_PASSPHRASE_FILE names {PORTAL_KEY_PASSPHRASE_FILE}, which is not text; "
            "make one with openssl rand -base64 32."
        ) from None
    if not PORTAL_KEY_PASSPHRASE:
        raise ImproperlyConfigured(
            f"PORTAL_KEY_PASSPHRASE_FILE names {PORTAL_KEY_PASSPHRASE_FILE}, which is empty."
        )
else:
    _kept = _secrets / "key-passphrase"
    # A restore is given its backup's, or finds it there: one that is made for it opens nothing, and stays
    # behind to be taken for the one that does.
    _restoring = sys.argv[1:2] == ["restore"] and not _kept.exists()
    PORTAL_KEY_PASSPHRASE = env.str("PORTAL_KEY_PASSPHRASE", default="") or (
        "" if _restoring else read_or_make_secret(_kept)
    )
PORTAL_PASSPHRASE_IS_AWAITED = not PORTAL_KEY_PASSPHRASE  # by a restore, of its backup
PORTAL_PASSPHRASE_IS_GENERATED = not (
    PORTAL_KEY_PASSPHRASE_FILE or env.str("PORTAL_KEY_PASSPHRASE", default="")
)
PORTAL_ADMIN_PASSWORD: str = env.str("PORTAL_ADMIN_PASSWORD", default="")

# --- Django ---------------------------------------------------------------------------------------

DEBUG = flag("DEBUG")
ALLOWED_HOSTS = [url_host(host) for host in PORTAL_HOSTNAMES]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # the console's URLs look for its pages
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "portal",
    "pki",
]

# The console's alone: the other listeners' requests pass no middleware (see portal.wsgi).
MIDDLEWARE = [
    # First, so that what any other one answers has these headers too.
    "portal.middleware.SecurityHeaders",
    "portal.middleware.RefuseNul",
    "portal.middleware.RefuseMethods",
    "portal.middleware.RefuseLarge",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.middleware.ClientCertificate",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "portal.urls.console"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_database_url: str = env.str("DATABASE_URL", default="")
if _database_url and not _database_url.startswith(("sqlite:///", "postgres://", "postgresql://")):
    # Said without the URL: there may be a password in it.
    raise ImproperlyConfigured(
        "DATABASE_URL must name an SQLite or a PostgreSQL database, "
        "such as postgres://user:password@host/name or sqlite:////srv/hatchery.sqlite3."
    )
try:
    # A path is no URL: a # or a % in it would be taken for something else.
    _database: dict[str, Any] = (
        env.db_url_config(_database_url)
        if _database_url
        else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(PORTAL_DATA_DIR / "db.sqlite3")}
    )
except (ImproperlyConfigured, ValueError, KeyError):
    raise ImproperlyConfigured(
        "DATABASE_URL must be a URL such as postgres://user:password@host/name."
    ) from None
if _database["NAME"] in ("", ":memory:"):
    raise ImproperlyConfigured("DATABASE_URL must name the database, or the file, that Hatchery is to use.")
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "portal.sqlite"
    _database["OPTIONS"] = {
        # A writer takes the write lock when its transaction begins: a lock that is asked for in the
        # middle of one cannot be waited for.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds
        # WAL lets readers read while one writes; FULL keeps a commit through a power cut.
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
    }
    _database["CONN_MAX_AGE"] = None
else:
    _database["ENGINE"] = "portal.postgresql"
    _database["CONN_HEALTH_CHECKS"] = True
    # With a connection end the plans that PostgreSQL keeps for it: a table that was small when one was made
    # may be large by now, which it learns from autovacuum alone.
    _database["CONN_MAX_AGE"] = 600  # seconds
PORTAL_DATABASE_POOL = number("PORTAL_DATABASE_POOL", 0, 0, 100, "a number of connections")
if PORTAL_DATABASE_POOL and "sqlite" in _database["ENGINE"]:
    raise ImproperlyConfigured("PORTAL_DATABASE_POOL is for PostgreSQL; leave it unset for SQLite.")
if 0 < PORTAL_DATABASE_POOL < 4:
    # Making lists and maintenance may hold three for as long as a large list takes to sign.
    raise ImproperlyConfigured(
        f"PORTAL_DATABASE_POOL must be 0, for none, or at least 4 connections, not {PORTAL_DATABASE_POOL}."
    )
# Not zero: opening a connection costs more than a whole request. portal.pool has threads share them.
DATABASES = {"default": _database}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # refuses who is locked out
    "django.contrib.auth.backends.ModelBackend",
]
# The lockout; see pki.services.people.lockout.
AXES_HANDLER = "pki.services.people.lockout.Lockout"
AXES_USERNAME_CALLABLE = "pki.services.people.lockout.name_kept"
AXES_CLIENT_IP_CALLABLE = "pki.services.people.lockout.address_kept"
AXES_LOCKOUT_CALLABLE = "pki.admin.people.login.locked_out"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "ip_address"]
AXES_FAILURE_LIMIT = PORTAL_LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(seconds=PORTAL_LOCKOUT_SECONDS)
# Tries while locked out do not prolong it: else who keeps knocking keeps the owner out.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # the audit trail knows who logged in
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

vars().update(mail("EMAIL_URL"))
if PORTAL_NOTICE_MAIL and not env.str("EMAIL_URL", default=""):
    raise ImproperlyConfigured(
        "PORTAL_NOTICE_MAIL names who is to be told by mail, but EMAIL_URL names no mail server; "
        "set it, such as smtp+tls://user:password@mail.example:587."
    )
PORTAL_MAIL_IS_SET_UP = bool(PORTAL_NOTICE_MAIL)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = ["portal.formats"]
USE_TZ = True

# unfold's login form does not say where its user came from.
LOGIN_REDIRECT_URL = "admin:index"

STATIC_URL = "static/"
# Served straight from the installed packages: no build step, no collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # nobody else's pages load them

# The console is only ever reached over TLS.
SECURE_SSL_REDIRECT = True
SECURE_REFERRER_POLICY = "same-origin"  # "no-referrer" would make a form's Origin null, which CSRF refuses
# RFC 6265bis 4.1.3.2: __Host- keeps neighbours under the same domain from setting them.
SESSION_COOKIE_NAME = "__Host-session"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
# Lax, not Strict: a link to a device, in a mail that a browser shows, leads there and not to the login page.
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = PORTAL_SESSION_SECONDS
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_AGE = None  # until the browser is closed
# A browser remembers HSTS for a host, whatever the port: on localhost it would break every other
# server that a developer runs there.
SECURE_HSTS_SECONDS = 0 if any(is_loopback(host) for host in PORTAL_HOSTNAMES) else 365 * 86400
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_SECONDS > 0
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # HSTS preloading is for public sites.

# A CSV of devices is the largest thing that an administrator uploads.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000  # bytes

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "portal.log_format.Line"}, "json": {"()": "portal.log_format.Json"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": PORTAL_LOG_FORMAT},
        "null": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Anybody can send a Host that is not ours; templates/400.html says what to do.
        "django.security.DisallowedHost": {"handlers": ["null"], "propagate": False},
        # Nor is a list's address that somebody typed worth a traceback.
        "django.security.DisallowedModelAdminLookup": {"handlers": ["null"], "propagate": False},
        # Django mails and logs every 4xx as a warning; refusals have their own log.
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.request": {"level": "ERROR"},
        # What fails for want of a connection says so itself, once a minute.
        "psycopg.pool": {"level": "ERROR"},
        # What it says stands in the audit trail, with names.
        "axes": {"level": "ERROR"},
    },
}

UNFOLD = {
    "SITE_TITLE": "Hatchery",
    "SITE_HEADER": "Hatchery",
    "SITE_SUBHEADER": "Certificates for devices",
    "SITE_SYMBOL": "egg",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": False,  # the audit log has it
    "SITE_URL": None,
    "ENVIRONMENT": "pki.admin.warnings.environment_label",
    "DASHBOARD_CALLBACK": "pki.admin.dashboard.context",
    "SIDEBAR": {"navigation": "pki.admin.navigation.sidebar"},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": static_file("hatchery/favicon.svg")}],
    # In colors.css: unfold would write them into each page, which the Content-Security-Policy forbids.
    "COLORS": lambda request: {},
    "STYLES": [static_file("hatchery/colors.css"), static_file("hatchery/console.css")],
    "SCRIPTS": [static_file("hatchery/console.js")],
}
