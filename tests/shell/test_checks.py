"""A wrong setting stops the start with a sentence that names it: a table of settings."""

import runpy
import socket

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from pki.core import proxies
from pki.services import complaints
from pki.services.proving.proxies import warn_of_unknown_devices
from portal import start
from tests.server import ROOT, free_ports
from tests.services.cast import registered

# --- Judged when the settings are read ------------------------------------------------------------


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Read portal/settings.py in an environment of these names alone."""

    def settings(**environment):
        monkeypatch.delenv("DATABASE_URL", raising=False)
        monkeypatch.setenv("DJANGO_READ_DOT_ENV", "off")
        monkeypatch.setenv("PORTAL_DATA_DIR", str(tmp_path / "data"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "portal" / "settings.py"))

    return settings


@pytest.fixture
def files(tmp_path):
    """Files and folders that a setting may wrongly name."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "blank").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "file").write_text("a file")
    return tmp_path


def test_the_defaults_are_accepted(read):
    settings = read()
    assert settings["PORTAL_PORT_HELLO"] == 8443
    assert settings["PORTAL_BIND_HOST"] == "127.0.0.1"
    assert settings["DEBUG"] is False


def test_an_empty_database_url_means_the_file_in_the_data_directory(read, tmp_path):
    for settings in (read(), read(DATABASE_URL="")):
        assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "data" / "db.sqlite3")


UNREADABLE = [
    ("PORTAL_PORT_HELLO", "http"),
    ("PORTAL_PORT_HELLO", ""),
    ("PORTAL_PORT_SECURE", "0"),
    ("PORTAL_PORT_PROVISIONING", "65536"),
    ("PORTAL_PORT_CONSOLE", "-1"),
    ("PORTAL_PORT_STATUS", "80 80"),
    ("PORTAL_PORT_STATUS", "\uff18\uff10"),
    ("PORTAL_PORT_METRICS", "on"),
    ("PORTAL_PORT_METRICS", "0"),
    ("PORTAL_LOG_FORMAT", "xml"),
    ("PORTAL_LOG_REQUESTS", "maybe"),
    ("DEBUG", "maybe"),
    ("PORTAL_HOSTNAMES", ""),
    ("PORTAL_HOSTNAMES", " , "),
    ("DATABASE_URL", "mysql://user@host/name"),
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "postgres://host:port/name"),
    ("DATABASE_URL", "postgres://user@host"),
    ("DATABASE_URL", "postgres://"),
    # A database in memory would forget its CA when the server stops.
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("PORTAL_KEY_PASSPHRASE_FILE", "{files}/missing"),
    ("PORTAL_KEY_PASSPHRASE_FILE", "{files}"),
    ("PORTAL_KEY_PASSPHRASE_FILE", "{files}/empty"),
    ("PORTAL_KEY_PASSPHRASE_FILE", "{files}/blank"),
    ("PORTAL_KEY_PASSPHRASE_FILE", "{files}/binary"),
    ("PORTAL_PROXIES", "10.0.0.5"),
    ("PORTAL_PROXIES", "nginx@proxy.example"),
    ("PORTAL_PROXIES", "apache@10.0.0.5"),
    ("PORTAL_PROXIES", "nginx@10.0.0.5/24"),
    ("PORTAL_PROXIES", "nginx@0.0.0.0/0"),
    ("PORTAL_PROXIES", "nginx@0.0.0.0/1,nginx@128.0.0.0/1"),
    ("PORTAL_PROXIES", "nginx@10.0.0.0/24,envoy@10.0.0.5"),
    ("PORTAL_BALANCERS", "balancer.example"),
    ("PORTAL_BALANCERS", "10.0.0.7:8444"),
    ("PORTAL_BALANCERS", "10.0.0.7,,10.0.0.8"),
    ("PORTAL_BALANCERS", "10.0.0.7/24"),
    ("PORTAL_BALANCERS", "0.0.0.0/0"),
    ("PORTAL_BALANCERS", "::ffff:10.0.0.7"),
    ("PORTAL_BALANCERS", "fe80::7%eth0"),
    ("PORTAL_SECURE_PROXY", "on"),
    ("PORTAL_SECURE_PROXY", "https"),
    ("PORTAL_AUDIT_FILE", "{files}"),
    ("PORTAL_AUDIT_FILE", "{files}/missing/audit.jsonl"),
    ("PORTAL_AUDIT_SYSLOG", "logs.example"),
    ("PORTAL_AUDIT_SYSLOG", "tcp://logs.example"),
    ("PORTAL_AUDIT_SYSLOG", "tcp://logs.example:port"),
    ("PORTAL_AUDIT_SYSLOG", "tcp://:601"),
    ("PORTAL_AUDIT_SYSLOG", "tls://logs.example:6514"),
    ("PORTAL_AUDIT_SYSLOG", "unix://dev/log"),
    ("PORTAL_AUDIT_SYSLOG", "udp://[logs:514"),
    ("PORTAL_DATABASE_POOL", "-1"),
    ("PORTAL_DATABASE_POOL", "on"),
    ("PORTAL_DATABASE_POOL", "8"),  # on SQLite
    ("EMAIL_URL", "mail.example"),
    ("EMAIL_URL", "http://mail.example"),
    ("EMAIL_URL", "smtp://"),
    ("EMAIL_URL", "smtp://mail.example:port"),
    ("PORTAL_NOTICE_MAIL", "ada@example.com"),
    ("PORTAL_WEBHOOK_NETWORKS", "inside"),
    ("PORTAL_WEBHOOK_NETWORKS", "10.1.2.3/8"),
    ("PORTAL_DATA_DIR", "{files}/file"),
    ("PORTAL_DATA_DIR", "{files}/file/below"),
]


