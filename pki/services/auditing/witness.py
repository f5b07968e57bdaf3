"""The last checkpoint that this node signed, in a file beside the database: who can write to the database
alone cannot cut off the trail unnoticed, and have what is left signed anew.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from pki.core import audit_proof
from pki.keystore.files import make_private_folder, write_private
from pki.models import AuditCheckpoint, AuditEvent, AuditSeal
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.transactions import writing

CUT_OFF = "audit.cut_off"
_TOLD = "told"  # in the file: the number of the event that says that this checkpoint is missing


def place() -> Path:
    """Where it is noted: one line, as an export has it."""
    folder: Path = settings.PORTAL_DATA_DIR
    return folder / "audit-checkpoint.jsonl"


def note(record: Mapping[str, Any]) -> None:
    """Keep a checkpoint in the place of the one before, unless that is missing and nothing that is sealed
    tells of it: then the one before stays, and is looked for again. Raises OSError.
    """
    known = noted()
    if known is None or _stands(known) or _is_told(known, sealed=True):
        _write(record)


def noted() -> dict[str, Any] | None:
    """What the checkpoint says that was noted last; None if none was. Raises OSError."""
    try:
        return audit_proof.said(audit_proof.CHECKPOINT, _line()["statement"])
    except (audit_proof.NotProven, KeyError, AttributeError):
        return None


def look(now: datetime) -> None:
    """Put on record, once, if the trail does not hold any more what this node signed last."""
    known = noted()
    if known is None or _stands(known):
        return
    if not _is_told(known, sealed=False):
        with writing():
            event = audit.record(
                CUT_OFF,
                HATCHERY,
                now,
                level=logging.WARNING,
                checkpoint=known["number"],
                signed_at=known["at"],
                events=known["count"],
                head=known["head"],
            )
        # Here and not in the database, where somebody could say in advance that it was told.
        _write({**_line(), _TOLD: event.pk})


def _line() -> dict[str, Any]:
    """What was written; empty if nothing was, or it is damaged."""
    try:
        line = json.loads(place().read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return line if isinstance(line, dict) else {}


def _write(line: Mapping[str, Any]) -> None:
    make_private_folder(place().parent)
    write_private(place(), audit_proof.canonical(dict(line)) + b"\n")


def _is_told(known: Mapping[str, Any], *, sealed: bool) -> bool:
    """Whether the event by which this node told that it is missing is there, and `sealed`."""
    number = _line().get(_TOLD)
    if not isinstance(number, int):
        return False
    told = AuditEvent.objects.filter(pk=number, kind=CUT_OFF)
    if sealed:
        told = told.filter(seal__isnull=False)
    return any(detail.get("head") == known["head"] for detail in told.values_list("detail", flat=True))


def _stands(known: Mapping[str, Any]) -> bool:
    statement = AuditCheckpoint.objects.filter(number=known["number"]).values_list("statement", flat=True)
    if statement.first() != audit_proof.statement(audit_proof.CHECKPOINT, **known):
        return False
    seal = AuditSeal.objects.filter(position=known["count"]).first()
    return seal is not None and bytes(seal.hash).hex() == known["head"]
