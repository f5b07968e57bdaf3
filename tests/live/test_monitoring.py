"""A running server that is watched: counters through kill -9 and reload, health with no thread free, and the
rules and the dashboard of `monitoring/` against what it really tells.
"""

import fcntl
import json
import os
import re
import signal
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.clients import needs, run
from tests.live.alerts import COME, moved, rule_tests
from tests.live.devices import Device
from tests.live.pages import page, walk
from tests.server import ROOT, Server, free_ports, seen_within

MONITORING = ROOT / "monitoring"
RULES, DASHBOARD = MONITORING / "hatchery-alerts.yml", MONITORING / "hatchery-dashboard.json"
SOON = 20.0  # seconds, generous
THREADS = 16  # of the two workers
_NAME = re.compile(r"\bhatchery_[a-z_]+\b")
_LABELS = "kind|code|what|status|deed|reason|endpoint|task|within|state"
_VALUES = re.compile(rf'\b(?:{_LABELS})(?:=|=~|!=|!~)"([^"]+)"')


class Watched(Server):
    """A server with a port for its metrics."""

    def __post_init__(self):
        super().__post_init__()
        (port,) = free_ports(1)
        self.ports["metrics"] = port
        self.settings |= {
            "PORTAL_BIND_HOST": "0.0.0.0",  # noqa: S104
            "PORTAL_LOG_FORMAT": "json",
            "PORTAL_LOG_REQUESTS": "on",
        }

    def scraped(self):
        done = run("curl", "-fsS", "--max-time", "20", f"http://127.0.0.1:{self.ports['metrics']}/metrics")
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def numbers(self):
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.scraped())
            for sample in family.samples
        }

    def number(self, name, **labels):
        return self.numbers()[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    server = Watched(tmp_path_factory.mktemp("watched")).start()
    # Told once maintenance has begun.
    assert seen_within(60, lambda: ("hatchery_audit_checkpoint_timestamp_seconds", ()) in server.numbers())
    yield server
    assert server.stop() == 0, server.output()


def workers(server):
    """The processes that the master has started."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(each) for each in children.split()]


def counted(numbers):
    """What may only grow."""
    return {
        key: value
        for key, value in numbers.items()
        if key[0].endswith(("_total", "_bucket", "_count", "_sum")) and "installation" not in key[0]
    }


def test_what_devices_do_is_counted_whichever_worker_does_it(watched, tmp_path):
    hello = {"listener": "hello", "endpoint": "/hello", "status": "2xx"}
    before = watched.numbers()
    device = Device.enrolled(watched, tmp_path, "watched-1")
    for _ in range(10):
        run("curl", "-sS", "--cacert", "ca.pem", watched.url("hello", "/hello"), cwd=watched.demo)
    run("curl", "-sS", "--cacert", "ca.pem", watched.url("secure", "/secure"), cwd=watched.demo)
    assert device.curl().returncode == 0
    after = watched.numbers()

    def more(name, **labels):
        key = name, tuple(sorted(labels.items()))
        return after[key] - before[key]

    assert more("hatchery_requests_total", **hello) == 10
    assert more("hatchery_handshakes_total", listener="hello") == 10
    assert more("hatchery_handshake_failures_total", listener="secure", reason="no_certificate") == 1
    assert more("hatchery_audit_events_total", kind="certificate.issued") == 1
    assert more("hatchery_requests_total", listener="secure", endpoint="/secure", status="2xx") == 1


def test_what_is_measured_is_on_its_own_port_and_at_home_only(watched):
    """Though all else is open to every network."""
    assert watched.environment["PORTAL_BIND_HOST"] == "0.0.0.0"  # noqa: S104
    inode = f":{watched.ports['metrics']:04X} "
    sockets = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if inode in line]
    listening = {each.partition(":")[0] for each in sockets}
    assert listening == {"0100007F"}, "127.0.0.1 alone"
    assert run("curl", "-sS", watched.url("status", "/metrics")).stdout.count(b"not_found") == 1


def test_the_lines_of_the_page_print_what_it_says(watched):
    walk(watched, page("monitoring.md").replace("9464", str(watched.ports["metrics"])))


def test_a_worker_that_is_killed_takes_nothing_along(watched):
    before = watched.numbers()
    for _ in range(3):
        victim = workers(watched)[0]
        os.kill(victim, signal.SIGKILL)
        assert seen_within(SOON, lambda victim=victim: victim not in workers(watched))
        assert seen_within(SOON, lambda: len(workers(watched)) == 2)
    assert seen_within(SOON, lambda: watched.number("hatchery_workers") == 2)
    after = watched.numbers()
    assert after.keys() >= before.keys()  # a task of maintenance may have run for the first time
    assert {name for name, _ in after} == {name for name, _ in before}
    was = counted(before)
    assert not {key for key, value in counted(after).items() if value < was.get(key, 0)}
    assert watched.number("hatchery_worker_starts_total") == before["hatchery_worker_starts_total", ()] + 3


def test_a_reload_takes_nothing_along(watched):
    before, old = watched.numbers(), set(workers(watched))
    watched.process.send_signal(signal.SIGHUP)
    assert seen_within(SOON, lambda: len(now := set(workers(watched))) == 2 and not now & old)
    assert seen_within(SOON, lambda: watched.number("hatchery_workers") == 2)
    was = counted(before)
    assert not {key for key, value in counted(watched.numbers()).items() if value < was.get(key, 0)}


def test_gunicorns_own_lines_are_json_as_well(watched):
    """It says so when a worker was killed."""
    os.kill(workers(watched)[0], signal.SIGKILL)
    assert watched.logs("SIGKILL")
    assert seen_within(SOON, lambda: watched.number("hatchery_workers") == 2)
    lines = [line for line in watched.output().splitlines() if "SIGKILL" in line]
    assert {json.loads(line)["logger"] for line in lines} == {"gunicorn.error"}


def test_every_line_is_json_from_the_first_start_on_and_has_no_password_or_token(watched):
    said = watched.output()
    assert {type(json.loads(line)) for line in said.splitlines()} == {dict}
    password = (watched.data / "secrets" / "admin-password").read_text().strip()
    token = (watched.demo / "token").read_text().strip()
    assert (password in said, token in said, "hatch_" in said) == (False, False, False)


def test_nothing_is_left_on_a_disk(watched):
    """It counts in memory that has no name: there is nothing to clean up, and no disk that can be full."""
    for process in [watched.process.pid, *workers(watched)]:
        mapped = Path(f"/proc/{process}/maps").read_text()
        assert not re.findall(r"rw-s .* (/\S+\.db)$", mapped, re.M)


def test_health_and_numbers_are_told_and_hands_shaken_while_no_thread_is_free(watched):
    """All threads wait for the database's lock, as they would for one that hangs; and who waited longest for
    a thread was not answered quickest.
    """
    where = {"listener": "provisioning", "endpoint": "/sign-csr"}
    quick = ("hatchery_request_duration_seconds_bucket", tuple(sorted((where | {"le": "1.0"}).items())))
    before = watched.numbers()[quick]
    request = b"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nnonsense"
    context = ssl.create_default_context(cafile=str(watched.demo / "ca.pem"))
    with ExitStack() as stack, (watched.data / "db.sqlite3.lock").open("a") as lock:
        clients = [stack.enter_context(_client(watched, context)) for _ in range(3 * THREADS)]
        fcntl.flock(lock, fcntl.LOCK_EX)
        for client in clients:
            client.sendall(request)
        assert seen_within(SOON, lambda: watched.number("hatchery_requests_in_hand") == len(clients))
        time.sleep(1.5)  # longer than what the histogram is asked for
        ready = ("curl", "-s", "--max-time", "5", watched.url("status", "/readyz"))
        for _ in range(20):
            done = run("curl", "-fsS", "--max-time", "5", watched.url("status", "/healthz"))
            assert (done.returncode, done.stdout) == (0, b'{"status": "ok"}')
            assert run(*ready).stdout.startswith(b'{"status": "ready"')
        with _client(watched, context) as late:
            assert late.version() == "TLSv1.3"
        fcntl.flock(lock, fcntl.LOCK_UN)
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 400"
    assert watched.numbers()[quick] == before


def _client(server, context):
    raw = socket.create_connection(("127.0.0.1", server.ports["provisioning"]), timeout=20)
    return context.wrap_socket(raw, server_hostname="localhost")


HEALTHZ, HOST, CLOSE = b"GET /healthz HTTP/1.1\r\n", b"Host: localhost\r\n", b"Connection: close\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        HEALTHZ + HOST + b"\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz?x=1 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
        b"HEAD /healthz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
        b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
        HEALTHZ + HOST + b"Content-Length: 2\r\n" + CLOSE + b"\r\nab",
        HEALTHZ + HOST + b"\r\n" + HEALTHZ + HOST + CLOSE + b"\r\n",
        HEALTHZ + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ],
)
def test_however_health_is_asked_for_there_is_one_whole_answer(watched, request_):
    """In pieces too: what the worker answers by itself, and what a thread does."""
    for size in (len(request_), 7):
        with socket.create_connection(("127.0.0.1", watched.ports["status"]), timeout=20) as raw:
            for start in range(0, len(request_), size):
                raw.sendall(request_[start : start + size])
                time.sleep(0.002)
            answer = b"".join(iter(lambda raw=raw: raw.recv(4096), b""))
        assert re.match(rb"HTTP/1\.[01] (200|400|405|505) ", answer), answer
        assert b"500 " not in answer


def test_a_device_that_was_refused_is_found_in_the_log_by_its_answer(watched):
    done = run("curl", "-sSi", "--cacert", "ca.pem", watched.url("hello", "/nowhere"), cwd=watched.demo)
    name = re.search(rb"^X-Request-Id: ([0-9a-f]{16})\r$", done.stdout, re.M | re.I)[1].decode()
    assert watched.logs(name)
    (line,) = [json.loads(each) for each in watched.output().splitlines() if name in each]
    assert (line["listener"], line["status"], line["code"]) == ("hello", 404, "not_found")


def test_a_request_that_never_reached_django_has_a_name_too(watched):
    with socket.create_connection(("127.0.0.1", watched.ports["status"]), timeout=20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    name = re.search(rb"X-Request-Id: ([0-9a-f]{16})", answer)[1].decode()
    assert watched.logs(name)


def test_a_head_that_is_too_large_has_a_name_and_a_line(watched):
    with socket.create_connection(("127.0.0.1", watched.ports["status"]), timeout=20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 431 ")
    name = re.search(rb"X-Request-Id: ([0-9a-f]{16})", answer)[1].decode()
    told = {"listener": "status", "status": 431, "code": "head_too_large", "address": "127.0.0.1"}
    assert watched.logs(name)
    lines = [json.loads(each) for each in watched.output().splitlines() if name in each]
    assert any(told.items() <= line.items() for line in lines), lines


def test_who_does_not_send_its_request_is_counted(watched):
    late = {"listener": "status", "late": "request"}
    before = watched.number("hatchery_connections_cut_off_total", **late)
    with socket.create_connection(("127.0.0.1", watched.ports["status"]), timeout=60) as raw:
        raw.sendall(b"GET /readyz HTTP/1.1\r\nHost: loc")
        assert raw.recv(1) == b""
    assert seen_within(
        SOON, lambda: watched.number("hatchery_connections_cut_off_total", **late) == before + 1
    )


# --- What lies in monitoring/ ---------------------------------------------------------------------


def expressions():
    """Every expression of the rules and the dashboard, by where it stands."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"] if panel["type"] != "row" else ():
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        yield variable["name"], variable.get("definition", "")