@pytest.mark.parametrize(("name", "value"), UNREADABLE, ids=[f"{name}={value}" for name, value in UNREADABLE])
def test_a_value_that_makes_no_sense_is_refused_by_name(read, files, name, value):
    with pytest.raises(ImproperlyConfigured) as refused:
        read(**{name: value.format(files=files)})
    message = str(refused.value)
    assert name in message
    assert len(message.splitlines()) == 1
    assert message.endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:hunter2@host:port/name",
        "mysql://user:hunter2@host/name",
        "nonsense://user:hunter2@host/name",
        "//user:hunter2@host/name",
    ],
)
def test_a_database_password_is_neither_in_the_refusal_nor_in_a_warning(read, url):
    with pytest.raises(ImproperlyConfigured) as refused:
        read(DATABASE_URL=url)
    assert "hunter2" not in str(refused.value)


def test_where_the_audit_trail_is_written_beside_the_database(read, files):
    assert (read()["PORTAL_AUDIT_FILE"], read()["PORTAL_AUDIT_SYSLOG"]) == (None, None)
    settings = read(PORTAL_AUDIT_FILE=f"{files}/audit.jsonl", PORTAL_AUDIT_SYSLOG="tcp://logs.example:601")
    assert settings["PORTAL_AUDIT_FILE"] == files / "audit.jsonl"
    assert settings["PORTAL_AUDIT_SYSLOG"].geturl() == "tcp://logs.example:601"


def test_a_syslog_password_is_not_in_the_refusal(read):
    with pytest.raises(ImproperlyConfigured) as refused:
        read(PORTAL_AUDIT_SYSLOG="tcp://user:hunter2@logs.example:601")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("pool", "fits"), [("0", True), ("1", False), ("3", False), ("4", True), ("101", False)]
)
def test_a_pool_has_room_for_what_goes_on_beside_the_requests(read, pool, fits):
    settings = {"DATABASE_URL": "postgres://user@host/name", "PORTAL_DATABASE_POOL": pool}
    if fits:
        assert read(**settings)["PORTAL_DATABASE_POOL"] == int(pool)
        return
    with pytest.raises(ImproperlyConfigured, match="PORTAL_DATABASE_POOL"):
        read(**settings)


