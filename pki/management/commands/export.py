import os
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from pki.core import file_passwords, key_files
from pki.core.keys import IssuerKey
from pki.keystore.files import write_private
from pki.management import passwords
from pki.management.base import ServiceCommand
from pki.models import Certificate, Issuer
from pki.services.audit import Actor
from pki.services.exporting import files, identities, making, subjects
from pki.services.exporting.files import File, Form
from pki.services.exporting.identities import Above, Container
from pki.services.exporting.making import Naming
from pki.services.exporting.subjects import Subject
from pki.services.fleet import devices
from pki.services.looking import standings
from pki.services.revoking import revocation

_CONTAINERS = [str(each) for each in Container]
_WITHOUT_A_KEY = [str(each) for each in Form]
_FORMS = list(dict.fromkeys([*_WITHOUT_A_KEY, *_CONTAINERS]))
# What stands above the certificate in a form without a key, and how it is had with the key.
_IN_ONE_FILE = {
    str(Form.CHAIN): "chain in one file are --form pem",
    str(Form.FULL_CHAIN): "chain with root in one file are --form pem --ca root",
}
_WITH_A_KEY_ONLY = [each for each in _CONTAINERS if each not in _WITHOUT_A_KEY]


class Command(ServiceCommand):
    help = (
        "Write a certificate, an issuer or the roots that devices are to trust into a file for a client. "
        "With --key, the owner's own key file, its key goes along; Hatchery has no device's key. "
        "docs/bundles.md says which file is for whom."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--device", metavar="NAME", help="this device's current certificate")
        what.add_argument("--serial", metavar="SERIAL", help="the certificate of this serial, hex or decimal")
        what.add_argument("--issuer", metavar="NAME", help="this CA's certificate")
        what.add_argument("--roots", action="store_true", help="the roots that devices are to trust")
        parser.add_argument(
            "--form", required=True, choices=_FORMS, metavar="FORM", help=f"one of {', '.join(_FORMS)}"
        )
        parser.add_argument(
            "--out", metavar="FILE", help="a new file; without it, or for -, text is printed (with a key: -)"
        )
        _add_key_arguments(parser)
        parser.add_argument("--secret-name", default="", metavar="NAME", help="of a Kubernetes secret")
        parser.add_argument("--namespace", default="default", help="of a Kubernetes secret (default)")
        parser.add_argument(
            "--host", action="append", metavar="HOST", help="which hosts pins are for (PORTAL_HOSTNAMES)"
        )

    def handle(self, *args: Any, form: str, out: str | None, key: str | None, **options: Any) -> None:
        if key is None:
            _require_no_key(form, options)
        else:
            _require_form_with_key(form)
        now = timezone.now()
        certificate, subject = _found(options, now)
        hosts = {"hosts": options["host"]} if options["host"] else {}
        naming = Naming(options["secret_name"], options["namespace"], **hosts)
        _require_place(out, form, has_key=key is not None)
        if key is None:
            self._deliver(making.made(files.form(form), subject, now, naming), out)
        else:
            if certificate is None:
                raise CommandError("A key goes with one certificate: name it by --device or --serial.")
            self._with_key(form, out, certificate, subject, key, naming, now, options)
        if certificate is not None:
            standing = standings.of(certificate, now)
            if not standing.is_good:
                self.stderr.write(f"This certificate is refused ({standing.word}). {standing.sentence}")

    @sensitive_variables("owned", "password")
    def _with_key(
        self,
        form: str,
        out: str | None,
        certificate: Certificate,
        subject: Subject,
        key: str,
        naming: Naming,
        now: datetime,
        options: dict[str, Any],
    ) -> None:
        container = Container(form)
        owned = _key(key, options["key_passphrase_file"])
        identities.require_fits(owned, certificate)  # said before a password is made up
        password = _password(container, options)
        above = Above(options["ca"])
        file = identities.packed(container, subject, owned, password, now, above=above, naming=naming)
        self._deliver(file, out, whoever="has it" if password is None else "has it and its password")
        identities.record_export(container, certificate, Actor.shell(), now)
        if options["generate_password"]:
            say = self.stderr if out in (None, "-") else self.stdout
            say.write(f"Its password, which is shown this once: {password}")

    def _deliver(self, file: File, out: str | None, whoever: str = "") -> None:
        if out in (None, "-"):
            self.stdout.write(file.content.decode(), ending="")
            return
        path = Path(str(out))
        try:
            write_private(path, file.content, replace=False, mode=0o600 if file.is_secret else 0o644)
        except FileExistsError:
            raise CommandError(_is_there(path)) from None
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        whose = f"; whoever {whoever} can pass for its owner" if whoever else ""
        self.stdout.write(f"Wrote {path}{whose}.")


def _add_key_arguments(parser: CommandParser) -> None:
    parser.add_argument("--key", metavar="FILE", help="the private key of the certificate, PEM or DER")
    parser.add_argument(
        "--key-passphrase-file",
        metavar="FILE",
        help="what opens that file (- for standard input; else asked)",
    )
    new = parser.add_mutually_exclusive_group()
    new.add_argument(
        "--password-file", metavar="FILE", help="the new file's password (- for standard input; else asked)"
    )
    new.add_argument("--generate-password", action="store_true", help="make one, and show it once")
    new.add_argument("--no-password", action="store_true", help="leave the key open: pem only")
    parser.add_argument(
        "--ca",
        choices=list(Above),
        default=Above.CHAIN.value,
        help="which CAs go with certificate and key: none, the chain, or the root too (chain)",
    )


def _found(options: dict[str, Any], now: datetime) -> tuple[Certificate | None, Subject]:
    if options["roots"]:
        return None, subjects.of_roots()
    if options["issuer"] is not None:
        issuer = Issuer.objects.filter(name=options["issuer"]).first()
        if issuer is None:
            raise CommandError(f"There is no issuer {options['issuer']!r}.")
        return None, subjects.of_issuer(issuer)
    if options["device"] is not None:
        certificate = subjects.current(devices.find(options["device"]), now)
    else:
        certificate = revocation.find_by_serial(options["serial"])
    return certificate, subjects.of_certificate(certificate)


def _require_place(out: str | None, form: str, *, has_key: bool) -> None:
    """Raise CommandError unless what is made can go there; asked before anybody types a password."""
    if out is None and has_key:
        raise CommandError("There will be a private key in it: name a new file with --out.")
    is_text = Container(form).is_text if has_key and form in _CONTAINERS else _is_text(form)
    if out in (None, "-"):
        if not is_text:
            raise CommandError(f"{form} is no text: name a new file with --out.")
    elif not Path(str(out)).name:
        raise CommandError(f"{out!r} names no file.")
    elif os.path.lexists(str(out)):
        raise CommandError(_is_there(Path(str(out))))


def _is_text(form: str) -> bool:
    return form not in _WITH_A_KEY_ONLY and Form(form).kind.is_text


def _is_there(path: Path) -> str:
    return f"{path} is there already, and is not overwritten; choose another name."


def _require_no_key(form: str, options: dict[str, Any]) -> None:
    if form in _WITH_A_KEY_ONLY:
        raise CommandError(
            f"{form} holds the private key, and Hatchery does not have it: bring it along with --key FILE."
        )
    for option in ("key_passphrase_file", "password_file", "generate_password", "no_password"):
        if options[option]:
            raise CommandError(
                f"--{option.replace('_', '-')} goes with --key: without a key nothing is secret."
            )


def _require_form_with_key(form: str) -> None:
    if form in _CONTAINERS:
        return
    if instead := _IN_ONE_FILE.get(form):
        raise CommandError(f"{form} has no key in it. Key, certificate and {instead}.")
    raise CommandError(f"{form} has no key in it; choose one of {', '.join(Container)}, or leave --key out.")


@sensitive_variables("data", "passphrase")
def _key(file: str, passphrase_file: str | None) -> IssuerKey:
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(key_files.LARGEST + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    passphrase = passwords.read_for_key(passphrase_file) if passphrase_file is not None else None
    try:
        return key_files.read(data, passphrase)
    except key_files.PassphraseNeeded:
        pass
    return key_files.read(data, passwords.asked("passphrase of the key", instead="--key-passphrase-file"))


def _password(container: Container, options: dict[str, Any]) -> str | None:
    if options["no_password"] and container.needs_password:
        raise CommandError(f"{container} has a password always; --no-password is for pem.")
    if options["no_password"]:
        return None
    if container is Container.KUBERNETES:
        if options["password_file"] or options["generate_password"]:
            raise CommandError("A Kubernetes secret has no password: whoever may read it has the key.")
        return None
    if options["generate_password"]:
        return file_passwords.new()
    if options["password_file"] is not None:
        return file_passwords.check(passwords.read(options["password_file"]))
    return passwords.asked_twice(
        "new password", file_passwords.check, instead="--password-file or --generate-password"
    )
