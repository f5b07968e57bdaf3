"""Counting in memory that processes share: exact, bounded, and never backwards."""

import os
import signal
import threading

import pytest

from pki.services.measuring.families import BUCKETS, OTHER, Counter, Family, Gauge, Timing, families
from pki.services.measuring.shared import SHARED, Shared, first_free
from tests.server import seen_within

SLOTS = 4


@pytest.fixture
def shared():
    memory = Shared()
    memory.share(3, SLOTS)
    return memory


@pytest.fixture
def alone(monkeypatch):
    """Families of the test's own, in memory of its own, counted in the first slot."""
    memory = Shared()
    for module in ("families",):
        monkeypatch.setattr(f"pki.services.measuring.{module}.SHARED", memory)
        monkeypatch.setattr(f"pki.services.measuring.{module}._all", [])

    def share(*made: Family):
        width = 0
        for family in made:
            width = family.lay_out(width)
        memory.share(width, SLOTS)
        memory.take(0)
        return memory

    return share


def shown(family, memory):
    totals = memory.totals()
    return {labels: totals[place : place + family.numbers] for labels, place in family.series}


def in_a_process_of_its_own(slot, memory, what):
    """Do something in a worker's slot; returns its process."""
    number = os.fork()
    if number == 0:
        try:
            memory.take(slot)
            what()
        finally:
            os._exit(0)
    return number


def test_threads_of_a_process_lose_nothing(shared):
    shared.take(0)
    threads = [threading.Thread(target=lambda: [shared.add(1, 1) for _ in range(5_000)]) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert shared.totals() == [0, 40_000, 0]


def test_processes_count_together(shared):
    def count():
        for _ in range(1_000):
            shared.add(2, 1)

    processes = [in_a_process_of_its_own(slot, shared, count) for slot in range(SLOTS)]
    assert all(os.waitpid(each, 0)[1] == 0 for each in processes)
    assert shared.totals() == [0, 0, 1_000 * SLOTS]


def test_what_a_killed_process_counted_stays_and_its_successor_goes_on(shared):
    def for_ever():
        while True:
            shared.add(0, 1)

    seen = 0.0
    for _ in range(3):
        process = in_a_process_of_its_own(1, shared, for_ever)
        assert seen_within(10, lambda seen=seen: shared.totals()[0] > seen + 100)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        after = shared.totals()[0]
        assert after > seen
        assert after == int(after)
        seen = after


def test_a_slot_that_there_is_not_counts_nothing_and_harms_nobody(shared):
    shared.take(SLOTS)
    shared.add(0, 1)
    shared.put(1, 1)
    shared.clear(SLOTS, [0])
    assert shared.totals() == [0, 0, 0]


def test_before_it_is_shared_nothing_is_counted():
    memory = Shared()
    memory.take(0)
    memory.add(0, 1)
    assert memory.totals() == []


@pytest.mark.parametrize(
    ("taken", "free"), [([], 0), ([0], 1), ([1], 0), ([0, 1, 2], 3), ([2, 0], 1), ([1, 1], 0)]
)
def test_a_worker_takes_the_first_slot_that_is_free(taken, free):
    assert first_free(taken) == free


def test_a_value_that_nobody_knew_makes_no_series(alone):
    counter = Counter("c", "Counts.", ("code",))
    counter.know([("known",), (OTHER,), ("known",)])
    memory = alone(counter)
    counter.count("known")
    for number in range(1_000):
        counter.count(f"made up {number}")
    assert shown(counter, memory) == {("known",): [1], (OTHER,): [1_000]}


def test_a_family_that_is_not_laid_out_counts_nowhere(alone):
    first, late = Counter("a", "First."), Counter("b", "Late.")
    memory = alone(first)
    late.count()
    assert shown(first, memory) == {(): [0]}


def test_a_gauge_goes_with_its_worker_and_a_counter_stays(alone, monkeypatch):
    from pki.services.measuring.families import leave

    gauge, counter = Gauge("g", "Now."), Counter("c", "Ever.")
    memory = alone(gauge, counter)
    gauge.put(7)
    counter.count(by=3)
    leave(0)
    assert (shown(gauge, memory), shown(counter, memory)) == ({(): [0]}, {(): [3]})


@pytest.mark.parametrize("number", range(len(BUCKETS)))
def test_a_bound_belongs_to_its_class(alone, number):
    """As Prometheus has it: `le`, less or equal."""
    timing = Timing("t", "Takes.")
    memory = alone(timing)
    timing.note(BUCKETS[number])
    timing.note(BUCKETS[number] + 1e-9)
    *classes, total = shown(timing, memory)[()]
    assert [n for n, count in enumerate(classes) if count] == [number, number + 1]
    assert total == pytest.approx(2 * BUCKETS[number])


def test_names_are_as_prometheus_wants_them_and_of_one_family_each():
    names = [family.name for family in families() if family.name.startswith("hatchery_")]
    assert len(set(names)) == len(names) > 10
    assert all(not name.endswith("_total") for name in names)
    assert SHARED.totals() == [], "no test leaves the process counting"
