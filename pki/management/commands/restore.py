from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.keeping import passphrase, restore
from pki.services.keeping.restore import Restored


class Command(ServiceCommand):
    help = "Put a backup into an empty data directory and database, once all of it has been checked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="what `backup` wrote")
        parser.add_argument(
            "--keep-tokens",
            action="store_true",
            help="leave tokens open that were open then, although they may have been used since",
        )

    def handle(self, *args: Any, file: Path, keep_tokens: bool, **options: Any) -> None:
        restored = restore.restore(file, Actor.shell(), timezone.now(), keep_tokens=keep_tokens)
        for line in [*_came_back(restored), "", *_lost(restored, keep_tokens=keep_tokens)]:
            self.stdout.write(line)
        for line in _to_do(restored):
            self.stderr.write(line)


def _came_back(restored: Restored) -> list[str]:
    saved = restored.manifest
    lines = [
        f"Restored the backup of {saved.made_at:%Y-%m-%d %H:%M:%S} UTC, made by Hatchery {saved.version}: "
        f"{len(saved.issuers)} issuers, and all that they had issued by then.",
        f"CRLs are made anew at the start; their numbers are above {restored.settled.crl_floor}: none "
        "had such a one.",
        "Everybody is logged out of the console.",
    ]
    if restored.passphrase_kept:
        lines.append(f"The passphrase of the keys came with the backup, and is in {passphrase.kept_file()}.")
    return lines


def _lost(restored: Restored, *, keep_tokens: bool) -> list[str]:
    tokens = (
        "Tokens that were open then are open again, though they may have been used since."
        if keep_tokens
        else f"{restored.settled.tokens_cancelled} tokens that were open then are cancelled, as they may "
        "have been used since; make new ones."
    )
    return [
        "What happened after it is not known here:",
        "- Certificates that were issued since are refused here, and OCSP calls them unknown. Relying "
        "parties that look at CRLs alone take them until they end. Those devices enroll anew, "
        "with a new token.",
        "- What was revoked or suspended since is good again. Revoke it now, before you serve: the old log "
        "has certificate.revoked and device.suspended lines.",
        f"- {tokens}",
        "- Users, passwords, roles and login keys are as they were then.",
    ]


def _to_do(restored: Restored) -> list[str]:
    lines = [
        f"{name} was {then!r}, and is {now!r} here; certificates were signed with the former."
        for name, then, now in restored.other_settings
    ]
    lines += [
        f"The key of {name} was not in the backup; copy it from its node." for name in restored.elsewhere
    ]
    if restored.dot_env is not None:
        lines.append(
            f"The settings of then are in {restored.dot_env}; compare them with those of this machine."
        )
    return lines
