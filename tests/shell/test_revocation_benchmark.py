"""`make bench-revocation`: it measures on a real server, and it notices when the bound is broken."""

import os
import subprocess
import sys

import pytest

from benchmarks.asking import Poll
from benchmarks.revocation import Seen
from tests.server import ROOT

CLICKED, ANSWERED = 100.0, 100.5  # seconds


def polls(*rows):
    """Questions and answers: when asked, when answered, whether the certificate was called good."""
    return [Poll(sent, answered, good) for sent, answered, good in rows]


def test_what_is_asked_after_the_answer_must_be_refused():
    seen = Seen(bound=0.0)
    seen.add(
        polls((100.1, 100.2, True), (100.3, 100.4, False), (100.6, 100.7, True), (100.8, 100.9, False)),
        CLICKED,
        ANSWERED,
    )
    assert (seen.wrong, seen.late) == (1, 2)
    assert seen.from_click == [pytest.approx(0.4)], "the first refusal may come before the answer"
    assert seen.from_answer == [pytest.approx(0.4)]


def test_what_is_under_way_when_the_answer_comes_may_be_served():
    seen = Seen(bound=0.0)
    seen.add(polls((100.4, 100.6, True), (100.6, 100.7, False)), CLICKED, ANSWERED)
    assert (seen.wrong, seen.late) == (0, 1)


@pytest.mark.parametrize(("listed_at", "wrong"), [(105.4, 0), (105.7, 1)])
def test_a_list_has_its_time_and_no_more(listed_at, wrong):
    seen = Seen(bound=5.0)
    asked = [(at / 10, at / 10 + 0.05, at / 10 < listed_at) for at in range(1001, 1070)]
    seen.add(polls(*asked), CLICKED, ANSWERED)
    assert (seen.wrong, seen.late) == (wrong, 1), "counted by revocations"


def test_it_measures_each_way_of_asking_on_a_real_server():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.revocation",
            "--revocations",
            "1",
            "--clients",
            "1",
            "--only",
            "sqlite",
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("SQLite")]
    ways = ("new connection", "kept alive", "resumed session", "OCSP", "CRL")
    assert [line[20:36].strip() for line in lines] == [*ways, *ways]
    assert all(" 0 of " in line for line in lines)
