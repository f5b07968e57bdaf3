"""What is sent elsewhere of the sealed trail, in pieces; a mark says up to where, and moves after each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pki.core import audit_proof
from pki.models import AuditSeal
from pki.services.auditing import chain as chains
from pki.services.auditing import records

PIECE = 1_000  # records


@dataclass(frozen=True)
class Mark:
    """Up to where somebody has the trail."""

    chain: str = ""
    position: int = 0
    hash: str = ""  # of the event there, hex
    checkpoint: int = 0


def fitting(mark: Mark) -> Mark:
    """The mark, or the beginning if the trail is not the one any more that was sent.

    After a restore it goes on from an earlier event: rather all is sent again than anything left out.
    """
    chain = chains.known()
    if chain is None:
        return mark
    begun = Mark(chain=chain.name)
    if mark.chain != chain.name or not mark.position:
        return begun
    seal = AuditSeal.objects.filter(position=mark.position).first()
    return mark if seal is not None and bytes(seal.hash).hex() == mark.hash else begun


def send(mark: Mark, deliver: Callable[[list[dict[str, Any]]], None], keep: Callable[[Mark], None]) -> int:
    """Hand what was sealed since the mark to `deliver`, and each time it returns, the new mark to `keep`;
    how many records.
    """
    sent, mark = 0, fitting(mark)
    for piece in _pieces(mark):
        deliver(piece)
        sent += len(piece)
        for record in piece:
            mark = _after(mark, record)
        keep(mark)
    return sent


def _pieces(mark: Mark) -> Iterator[list[dict[str, Any]]]:
    last, piece = chains.last_seal(), []
    for record in records.sealed(mark.position, mark.checkpoint, last.position if last else 0):
        piece.append(record)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _after(mark: Mark, record: dict[str, Any]) -> Mark:
    if record["type"] == "event":
        return replace(mark, position=record["position"], hash=record["hash"])
    return replace(mark, checkpoint=audit_proof.said(audit_proof.CHECKPOINT, record["statement"])["number"])
