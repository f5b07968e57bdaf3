"""`python -m benchmarks.report`: the page says what arithmetic says of the results, and no more."""

import re
from dataclasses import replace

import pytest

from benchmarks import report
from benchmarks.compare import figures, results
from benchmarks.compare.hatchery import POSTGRESQL, SQLITE
from benchmarks.compare.machine import Calibration, Machine
from benchmarks.compare.measuring import Measured
from benchmarks.compare.results import Memory, Results
from tests.clients import run
from tests.server import ROOT


def measured(server, operation, connections, cpu, *, number=1, clients=1, stored=0, database=0.0, p99=9.0):
    return Measured(
        server,
        stored,
        operation,
        connections,
        clients,
        number,
        operations=200,
        cpu_ms=cpu,
        database_cpu_ms=database,
        load_cpu_ms=0.1,
        throughput=1000 / cpu,
        p50_ms=cpu,
        p99_ms=p99,
        opened=200,
        resumed=0,
    )


@pytest.fixture
def found():
    """Three rounds, of which the last was on a slower machine."""
    rows = [
        measured(server, "sign-csr", "new", cpu, number=number)
        for server, costs in ((SQLITE, (1.0, 1.5, 4.0)), (report.REFERENCE, (0.5, 0.5, 1.0)))
        for number, cpu in enumerate(costs, start=1)
    ]
    rows += [measured(POSTGRESQL, "sign-csr", "new", 2.0, database=1.0)]
    rows += [
        measured(POSTGRESQL, "secure", "kept", cpu, database=cpu, clients=8, stored=stored)
        for stored, cpu in ((10_000, 0.5), (1_000_000, 0.625))
    ]
    return Results(
        "2026-11-22T10:00:00+00:00",
        Machine("A processor", 2, 8.0, "6.1", "3.11.2", "OpenSSL 3.0.1"),
        [Calibration("2026-11-22T10:00:00+00:00", load, 40_000 * load, 50.0) for load in (0.5, 1.0)],
        rows,
        [Memory(SQLITE, 0, "after", 251.0, 0.0), Memory(POSTGRESQL, 0, "after", 120.0, 80.0)],
        {"cfssl": "it is not installed"},
    )


def rows(found):
    """The tables' rows, as lists of cells."""
    lines = "\n".join(report.markdown(found)).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_costs_are_medians_of_the_rounds_beside_how_many_times_those_of_go(found):
    assert ["`POST /sign-csr`", "new", "1.50 (3.0)", "2.00 + 1.00 (6.0)"] in rows(found)


def test_others_stand_beside_hatchery_in_what_both_can_do(found):
    told = [row for row in rows(found) if "/s, p99" in row[-1]]
    assert told == [
        [SQLITE, "1.50 (3.0)<br>667/s, p99 9.0 ms"],
        [report.REFERENCE, "0.50<br>2,000/s, p99 9.0 ms"],
        [POSTGRESQL, "2.00 + 1.00 (6.0)<br>500/s, p99 9.0 ms"],
    ]


def test_the_growth_to_a_million_counts_the_database_too(found):
    assert [POSTGRESQL, "`GET /secure`", "kept", "0.50 + 0.50", "0.62 + 0.62", "1.25"] in rows(found)


def test_an_aim_is_met_or_not(found):
    told = {row[0]: row[1:] for row in rows(found) if row[-1] in ("yes", "**no**")}
    assert told["sign-csr, new, CPU"] == ["1.9 ms", "1.50", "yes"]
    assert told[f"memory, {SQLITE}"] == ["250 MB", "251.00", "**no**"]
    assert told[f"memory, {POSTGRESQL}"] == ["250 MB", "120.00", "yes"], "of the server, not of its database"
    (grown,) = (row for what, row in told.items() if "1,000,000" in what)
    assert grown == ["1.2 times", "1.25", "**no**"]


def test_the_worst_p99_of_eight_clients_is_what_its_aim_is_about(found):
    found.measured += [
        measured(SQLITE, operation, "new", 1.0, clients=8, p99=p99)
        for operation, p99 in (("hello", 3.0), ("renew", 61.0), ("crl", 5.0))
    ]
    (told,) = (aim for aim in figures.aims(found, figures.put_together(found.measured)) if "p99" in aim.what)
    assert (told.is_, told.met) == (61.0, False)
    assert told.what.endswith("worst: renew, new")


def test_the_page_names_the_day_the_machine_its_speed_and_who_was_left_out(found):
    text = "\n".join(report.markdown(found))
    assert "2026-11-22: A processor, 2 cores, 8 GB" in text
    assert "20,000 to 40,000 ECDSA P-256 signatures a second" in text
    assert "Left out: cfssl (it is not installed)" in text


def test_what_failed_is_told_in_the_table_and_as_an_error(found, tmp_path):
    failing = replace(found.measured[0], failures=3, failed={"503: come back later": 3})
    found.measured[0] = failing
    assert "3 failed" in "\n".join(report.markdown(found))
    found.not_measured.append("nginx, hello, resumed: no session was resumed")
    results.write(found, tmp_path / "bench.json")
    done = run(report.sys.executable, "-m", "benchmarks.report", tmp_path / "bench.json", cwd=ROOT)
    assert done.returncode == 1
    assert b"503: come back later" in done.stderr
    assert b"no session was resumed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_results_are_read_as_they_were_written(found, tmp_path):
    results.write(found, tmp_path / "20261122-100000.json")
    results.write(replace(found, measured=[]), tmp_path / "20261121-100000.json")
    assert results.read(results.newest(tmp_path)) == found


def test_only_what_is_between_the_marks_of_the_page_changes():
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.between_marks(page, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(SystemExit):
        report.between_marks("no marks", "new")
    assert report.between_marks((ROOT / report.PAGE).read_text(), "new")


def test_a_bar_is_as_long_as_its_cost_and_the_database_s_is_beside_it(found):
    drawn = report.plot(figures.put_together(found.measured))
    widths = [float(each) for each in re.findall(r'width="([\d.]+)" height="11"', drawn)]
    sqlite, _, go, _, own, database = widths
    assert own == pytest.approx(2 * database, abs=0.2)
    assert own + database == pytest.approx(2 * sqlite, abs=0.2)
    assert sqlite == pytest.approx(3 * go, abs=0.2)