@pytest.mark.parametrize("url", ["smtp://user:hunter2@host:port", "mail://user:hunter2@host"])
def test_a_mail_password_is_not_in_the_refusal(read, url):
    with pytest.raises(ImproperlyConfigured) as refused:
        read(EMAIL_URL=url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp+tls://user:p%40ss@mail.example", 587, True, False),
        ("smtp+ssl://user:p%40ss@mail.example", 465, False, True),
        ("smtp+tls://user:p%40ss@mail.example:2525", 2525, True, False),
    ],
)
def test_a_mail_server_is_one_url(read, url, port, tls, ssl):
    settings = read(EMAIL_URL=url, PORTAL_NOTICE_MAIL="ada@example.com, grace@example.com")
    assert settings["EMAIL_HOST"] == "mail.example"
    assert settings["EMAIL_PORT"] == port
    assert bool(settings.get("EMAIL_USE_TLS")) is tls
    assert bool(settings.get("EMAIL_USE_SSL")) is ssl
    assert settings["EMAIL_HOST_PASSWORD"] == ("p@ss" if "@mail" in url else None)
    assert settings["EMAIL_TIMEOUT"] > 0
    assert settings["PORTAL_NOTICE_MAIL"] == ["ada@example.com", "grace@example.com"]
    assert settings["PORTAL_MAIL_IS_SET_UP"]


def test_without_a_word_on_mail_none_is_sent(read):
    settings = read()
    assert not settings["PORTAL_MAIL_IS_SET_UP"]
    assert settings["EMAIL_BACKEND"] == "django.core.mail.backends.dummy.EmailBackend"
    assert not read(EMAIL_URL="smtp://mail.example")["PORTAL_MAIL_IS_SET_UP"]


def test_secrets_that_are_not_given_are_made_once(read):
    first, second = read(), read()
    for name in ("SECRET_KEY", "PORTAL_KEY_PASSPHRASE"):
        assert len(first[name]) >= 50
        assert first[name] == second[name]
    assert first["SECRET_KEY"] != first["PORTAL_KEY_PASSPHRASE"]
    assert first["PORTAL_PASSPHRASE_IS_GENERATED"]


def test_made_secrets_are_for_their_owner_alone(read, tmp_path):
    read()
    made = list((tmp_path / "data" / "secrets").iterdir())
    assert {path.name for path in made} == {"secret-key", "key-passphrase"}
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}


def test_secrets_that_are_given_are_not_written_down(read, tmp_path):
    given = read(SECRET_KEY="s" * 50, PORTAL_KEY_PASSPHRASE="p" * 30)
    assert (given["SECRET_KEY"], given["PORTAL_KEY_PASSPHRASE"]) == ("s" * 50, "p" * 30)
    assert not given["PORTAL_PASSPHRASE_IS_GENERATED"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_passphrase_file_goes_before_a_passphrase(read, tmp_path):
    file = tmp_path / "passphrase"
    file.write_text("from the file, and long enough\n")
    given = read(PORTAL_KEY_PASSPHRASE_FILE=str(file), PORTAL_KEY_PASSPHRASE="from the environment")
    assert given["PORTAL_KEY_PASSPHRASE"] == "from the file, and long enough"


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ("ca.example,10.0.0.5", "http://ca.example:8080"),
        ("10.0.0.5", "http://10.0.0.5:8080"),
        # RFC 3986 3.2.2: an IPv6 address stands in brackets.
        ("::1", "http://[::1]:8080"),
    ],
)
def test_the_status_url_follows_the_first_hostname(read, hosts, url):
    assert read(PORTAL_HOSTNAMES=hosts)["PORTAL_STATUS_URL"] == url


@pytest.mark.parametrize(
    ("hosts", "domain"),
    [
        ("ca.example,10.0.0.5", "ca.example"),
        ("CA.Example", "ca.example"),
        ("::1,ca.example", "ca.example"),
        ("*.ca.example,10.0.0.5", "10.0.0.5"),
        ("::1", "hatchery"),
    ],
)
def test_the_trust_domain_follows_the_first_hostname_that_can_be_one(read, hosts, domain):
    assert read(PORTAL_HOSTNAMES=hosts)["PORTAL_TRUST_DOMAIN"] == domain
    assert read(PORTAL_HOSTNAMES=hosts, PORTAL_TRUST_DOMAIN="x.example")["PORTAL_TRUST_DOMAIN"] == "x.example"


def test_without_a_word_on_proxies_there_are_none(read):
    settings = read()
    assert (settings["PORTAL_PROXIES"], settings["PORTAL_PROXY_DEVICES"]) == ((), [])
    assert settings["PORTAL_SECURE_PROXY"] == "off"


