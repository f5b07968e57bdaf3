"""The machine that figures come from, and how fast it is at this moment."""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

_LOOPS = 1_000_000


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    openssl: str


@dataclass(frozen=True)
class Calibration:
    """How much a second of CPU does now: a machine that is shared is not always as fast."""

    at: str  # ISO 8601, UTC
    load: float  # of the last minute
    signatures: float  # ECDSA P-256, each second of CPU, by OpenSSL's own measurement
    loop_ms: float  # CPU of a fixed loop of Python


def described() -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        kernel=platform.release().partition("-")[0],
        python=platform.python_version(),
        openssl=" ".join(_said("openssl", "version").split()[:2]),
    )


def calibrated() -> Calibration:
    """Takes about three seconds."""
    return Calibration(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        load=os.getloadavg()[0],
        signatures=_signatures(),
        loop_ms=_loop() * 1000,
    )


def _signatures() -> float:
    """A second. `openssl speed` tells machines `+F4:<number>:256:<signatures>:<verifications>`."""
    told = _said("openssl", "speed", "-mr", "-seconds", "1", "ecdsap256")
    (line,) = (each for each in told.splitlines() if each.startswith("+F4:"))
    return float(line.split(":")[3])


def _loop() -> float:
    began = time.process_time()
    total = 0
    for number in range(_LOOPS):
        total += number * number
    return time.process_time() - began


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
