"""Makes the tables, the CA and a user who may sign: `python prepare.py CERTIFICATE KEY USER`.

Reads the user's password from its input, and prints the CA's serial, as its URLs have it.
"""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.contrib.auth.models import Permission, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django_ca.models import CertificateAuthority  # noqa: E402


def main() -> None:
    certificate, key, name = sys.argv[1:]
    call_command("migrate", verbosity=0)
    pointers = (
        *("--sign-ca-issuer", "http://localhost/ca.crt"),
        *("--sign-ocsp-responder", "http://localhost/ocsp"),
        *("--sign-crl-full-name", "http://localhost/ca.crl"),
    )
    call_command("import_ca", "--api-enable", *pointers, "bench", key, certificate)
    user = User.objects.create_user(name, password=sys.stdin.read())
    user.user_permissions.add(Permission.objects.get(codename="sign_certificate"))
    print(CertificateAuthority.objects.get().serial)


if __name__ == "__main__":
    main()
