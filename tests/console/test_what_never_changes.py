"""Nobody, not even a superuser, changes or deletes by URL what was signed or recorded."""

import pytest
from django.contrib.auth.models import User

from pki.models import AuditEvent, Certificate, EnrollmentRequest, EnrollmentToken, Issuer, Revocation
from tests.console.browser import add, changelist, page, registered_models
from tests.services.cast import everything

READ_ONLY = [AuditEvent, Certificate, EnrollmentRequest, EnrollmentToken, Issuer, Revocation]
PKI = registered_models("pki")


def forged(row):
    """A form with a value for every column of a row."""
    return {
        **{field.name: str(getattr(row, field.attname)) for field in row._meta.concrete_fields},
        "state": "retired",
        "reason": "unspecified",
        "actor": "nobody",
        "common_name": "forged",
        "_save": "Save",
    }


def test_a_row_is_not_changed_by_its_page(ada, world):
    before = everything()
    for model in READ_ONLY:
        for row in model.objects.all():
            assert ada.post(page(row), **forged(row)).status_code == 403, row
    assert everything() == before


def test_a_row_is_not_added(ada, world):
    before = everything()
    for model in READ_ONLY:
        if model is Issuer:  # it is made, with a key; nothing of the form goes into its row
            continue
        assert ada.get(add(model)).status_code == 403, model
        assert ada.post(add(model), **forged(model.objects.first())).status_code == 403, model
    assert everything() == before


def test_a_row_is_not_deleted_by_its_page(ada, world):
    before = everything()
    for model in PKI:
        for row in model.objects.all():
            assert ada.get(page(row, "delete")).status_code == 403, row
            assert ada.post(page(row, "delete"), post="yes").status_code == 403, row
    assert everything() == before


@pytest.mark.parametrize("model", PKI, ids=lambda model: model.__name__)
def test_a_row_is_not_deleted_or_edited_in_its_list(ada, world, model):
    before = everything()
    ada.act(model, "delete_selected", *model.objects.all())
    ada.act(model, "delete_selected", *model.objects.all(), post="yes", confirmed="yes")
    form = {
        "form-TOTAL_FORMS": "1",
        "form-INITIAL_FORMS": "1",
        "form-0-id": str(model.objects.first().pk),
        "form-0-state": "retired",
        "_save": "Save",
    }
    ada.post(changelist(model), **form)
    assert everything() == before


def test_a_device_keeps_its_name_and_its_state_whatever_is_posted_to_its_page(ada, world):
    for view in ("change", "edit"):
        ada.post(
            page(world.door, view),
            name="window-1",
            state="retired",
            created_at="2000-01-01",
            profile=str(world.profile.pk),
        )
    world.door.refresh_from_db()
    assert (world.door.name, world.door.state) == ("door-1", "active")


def test_somebody_who_is_named_in_a_record_is_not_deleted(ada, world):
    """A name that was free again could be given to somebody else, and the records would lie."""
    bob = User.objects.create_user("bob", is_staff=True)
    Revocation.objects.create(
        certificate=world.other, reason="superseded", revoked_at=world.revocation.revoked_at, revoked_by=bob
    )
    ada.post(page(bob, "delete"), post="yes")
    assert User.objects.filter(username="bob").exists()


def test_somebody_whose_deeds_are_in_the_audit_trail_is_not_deleted(ada, world, now):
    """As above: events name their actor as text, `administrator:bob`."""
    bob = User.objects.create_superuser("bob", password="his")
    AuditEvent.objects.create(at=now, kind="device.suspended", actor="administrator:bob")
    ada.post(page(bob, "delete"), post="yes")
    assert User.objects.filter(username="bob").exists()
