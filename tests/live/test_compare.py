"""`make bench`: what it says was asked was asked, on the connections that it says, and a failure is told."""

import json
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from benchmarks.compare import accounts, hatchery, loading, settling
from benchmarks.compare.loading import LoadFailed, Way
from benchmarks.compare.measuring import Cell, Meter
from benchmarks.compare.served import CONNECTIONS, OPERATIONS, Served
from tests.clients import needs, run
from tests.server import Server, seen_within

CLIENTS, OPERATED = 2, 3
SOON = 10.0  # seconds, generous


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    needs("go", package="golang-go")
    return loading.build(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("compared"), {"PORTAL_LOG_REQUESTS": "on"}).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="module")
def served(server):
    fresh = hatchery.Fresh(server)
    jobs = hatchery.jobs(server, fresh)
    yield Served("Hatchery", lambda: accounts.with_children(server.process.pid), jobs, plain=hatchery.STATUS)
    fresh.end()


def loaded(program, job, way):
    with loading.ready(program, job, way) as go:
        return go()


def answers(server, at_least=0):
    """How many the log has, once there are so many: it is written after the answer is sent."""
    seen_within(SOON, lambda: server.output().count(" status=200 ") >= at_least)
    return server.output().count(" status=200 ")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_done_as_often_as_it_is_asked_for_on_each_kind_of_connection(
    server, served, program, operation
):
    for connections in filter(lambda each: served.can(operation, each), CONNECTIONS):
        before, issued = answers(server), len(server.events("certificate.issued"))
        way = Way(connections, CLIENTS, OPERATED, warm_up=1)
        job = served.jobs[operation](way.requests)
        seen = loaded(program, job, way)
        assert (seen.failures, seen.operations) == (0, OPERATED)
        assert seen.connections == (0 if connections == "kept" else OPERATED)
        assert seen.resumed == (OPERATED if connections == "resumed" else 0)
        primed = way.requests if job.prime and connections != "new" else 0
        asked = OPERATED + CLIENTS + primed
        assert answers(server, at_least=before + asked) == before + asked
        signed = way.requests if operation in ("sign-csr", "renew") else 0
        assert len(server.events("certificate.issued")) == issued + signed


def test_another_answer_than_the_one_that_is_expected_is_a_failure_and_an_error(served, program, tmp_path):
    job, way = replace(served.jobs["hello"](1), expect=201), Way("new", CLIENTS, OPERATED, warm_up=0)
    with loading.ready(program, job, way) as go:
        seen = go()
    assert (seen.failures, seen.operations) == (OPERATED, 0)
    assert [(failure[:4], times) for failure, times in seen.failed.items()] == [("200:", OPERATED)]
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"url": job.url, "ca": str(job.ca), "operations": 1, "expect": 201}))
    done = run(program, path)
    assert done.returncode == 1
    assert b'"failures":1' in done.stdout


def test_a_token_that_was_used_is_no_success(served, program):
    """Requests that are sent twice are not what a benchmark of enrollments may measure."""
    job = served.jobs["sign-csr"](2)
    first, second = job.requests
    stolen = replace(second, headers=first.headers)
    seen = loaded(program, replace(job, requests=(first, stolen)), Way("new", 1, 2, warm_up=0))
    assert (seen.operations, seen.failures) == (1, 1)
    assert "token_invalid" in next(iter(seen.failed))


def test_too_few_requests_are_said_before_anything_is_measured(served, program):
    with (
        pytest.raises(LoadFailed, match="has 1 requests, and 3 are needed"),
        loading.ready(program, served.jobs["sign-csr"](1), Way("new", 1, 3, warm_up=0)),
    ):
        pytest.fail("it was ready")


def test_a_handshake_that_is_refused_is_a_failure(served, program):
    nameless = replace(served.jobs["secure"](1), certificate=None, key=None)
    seen = loaded(program, nameless, Way("new", 1, 1, warm_up=0))
    assert (seen.operations, seen.failures) == (0, 1)
    assert "certificate required" in next(iter(seen.failed))


def test_what_resumed_no_session_is_not_called_so(served, program):
    """Over plain HTTP there is none; a server whose tickets fail looks the same."""
    with pytest.raises(LoadFailed, match="0 of 200 sessions were resumed"):
        Meter(program, seconds=0).measure(served, Cell("ocsp", "resumed", 1), 1)


def test_a_process_that_has_ended_still_counts():
    """A worker that is replaced in the middle takes no time away."""
    burns = "import time\nwhile time.process_time() < 0.3: pass"
    parent = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {burns!r}])\n"
        "print(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]), flush=True)\n"
        "sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", parent], stdin=pipe, stdout=pipe, text=True) as process:
        of_the_child = float(process.stdout.readline())
        assert accounts.cpu_seconds([psutil.Process(process.pid)]) >= of_the_child - 0.02
        process.communicate()
    assert of_the_child >= 0.2


def test_nothing_is_measured_of_a_server_that_still_works_for_itself():
    """What maintenance does about a million events is no request's cost."""

    def process(name, code):
        command = [sys.executable, "-c", f"print(flush=True)\n{code}"]
        started = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.stdout.readline()  # its own start is work as well
        return started, Served(name, lambda: accounts.with_children(started.pid), {})

    busy, restless = process("busy", "while True: pass")
    idle, resting = process("idle", "import time\ntime.sleep(60)")
    try:
        (complaint,) = settling.settle([restless, resting], patience=0, looked_at=1.0)
        assert complaint.startswith("busy")
        busy.kill()
        assert settling.settle([resting], looked_at=1.0) == []
    finally:
        for each in (busy, idle):
            each.kill()
            each.communicate()
