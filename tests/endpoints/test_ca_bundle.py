"""`GET /ca-bundle` on every listener that devices reach: the same bytes, kept by caches, and no lie."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import bundles
from pki.endpoints import peer
from pki.keystore import folder, keystore
from pki.models import AuditEvent, BundleSigner, Issuer, LastSeen, TrustBundle
from pki.services.fleet.sightings import SightingLog
from pki.services.issuing import authorities, succession
from pki.services.trusting import bundle, followers
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.services.bundles_cast import the_root, verified
from tests.services.cast import SECOND, TESTER, change_state, issue, registered
from tests.services.renewing_cast import Fielded

CMS = "application/pkcs7-mime; smime-type=signed-data"


@pytest.mark.parametrize("listener", ["secure", "provisioning", "status"])
def test_it_is_served_to_everybody_with_its_version(ca, listener, tmp_path):
    answer = ListenerClient(listener).get("/ca-bundle")
    stored = TrustBundle.objects.get()
    assert (answer.status_code, answer["Content-Type"]) == (200, CMS)
    assert answer.content == bytes(stored.signed)
    assert answer["Hatchery-Bundle-Version"] == str(stored.version)
    read, said = verified(tmp_path, answer.content, [the_root().certificate])
    assert read == stored.contents, said


def test_elsewhere_there_is_none(ca):
    assert ListenerClient("hello").get("/ca-bundle").status_code == 404
    assert not TrustBundle.objects.exists()


def test_it_is_kept_and_asked_after(status, settings):
    first = status.get("/ca-bundle")
    assert f"max-age={settings.PORTAL_STATUS_MAX_AGE}" in first["Cache-Control"]
    again = status.get("/ca-bundle", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Hatchery-Bundle-Version"] == first["Hatchery-Bundle-Version"]
    head = status.head("/ca-bundle")
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", first["ETag"])


def test_a_new_version_and_a_new_signature_are_new_to_caches(status, now):
    bundle.publish_due(now)
    first = status.get("/ca-bundle")
    stored = TrustBundle.objects.get()
    bundle.publish_due(stored.sign_again_at)
    signed_anew = status.get("/ca-bundle", headers={"If-None-Match": first["ETag"]})
    assert signed_anew.status_code == 200
    assert signed_anew["Hatchery-Bundle-Version"] == first["Hatchery-Bundle-Version"]
    succession.make_next(the_root(), "P-256", TESTER, now)
    bundle.publish_due(now)
    newer = status.get("/ca-bundle", headers={"If-None-Match": signed_anew["ETag"]})
    assert newer.status_code == 200
    assert int(newer["Hatchery-Bundle-Version"]) > int(first["Hatchery-Bundle-Version"])


def test_if_modified_since_hides_nothing(status):
    first = status.get("/ca-bundle")
    again = status.get("/ca-bundle", headers={"If-Modified-Since": first["Last-Modified"]})
    assert again.status_code == 200


def test_a_compromise_is_in_the_next_answer(status, now):
    old = the_root()
    new = succession.make_next(old, "P-256", TESTER, now)
    before = status.get("/ca-bundle")
    authorities.change_state(old, Issuer.State.COMPROMISED, TESTER, now + timedelta(minutes=1))
    after = status.get("/ca-bundle")
    assert int(after["Hatchery-Bundle-Version"]) > int(before["Hatchery-Bundle-Version"])
    contents = TrustBundle.objects.latest("version").contents
    assert old.fingerprint not in contents
    assert new.fingerprint in contents


def test_where_no_root_stands_it_is_a_503_that_says_so(status, now):
    status.get("/ca-bundle")
    authorities.change_state(the_root(), Issuer.State.COMPROMISED, TESTER, now + SECOND)
    answer = status.get("/ca-bundle")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_trust_bundle")
    assert answer["Retry-After"]
    assert b"BEGIN" not in answer.content


def test_a_node_without_any_key_says_so(status, ca, now):
    for path in (ca / "keys").iterdir():
        path.rename(ca / path.name)
    answer = status.get("/ca-bundle")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_bundle_signer")
    assert not BundleSigner.objects.exists()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_other_methods_are_refused(status, method):
    answer = getattr(status, method)("/ca-bundle")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_an_answer_takes_two_queries_and_signs_nothing(status):
    status.get("/ca-bundle")
    before = TrustBundle.objects.values().get()
    with CaptureQueriesContext(connection) as queries:
        status.get("/ca-bundle")
    assert len(queries) == 2
    assert TrustBundle.objects.values().get() == before


def test_the_chain_of_an_issuing_ca_has_the_bridge_and_another_tag_than_without(status, now):
    issuing = the_root().subordinates.get()
    before = status.get(f"/ca/{issuing.key_identifier}.pem")
    succession.make_next(the_root(), "P-256", TESTER, now)
    after = status.get(f"/ca/{issuing.key_identifier}.pem", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert before.content.count(b"BEGIN CERTIFICATE") == 1
    assert after.content.startswith(before.content)
    assert after.content.count(b"BEGIN CERTIFICATE") == 2


def test_trust_stores_have_both_roots_and_no_bridge(status, now):
    old = the_root()
    new = succession.make_next(old, "P-256", TESTER, now)
    roots = status.get("/ca/bundle.pem").content
    assert roots.count(b"BEGIN CERTIFICATE") == 2
    everything = status.get("/ca/all.pem").content
    assert everything.count(b"BEGIN CERTIFICATE") == 4
    authorities.change_state(old, Issuer.State.COMPROMISED, TESTER, now)
    assert status.get("/ca/bundle.pem").content.count(b"BEGIN CERTIFICATE") == 1
    left = status.get("/ca/all.pem").content
    assert left == bundles.pem([new.certificate, new.subordinates.get().certificate])


def test_who_trusts_one_root_alone_gets_the_signature_below_it(status, now, tmp_path):
    old = the_root()
    new = succession.make_next(old, "P-256", TESTER, now)
    bundle.publish_due(now)
    for root in (old, new):
        written = ":".join(root.fingerprint.upper()[at : at + 2] for at in range(0, 64, 2))
        answer = status.get(f"/ca-bundle?root={written}")
        assert verified(tmp_path, answer.content, [root.certificate])[0] is not None
        assert status.get(f"/ca-bundle?root={root.fingerprint}").content == answer.content
        again = status.get(f"/ca-bundle?root={written}", headers={"If-None-Match": answer["ETag"]})
        assert again.status_code == 304
    assert status.get(f"/ca-bundle?root={new.fingerprint}").content != status.get("/ca-bundle").content


@pytest.mark.parametrize("root", ["", "x" * 4000, "%00", "%ff", "00" * 32, "'; --"])
def test_who_names_no_root_of_ours_gets_what_everybody_gets(status, root):
    plain = status.get("/ca-bundle").content
    answer = status.get(f"/ca-bundle?root={root}")
    assert (answer.status_code, answer.content) == (200, plain)


# --- Who has which version ------------------------------------------------------------------------


@pytest.fixture
def door(ca, now, monkeypatch):
    monkeypatch.setattr(peer, "SEEN", SightingLog())
    return Fielded.enrolled("door-1", now)


def noted():
    peer.SEEN.flush()
    return list(LastSeen.objects.values_list("device__name", "bundle_version"))


def test_a_device_that_fetches_it_with_its_certificate_is_known_to_have_it(door):
    client = DeviceClient(door.certificate)
    assert client.get("/secure").status_code == 200
    assert noted() == [("door-1", None)]
    with CaptureQueriesContext(connection) as queries:
        answer = client.get("/ca-bundle")
    assert not [each for each in queries if "pki_lastseen" in each["sql"]], "a flush writes it"
    assert noted() == [("door-1", int(answer["Hatchery-Bundle-Version"]))]
    again = client.get("/ca-bundle", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    assert client.get("/secure").status_code == 200
    assert noted() == [("door-1", int(answer["Hatchery-Bundle-Version"]))]


def test_who_asks_for_a_signature_that_there_is_not_is_not_known_to_have_it(door, now, tmp_path):
    old, client = the_root(), DeviceClient(door.certificate)
    new = succession.make_next(old, "P-256", TESTER, now)
    (folder() / f"{old.key_reference.split(':')[1]}.pem").unlink()
    keystore.cache_clear()
    bundle.publish_due(now)
    for asked, version in ((old, None), (new, TrustBundle.objects.get().version)):
        answer = client.get(f"/ca-bundle?root={asked.fingerprint}")
        assert answer.status_code == 200
        takes_it = verified(tmp_path, answer.content, [asked.certificate])[0] is not None
        assert takes_it == (version is not None)
        assert noted() == ([("door-1", version)] if version else [])


def test_fetching_it_costs_one_query_more_where_devices_show_themselves(door):
    client = DeviceClient(door.certificate)
    client.get("/ca-bundle")
    with CaptureQueriesContext(connection) as queries:
        client.get("/ca-bundle")
    assert len(queries) == 3


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_who_does_not_stand_gets_it_all_the_same_and_is_not_counted(door, now, state):
    change_state(door.device, state, now)
    assert DeviceClient(door.certificate).get("/ca-bundle").status_code == 200
    assert noted() == []
    assert AuditEvent.objects.filter(kind="handshake.refused").count() == 0


def test_elsewhere_nobody_is_known(door):
    for listener in ("provisioning", "status", "secure"):
        assert ListenerClient(listener).get("/ca-bundle").status_code == 200
    assert noted() == []


def test_followers_are_counted_by_what_they_fetched_last(door, now):
    for number, (version, state) in enumerate(
        [(5, "active"), (6, "active"), (4, "active"), (None, "active"), (4, "retired"), (None, "suspended")]
    ):
        device = registered(f"counted-{number}", now)
        certificate = issue(device, now)
        LastSeen.objects.create(
            device=device, certificate=certificate, at=now, tls_version="TLSv1.3", bundle_version=version
        )
        if state != "active":
            change_state(device, state, now)
    with CaptureQueriesContext(connection) as queries:
        found = followers.of(5)
    assert (found.have.number, found.older.number, found.none.number) == (2, 1, 1)
    assert len(queries) == 3