@pytest.mark.parametrize(
    ("hosts", "remembered"), [("localhost", False), ("ca.example,::1", False), ("ca.example", True)]
)
def test_browsers_are_told_to_remember_tls_unless_the_host_is_this_machine(read, hosts, remembered):
    assert (read(PORTAL_HOSTNAMES=hosts)["SECURE_HSTS_SECONDS"] > 0) is remembered


# --- Judged by the system checks ------------------------------------------------------------------

WRONG = [
    ("PORTAL_LISTENERS", ["hello", "nonsense"], "portal.E001"),
    ("PORTAL_LISTENERS", ["Hello"], "portal.E001"),
    ("PORTAL_PORT_SECURE", 8443, "portal.E002"),
    ("PORTAL_LISTENERS", [], "portal.E003"),
    ("PORTAL_WEBHOOK_CA_FILE", "/nowhere/ca.pem", "portal.E032"),
    ("PORTAL_WEBHOOK_CA_FILE", "/dev/null", "portal.E032"),
    ("PORTAL_HOSTNAMES", ["localhost", "not a host"], "portal.E004"),
    ("PORTAL_HOSTNAMES", ["localhost", ""], "portal.E004"),
    ("PORTAL_HOSTNAMES", ["https://ca.example"], "portal.E004"),
    ("PORTAL_HOSTNAMES", ["ca.example:8443"], "portal.E004"),
    ("PORTAL_HOSTNAMES", ["h" * 64], "portal.E004"),
    ("PORTAL_BIND_HOST", "localhost", "portal.E005"),
    ("PORTAL_BIND_HOST", "", "portal.E005"),
    ("PORTAL_METRICS_HOST", "localhost", "portal.E040"),
    # Not that of the other listeners, which may be open to the world.
    ("PORTAL_METRICS_HOST", "", "portal.E040"),
    ("PORTAL_PORT_METRICS", 8080, "portal.E002"),
    ("PORTAL_STATUS_URL", "https://status.example", "portal.E006"),
    ("PORTAL_STATUS_URL", "status.example:8080", "portal.E006"),
    ("PORTAL_STATUS_URL", "", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://status.example/?a=b", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://status.example/#a", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://[::1", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://status.example:99999", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://status.example:port", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://status example", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://user:secret@status.example", "portal.E006"),
    ("PORTAL_STATUS_URL", "http://user@status.example:8080", "portal.E006"),
    # A URI in a certificate is ASCII (RFC 5280 4.2.1.6, an IA5String).
    ("PORTAL_STATUS_URL", "http://stätus.example", "portal.E006"),
    ("PORTAL_SECURE_PROXY", "http", "portal.E011"),
    ("PORTAL_SECURE_PROXY", "tls", "portal.E011"),
    ("PORTAL_SECURE_PROXY", "mutual", "portal.E012"),
    ("PORTAL_PROXY_DEVICES", ["edge-1", "an edge"], "portal.E014"),
    ("PORTAL_PROXY_DEVICES", ["edge-1"], "portal.E016"),
    ("PORTAL_TRUST_DOMAIN", "", "portal.E015"),
    ("PORTAL_TRUST_DOMAIN", "Devices.example", "portal.E015"),
    ("PORTAL_TRUST_DOMAIN", "devices.example/device", "portal.E015"),
    ("PORTAL_TRUST_DOMAIN", "devices.example:8443", "portal.E015"),
    ("PORTAL_TRUST_DOMAIN", "[::1]", "portal.E015"),
    ("PORTAL_TRUST_DOMAIN", "d" * 256, "portal.E015"),
    ("PORTAL_KEY_PASSPHRASE", "too short", "portal.E007"),
    ("PORTAL_KEY_PASSPHRASE", "", "portal.E007"),
]


def named(setting: str) -> str:
    return "PORTAL_PORT" if setting.startswith("PORTAL_PORT") else setting


@pytest.mark.parametrize(
    ("name", "value", "identifier"), WRONG, ids=[f"{name}={value!r}" for name, value, _ in WRONG]
)
def test_a_wrong_setting_is_found_by_a_check_that_names_it(settings, name, value, identifier):
    assert identifier not in {message.id for message in checks.run_checks()}
    setattr(settings, name, value)
    found = [message for message in checks.run_checks() if message.id == identifier]
    assert found
    assert found[0].level >= checks.ERROR
    assert named(name) in f"{found[0].msg} {found[0].hint}"
    with pytest.raises(start.CannotStart, match=named(name)) as refused:
        start.check()
    assert len(str(refused.value).splitlines()) == 1


def test_an_address_is_a_balancer_or_a_proxy_and_not_both(settings):
    settings.PORTAL_PROXIES = proxies.parse("nginx@10.0.0.5")
    settings.PORTAL_BALANCERS = proxies.balancers("10.0.0.7,fd00::/64")
    start.check()
    settings.PORTAL_BALANCERS = proxies.balancers("10.0.0.0/24")
    with pytest.raises(start.CannotStart, match=r"portal\.E017") as refused:
        start.check()
    assert "PORTAL_BALANCERS" in str(refused.value)
    assert "PORTAL_PROXIES" in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "devices", "identifier"),
    [("http", ["edge-1"], "portal.E013"), ("tls", ["edge-1"], "portal.E013"), ("mutual", [], "portal.E012")],
)
def test_how_proxies_come_and_what_they_must_show_fit_together(settings, mode, devices, identifier):
    settings.PORTAL_PROXIES = proxies.parse("nginx@10.0.0.5")
    settings.PORTAL_SECURE_PROXY, settings.PORTAL_PROXY_DEVICES = mode, devices
    with pytest.raises(start.CannotStart, match=identifier) as refused:
        start.check()
    assert "PORTAL_SECURE_PROXY" in str(refused.value)
    assert "PORTAL_PROXY_DEVICES" in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "devices"),
    [("off", []), ("off", ["edge-1"]), ("http", []), ("tls", []), ("mutual", ["edge-1", "edge-2"])],
)
def test_each_way_for_proxies_to_come_can_be_set(settings, mode, devices):
    settings.PORTAL_PROXIES = proxies.parse("nginx@10.0.0.5")
    settings.PORTAL_SECURE_PROXY, settings.PORTAL_PROXY_DEVICES = mode, devices
    start.check()


