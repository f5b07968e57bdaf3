"""Random and damaged bytes for everything that reads a stranger's: `make fuzz`, a million in a few minutes.

What is raised beside the refusals that are promised is a fault, and so is an input that takes a second of
CPU: both are kept in a folder, by their digest, and the run ends with 1.

`python -m benchmarks.fuzz --seed 7 --times 100000` for another run, or a shorter one;
`benchmarks.fuzz_atheris` follows the branches of our code.
"""

import argparse
import hashlib
import random
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from benchmarks.fuzz_targets import Target, all_targets

MILLION = 1_000_000
SLOW = 1.0  # seconds of CPU for one input
INTERESTING = (0, 1, 0x20, 0x2D, 0x30, 0x31, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xFE, 0xFF)


class Damage:
    """Damages examples, by dice that fall the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - not for secrets

    def one(self, target: Target) -> bytes:
        """Now and then bytes without any example; else an example with up to eight wounds."""
        dice = self._dice
        if dice.random() < 0.02:
            return dice.randbytes(dice.randrange(200))
        data = bytearray(dice.choice(target.examples))
        for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
            self._wound(data, target)
        return bytes(data)

    def _wound(self, data: bytearray, target: Target) -> None:
        dice = self._dice
        at = dice.randrange(len(data) + 1)
        match dice.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1 if at < len(data):
                data[at] = dice.choice(INTERESTING)
            case 2:
                data[at:at] = dice.randbytes(dice.randrange(1, 5))
            case 3:
                del data[at : at + dice.randrange(1, 9)]
            case 4:  # a piece of it once more, somewhere else
                start = dice.randrange(len(data) + 1)
                data[at:at] = data[start : start + dice.randrange(1, 40)]
            case 5:  # a piece of another
                other = dice.choice(target.examples)
                start = dice.randrange(len(other))
                data[at : at + 8] = other[start : start + dice.randrange(1, 40)]
            case 6:
                del data[at:]
            case 7:  # very much of it
                data[at:at] = data[at : at + dice.randrange(1, 9)] * dice.choice((2, 20, 2000))


class Run:
    """One target's inputs, and what came of them."""

    def __init__(self, target: Target, kept: Path) -> None:
        self.target, self.kept = target, kept
        self.outcomes: Counter[str] = Counter()
        self.faults: set[str] = set()
        self.slowest = 0.0

    def read(self, data: bytes) -> None:
        began = time.thread_time()
        try:
            self.target.reads(data)
            self.outcomes["read"] += 1
        except self.target.refuses:
            self.outcomes["refused"] += 1
        except Exception as error:
            self._keep(data, f"{type(error).__name__}: {error}"[:120])
        took = time.thread_time() - began
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self._keep(data, f"took {took:.1f} s")

    def _keep(self, data: bytes, why: str) -> None:
        self.outcomes["FAULT"] += 1
        if why not in self.faults and len(self.faults) < 20:
            self.faults.add(why)
            name = hashlib.sha256(data).hexdigest()[:16]
            self.kept.mkdir(exist_ok=True)
            (self.kept / name).write_bytes(data)
            print(f"FAULT in {self.target.name}: {why} ({self.kept / name})", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=MILLION)
    parser.add_argument("--kept", type=Path, default=Path("fuzz-faults"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of cryptography, on what is to be refused anyway
    targets = all_targets()
    print(f"{'':36} {'times':>9} {'read':>9} {'refused':>9} {'faults':>7} {'slowest, ms':>12} {'seconds':>8}")
    runs = [_run(each, options) for each in targets]
    faults = sum(run.outcomes["FAULT"] for run in runs)
    print(
        f"{sum(sum(run.outcomes.values()) for run in runs):,} inputs, {faults} faults, seed {options.seed}."
    )
    return 1 if faults else 0


def _run(target: Target, options: argparse.Namespace) -> Run:
    run, damage, began = Run(target, options.kept), Damage(options.seed), time.monotonic()
    for _ in range(target.share * options.times // MILLION):
        run.read(damage.one(target))
    numbers = [run.outcomes.total(), *(run.outcomes[each] for each in ("read", "refused"))]
    print(
        f"{target.name:36}" + "".join(f" {each:9,}" for each in numbers),
        f"{run.outcomes['FAULT']:7,} {run.slowest * 1000:12.1f} {time.monotonic() - began:8.0f}",
        flush=True,
    )
    return run


if __name__ == "__main__":
    sys.exit(main())
