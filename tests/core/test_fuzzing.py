"""A few of the million inputs of `make fuzz`, for each parser."""

import pytest

from benchmarks.fuzz import Damage, Run
from benchmarks.fuzz_targets import all_targets
from pki.core import recognition
from pki.core.parts import Kind

pytestmark = pytest.mark.filterwarnings("ignore")
TARGETS = {target.name: target for target in all_targets()}


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_are_read_or_refused(name, tmp_path):
    run, damage = Run(TARGETS[name], tmp_path / "faults"), Damage(seed=7)
    for example in TARGETS[name].examples:
        run.read(example)
    assert run.outcomes["read"], "what is not damaged is read"
    for _ in range(60):
        run.read(damage.one(TARGETS[name]))
    assert run.faults == set()


def test_what_is_not_promised_is_found_and_kept(tmp_path):
    """Else the script would find nothing, ever."""
    target = TARGETS["OpenSSL's index"]
    run = Run(type(target)("broken", 1, [b"x"], lambda data: {}[data]), tmp_path / "faults")
    run.read(b"x")
    assert run.outcomes["FAULT"] == 1
    assert [path.read_bytes() for path in (tmp_path / "faults").iterdir()] == [b"x"]


def test_a_million_is_a_million():
    assert sum(target.share for target in TARGETS.values()) == 1_000_000


@pytest.mark.parametrize("piece", [b" ", b"- "])
def test_a_megabyte_of_the_same_is_looked_at_in_one_pass(piece):
    """Blanks took the square of their number: hours, in which the worker answered nobody."""
    seen = recognition.recognise((piece * recognition.LARGEST)[: recognition.LARGEST - 1] + b"x")
    assert seen.findings
    assert all(part.kind is Kind.UNREADABLE for part in seen.parts)
