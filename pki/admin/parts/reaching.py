"""When those who rely on our certificates see that one is revoked, or good again: in sentences."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings

from pki.core.diagnosis import difference

# A worker looks every second for lists that are to be made anew.
LIST_SECONDS = 5


def _span(seconds: int) -> str:
    return difference(timedelta(seconds=seconds))


def beforehand() -> Iterator[str]:
    """What is said before a certificate's standing is changed."""
    cached = settings.PORTAL_STATUS_MAX_AGE
    yield (
        "Who sees it when: this portal at the next request, also on a connection that is open. OCSP at the "
        f"next question{f'; a cache may repeat an answer for {_span(cached)}' if cached else ''}. "
        f"Revocation lists within {LIST_SECONDS} seconds."
    )
    yield (
        "Who fetched something before may rely on it for a while: on a revocation list for up to "
        f"{_span(settings.PORTAL_CRL_SECONDS)}, on an OCSP answer for up to "
        f"{_span(settings.PORTAL_OCSP_SECONDS)}."
    )


def afterwards() -> str:
    """What is said once it is changed."""
    return (
        f"Here and by OCSP it counts from now on, in the revocation lists within {LIST_SECONDS} seconds. "
        f"Who fetched a list before may rely on it for up to {_span(settings.PORTAL_CRL_SECONDS)}, "
        f"on an OCSP answer for up to {_span(settings.PORTAL_OCSP_SECONDS)}."
    )
