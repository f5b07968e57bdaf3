"""Bodies that are refused by what is announced of them, before they are read."""

import re

from django.http import HttpRequest

from pki.endpoints.problems import BodyTooLarge, LengthRequired


def require_readable(request: HttpRequest, what: str, most: int) -> None:
    """Raise LengthRequired or BodyTooLarge unless a body of at most `most` bytes is announced.

    `what` names it in the refusal: `A CSR`.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise LengthRequired(f"{what} is sent with a Content-Length, not chunked.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", length) or int(length) > most:
        raise BodyTooLarge(f"{what} has at most {most} bytes.")