def test_a_listener_that_is_named_twice_is_found(settings):
    """It would be bound twice, and the second time find its port taken by itself."""
    settings.PORTAL_LISTENERS = ["hello", "hello"]
    with pytest.raises(start.CannotStart, match="PORTAL_LISTENERS"):
        start.check()


def test_a_passphrase_longer_than_openssl_takes_is_found(settings):
    """OpenSSL takes 1,023 bytes; more would stop a bootstrap with a traceback."""
    settings.PORTAL_KEY_PASSPHRASE = "p" * 1024
    with pytest.raises(start.CannotStart, match="PORTAL_KEY_PASSPHRASE"):
        start.check()


RIGHT = [
    ("PORTAL_LISTENERS", ["status"]),
    ("PORTAL_HOSTNAMES", ["ca.example", "10.0.0.5", "2001:db8::1"]),
    ("PORTAL_BIND_HOST", "0.0.0.0"),  # noqa: S104  a setting that is judged, not used
    ("PORTAL_BIND_HOST", "::"),
    ("PORTAL_STATUS_URL", "http://status.example"),
    ("PORTAL_STATUS_URL", "http://[2001:db8::1]:8080"),
    ("PORTAL_STATUS_URL", "http://status.example/pki"),
    ("PORTAL_PROXIES", proxies.parse("nginx@10.0.0.5,envoy@10.0.0.6,nginx@10.0.0.0/30,rfc9440@fd00::5")),
    ("PORTAL_TRUST_DOMAIN", "devices.example"),
    ("PORTAL_KEY_PASSPHRASE", "as long as can be asked of it"),
]


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=[f"{name}={value!r}" for name, value in RIGHT])
def test_a_right_setting_passes(settings, name, value):
    setattr(settings, name, value)
    start.check()


# --- Judged by trying -----------------------------------------------------------------------------


@pytest.fixture
def ports(settings):
    """Free ports for all listeners."""
    names = ("HELLO", "SECURE", "PROVISIONING", "CONSOLE", "STATUS")
    for name, port in zip(names, free_ports(len(names)), strict=True):
        setattr(settings, f"PORTAL_PORT_{name}", port)
    return settings


