"""The targets of `make fuzz` by atheris, which follows the branches of our code (requirements-fuzz.txt).

`python -m benchmarks.fuzz_atheris "CSRs, PEM" -max_total_time=60`: a target, then what is for libFuzzer.
It ends by itself, and with an error at the first fault.
"""

import hashlib
import sys
import tempfile
import warnings
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["pki"]):
    from benchmarks.fuzz_targets import all_targets


def main(name: str, *libfuzzers: str) -> None:
    warnings.simplefilter("ignore")  # of cryptography, on what is to be refused anyway
    target = next(each for each in all_targets() if each.name == name)
    corpus = Path(tempfile.mkdtemp(prefix="hatchery-fuzz-"))
    for each in target.examples:
        (corpus / hashlib.sha256(each).hexdigest()).write_bytes(each)

    def read(data: bytes) -> None:
        try:
            target.reads(data)
        except target.refuses:
            pass  # as is promised

    atheris.Setup([sys.argv[0], *libfuzzers, str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