def test_every_metric_that_rules_and_dashboard_name_is_told(watched):
    told = {name for name, _ in watched.numbers()}
    # PostgreSQL's alone.
    told |= set(re.findall(r"^# TYPE (\S+)", watched.scraped(), re.M))
    named = {name for _, expression in expressions() for name in _NAME.findall(expression)}
    assert len(named) > 15
    assert named <= told, named - told


def test_every_value_of_a_label_that_they_name_is_told(watched):
    """A kind or a code that is renamed would leave an alert that never comes."""
    told = {value for _, labels in watched.numbers() for _, value in labels}
    for where, expression in expressions():
        for values in _VALUES.findall(expression):
            for value in values.split("|"):
                # A responder is made when somebody asks for the first time.
                assert re.sub(r"\[(.)\]", r"\1", value) in told | {"ocsp_responder"}, (where, value)


def test_promtool_finds_no_fault(watched, tmp_path):
    promtool = needs("promtool", package="prometheus")
    for command in (("check", "rules", str(RULES)), ("test", "rules", str(rule_tests(RULES, tmp_path)))):
        done = run(promtool, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "metrics").write_text(watched.scraped())
    done = run("sh", "-c", f"{promtool} check metrics < {tmp_path / 'metrics'}")
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_every_alert_has_a_case_in_which_it_comes():
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == COME.keys()


def test_no_alert_comes_of_a_server_that_does_well(watched, tmp_path):
    """What it really tells, for two hours."""
    promtool = needs("promtool", package="prometheus")
    # A test before this one may have had all threads wait.
    assert seen_within(SOON, lambda: watched.number("hatchery_requests_in_hand") <= 1)
    series = [
        {"series": line.rpartition(" ")[0], "values": f"{float(line.rpartition(' ')[2]):f}+0x120"}
        for line in watched.scraped().splitlines()
        if not line.startswith("#") and float(line.rpartition(" ")[2]) != 0
    ]
    now = time.time()
    series = [moved(each, now) for each in series]
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    case = {
        "interval": "1m",
        "input_series": [*series, {"series": 'up{job="hatchery"}', "values": "1+0x120"}],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}"}}) or vector(0)',
                "eval_time": "2h",
                "exp_samples": [{"labels": "{}", "value": 0}],
            }
            for alert in alerts
        ],
    }
    path = tmp_path / "well.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]})
    )
    done = run(promtool, "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