def test_free_ports_pass(ports):
    start.check_ports()


@pytest.mark.parametrize("name", ["HELLO", "STATUS"])
def test_a_port_that_is_taken_is_named_with_the_setting_that_moves_it(ports, name):
    with socket.socket() as other:
        other.bind(("127.0.0.1", getattr(ports, f"PORTAL_PORT_{name}")))
        other.listen()
        with pytest.raises(start.CannotStart) as refused:
            start.check_ports()
    assert str(getattr(ports, f"PORTAL_PORT_{name}")) in str(refused.value)
    assert f"PORTAL_PORT_{name}" in str(refused.value)


def test_the_port_of_a_listener_that_is_served_elsewhere_may_be_taken(ports):
    ports.PORTAL_LISTENERS = ["secure"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.PORTAL_PORT_HELLO))
        other.listen()
        start.check_ports()


def test_an_address_of_another_machine_is_named(ports):
    ports.PORTAL_BIND_HOST = "192.0.2.1"  # RFC 5737: nobody's
    with pytest.raises(start.CannotStart, match="PORTAL_BIND_HOST"):
        start.check_ports()


@pytest.mark.django_db
def test_a_database_that_is_migrated_passes():
    start.check_database()


@pytest.mark.parametrize(
    "message",
    ["unable to open database file", "connection failed: refused\n\tIs the server running?\n", "gone."],
)
def test_a_database_that_can_not_be_used_is_told_in_one_sentence(message):
    told = complaints.reason(DatabaseError(message))
    assert len(told.splitlines()) == 1
    assert "DATABASE_URL" in told
    assert told.endswith(".")
    assert not told.endswith("..")


# --- For production -------------------------------------------------------------------------------


def deploy_warnings():
    return {message.id for message in checks.run_checks(include_deployment_checks=True)}


def test_a_passphrase_beside_the_keys_is_a_warning_for_production(settings):
    settings.PORTAL_PASSPHRASE_IS_GENERATED = True
    assert "portal.W001" in deploy_warnings()
    settings.PORTAL_PASSPHRASE_IS_GENERATED = False
    assert "portal.W001" not in deploy_warnings()


def test_a_password_in_the_status_url_is_not_repeated(settings):
    settings.PORTAL_STATUS_URL = "http://user:secret@status.example"
    with pytest.raises(start.CannotStart, match="PORTAL_STATUS_URL") as refused:
        start.check()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("seconds", "warned"), [(0, False), (5, False), (6, True), (86400, True)])
def test_caches_that_may_be_stale_for_long_are_warned_of_before_a_deployment(settings, seconds, warned):
    settings.PORTAL_STATUS_MAX_AGE = seconds
    assert ("portal.W002" in deploy_warnings()) is warned


def test_a_proxys_name_that_is_no_devices_is_said_in_one_line(ca, settings, now, caplog):
    registered("edge-1", now)
    settings.PORTAL_PROXY_DEVICES = ["edge-1"]
    warn_of_unknown_devices()
    assert not caplog.records
    settings.PORTAL_PROXY_DEVICES = ["edge-1", "edge-2", "egde-3"]
    warn_of_unknown_devices()
    (line,) = caplog.records
    assert (line.levelname, "edge-2, egde-3" in line.message, "edge-1" in line.message) == (
        "WARNING",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("PORTAL_NOTICE_MAIL", ["ada@example.com", "nobody"], "portal.E030"),
        ("PORTAL_NOTICE_MAIL", ["ada@example.com\nBcc: eve@example.com"], "portal.E030"),
        ("PORTAL_NOTICE_FROM", "hatchery@10.0.0.5", "portal.E031"),
    ],
)
def test_an_address_that_is_none_is_found_before_it_is_mailed_to(settings, name, value, number):
    settings.PORTAL_MAIL_IS_SET_UP = True
    setattr(settings, name, value)
    assert number in [message.id for message in checks.run_checks()]


def test_the_metrics_port_is_not_served_by_its_name_alone(settings):
    settings.PORTAL_PORT_METRICS = 9464
    settings.PORTAL_LISTENERS = ["metrics"]
    (said,) = [each for each in checks.run_checks(tags=["hatchery"]) if each.id == "portal.E001"]
    assert "metrics" not in said.hint
