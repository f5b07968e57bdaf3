"""Holding many devices at once."""

from django.db.models import QuerySet

from pki.models import Device


def hold(devices: QuerySet[Device]) -> list[int]:
    """Hold devices until the caller's transaction ends; their numbers.

    In one order, as all who hold several: an UPDATE of several takes them as it finds them, and two of these
    wait for each other.
    """
    return list(devices.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
