import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import audit_proof, names
from pki.keystore import keystore
from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.auditing import chain, checkpoints, exporting, sealing, signers, verifying

_NONE_YET = "There is none yet: maintenance makes the first within a minute, or manage.py audit seal."
_ANOTHER_NODES = (
    "This node believes its own keys alone. If the one that is named was made on another node (audit key "
    "prints it there), copy keys/ from there or give it with --public-key; if not, somebody put it in."
)
_VOUCHED_FOR_BY_NOBODY = (
    "Left out: the key {}, which is not on this node, and which no key of this node has endorsed. If it was "
    "made on another node, ask there; if not, somebody put it in."
)


class Command(ServiceCommand):
    help = "Seal the audit trail, export it, and prove that it is whole. docs/audit.md says how."

    def add_arguments(self, parser: CommandParser) -> None:
        words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
        export = words.add_parser("export", help="write all of it, JSON Lines, for audit_proof.py to check")
        export.add_argument("--out", metavar="FILE", help="a new file, mode 0600; without it, it is printed")
        verify = words.add_parser(
            "verify",
            help="check the one in the database; exit status 1 if it is wrong, 2 if that cannot be told",
        )
        verify.add_argument(
            "--public-key",
            action="append",
            default=[],
            metavar="FILE",
            help="PEM; believe no other keys than these, not those of this node",
        )
        words.add_parser("key", help="print the public keys that checkpoints are signed with, PEM")
        words.add_parser("checkpoint", help="print the last one, to be noted elsewhere")
        words.add_parser("seal", help="seal what is not sealed, and sign, as maintenance does each minute")
        new_key = words.add_parser(
            "new_key", help="make another key; the one before endorses it, and signs no more"
        )
        new_key.add_argument(
            "--without-endorsement",
            action="store_true",
            help="the one before is lost, or not to be believed any more: everybody needs the new public key",
        )

    def handle(self, *args: Any, word: str, **options: Any) -> None:
        try:
            self._do(word, options)
        except OSError as error:
            # Where each node notes its last checkpoint.
            place = error.filename or "The data directory"
            raise CommandError(f"{place} cannot be written ({error.strerror}).") from error

    def _do(self, word: str, options: dict[str, Any]) -> None:
        match word:
            case "export":
                self._export(options["out"])
            case "verify":
                # 1 says that the trail is wrong.
                self.failed = 2
                self._verify(options["public_key"])
            case "key":
                self._keys()
            case "checkpoint":
                self._checkpoint()
            case "seal":
                keystore().hold()
                self.stdout.write(f"{sealing.seal(timezone.now()):,} events sealed.")
            case "new_key":
                keystore().hold()
                endorsed = not options["without_endorsement"]
                signer = sealing.change_key(Actor.shell(), timezone.now(), endorsed=endorsed)
                self.stdout.write(f"Checkpoints are signed by {signer.fingerprint} from now on.")

    def _export(self, out: str | None) -> None:
        keystore().hold()
        lines = exporting.lines(timezone.now())
        if out is None:
            try:
                _write(lines, sys.stdout.buffer)
                sys.stdout.flush()
            except OSError as error:
                # Else Python complains of it once more, when it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                why = (
                    "Nobody reads the export any more"
                    if isinstance(error, BrokenPipeError)
                    else f"The export cannot be written ({error.strerror})"
                )
                raise CommandError(f"{why}; it is not whole.") from None
            return
        try:
            _write_new(lines, Path(out))
        except FileExistsError:
            raise CommandError(
                f"{out} is there already, and is not overwritten; choose another name."
            ) from None
        except OSError as error:
            raise CommandError(f"{out} cannot be written ({error.strerror}).") from error

    def _verify(self, files: list[str]) -> None:
        try:
            checker = verifying.checked([Path(file).read_bytes() for file in files], timezone.now())
        except OSError as error:
            raise CommandError(
                f"{error.filename} cannot be read ({error.strerror}).", returncode=2
            ) from error
        except ValueError as error:
            raise CommandError(f"That is no public key of P-256, PEM: {error}", returncode=2) from error
        for line in audit_proof.verdict(checker):
            self.stdout.write(names.printable(line))
        if checker.stranger and not files:
            self.stdout.write(_ANOTHER_NODES)
        if checker.number_of_faults:
            sys.exit(1)

    def _keys(self) -> None:
        if signers.newest() is None:
            raise CommandError(_NONE_YET)
        good, strange = verifying.vouched_for()
        for signer in good:
            # Nothing of the row but its key: the rest nobody vouches for.
            self.stdout.write(f"# {signers.digest(signer)}")
            self.stdout.write(signers.pem(signer), ending="")
        for signer in strange:
            self.stderr.write(_VOUCHED_FOR_BY_NOBODY.format(names.printable(str(signer.fingerprint))))

    def _checkpoint(self) -> None:
        last = chain.last_checkpoint()
        if last is None:
            raise CommandError(_NONE_YET)
        self.stdout.write(audit_proof.canonical(checkpoints.record(last)).decode())


def _write_new(lines: Iterator[bytes], path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write(lines, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # A half one proves nothing, and would be in the way of the next try.
        path.unlink(missing_ok=True)
        raise


def _write(lines: Iterator[bytes], file: BinaryIO) -> None:
    for line in lines:
        file.write(line)
