"""The kinds of notices in words."""

from pki.services.telling import kinds

# What can be filtered by: a test is a kind too.
ALL_KINDS = {**kinds.KINDS, kinds.TEST: "A webhook was tried out"}


def kind_in_words(kind: str) -> str:
    """A kind in words; one that is not known here says its name."""
    return ALL_KINDS.get(kind, kind)
