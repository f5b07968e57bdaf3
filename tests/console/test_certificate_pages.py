"""Certificates and issuers in the console: the list, the search, the viewer, the downloads, the paste box."""

import base64
import logging
from datetime import timedelta
from html import unescape

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.urls import reverse
from django.views.debug import ExceptionReporter
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.core import csr, pins
from pki.core.identifiers import read, serials
from pki.core.recognition import LARGEST
from pki.models import Certificate, Issuer, Profile, Revocation
from pki.services import audit
from pki.services.auditing.kinds import GROUPS
from pki.services.issuing import issuance
from pki.services.looking import inspection, search
from pki.services.publishing import ocsp_answers
from pki.services.revoking import revocation
from pki.templatetags.console import colons
from tests.clients import make_csr
from tests.console.browser import changelist, page
from tests.console.conftest import browser, staff
from tests.core import cast as core
from tests.core.ocsp_cast import asked
from tests.services.campaigns.cast import under_another_root
from tests.services.cast import DAY, TESTER, Gadget, change_state, everything, issue, registered
from tests.services.test_inspection import key_pem

LIST = "/admin/pki/certificate/"
INSPECT = f"{LIST}inspect/"


def found(browser, **query):
    return list(browser.get(LIST, **query).context["cl"].result_list)


def hold(certificate, now):
    revocation.revoke([certificate], Revocation.Reason.CERTIFICATE_HOLD, TESTER, now)


def ending(device, now, left):
    """A certificate with this much of its life left."""
    return issue(device, now + left - device.profile.lifetime)


# --- The list -------------------------------------------------------------------------------------


def test_the_list_asks_the_database_a_few_times_however_long_it_is(
    ada, world, now, django_assert_max_num_queries
):
    for number in range(30):
        issue(registered(f"many-{number}", now), now)
    with django_assert_max_num_queries(11):
        assert len(found(ada)) > 30
    with django_assert_max_num_queries(19):
        assert len(found(ada, q="many")) == 30


def test_the_list_counts_nothing(ada, world, django_assert_max_num_queries):
    for query in ({}, {"standing": "valid"}, {"expires": "7d"}, {"q": "door"}):
        with django_assert_max_num_queries(20) as asked:
            ada.get(LIST, **query)
        words = " ".join(each["sql"] for each in asked.captured_queries).upper()
        assert "COUNT(" not in words
        assert "DISTINCT" not in words


@pytest.mark.parametrize(("span", "inside", "outside"), [
    ("24h", timedelta(hours=23), timedelta(hours=25)),
    ("7d", 6 * DAY, 8 * DAY),
    ("30d", 29 * DAY, 31 * DAY),
])  # fmt: skip
def test_certificates_are_filtered_by_when_they_end(ada, world, now, span, inside, outside):
    Profile.objects.filter(name="device").update(lifetime_seconds=90 * 86400)
    device = registered("short-1", now)
    device.refresh_from_db()
    soon, later = ending(device, now, inside), ending(device, now, outside)
    revoked = ending(device, now, inside)
    revocation.revoke([revoked], Revocation.Reason.SUPERSEDED, TESTER, now)
    shown = found(ada, expires=span)
    assert soon in shown
    assert not {later, revoked} & set(shown)
    assert all(now <= each.not_after for each in shown)
    assert shown == sorted(shown, key=lambda each: each.not_after)
    assert found(ada, expires=span, standing="revoked") == []


def test_certificates_on_hold_are_found(ada, world, now):
    hold(world.other, now)
    assert found(ada, standing="held") == [world.other]
    assert set(found(ada, standing="revoked")) == {world.other, world.doomed}


def test_filters_go_together(ada, world, now):
    hold(world.other, now)
    for standing, expected in (("held", [world.other]), ("revoked", [world.other, world.doomed])):
        for field, row in (("profile", world.profile), ("issuer", world.issuer)):
            assert found(ada, standing=standing, **{f"{field}__id__exact": str(row.pk)}) == expected
    root = Issuer.objects.get(parent=None)
    assert found(ada, standing="revoked", issuer__id__exact=str(root.pk)) == []


@pytest.mark.parametrize("value", ["x", "-1", "9" * 30, "1,2"])
@pytest.mark.parametrize("name", ["profile__id__exact", "issuer__id__exact", "standing", "expires"])
def test_a_filter_that_makes_no_sense_is_no_error_of_the_server(ada, world, name, value):
    for more in ({}, {"standing": "revoked"}):
        assert ada.get(LIST, **{**more, name: value}).status_code < 500


FILTERS = [
    {}, {"standing": "valid"}, {"standing": "expired"}, {"standing": "revoked"}, {"standing": "held"},
    {"expires": "7d"}, {"profile__id__exact": "1"}, {"issuer__id__exact": "2"},
    {"profile__id__exact": "1", "expires": "7d"}, {"issuer__id__exact": "2", "standing": "valid"},
    {"profile__id__exact": "1", "standing": "revoked"}, {"issuer__id__exact": "2", "standing": "held"},
]  # fmt: skip


@pytest.mark.parametrize("query", FILTERS, ids=str)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="the plan is SQLite's")
def test_every_filter_is_answered_from_an_index_in_its_order(ada, world, query):
    """A sort of the whole, or a scan without an index, would take seconds for a million certificates."""
    rows = ada.get(LIST, **query).context["cl"].queryset[:51]
    plan = rows.explain()
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan
    first = plan.splitlines()[0].split(" ", 3)[3]
    if query.get("standing") in ("revoked", "held"):
        assert first.startswith(("SCAN pki_revocation", "SEARCH pki_revocation USING INDEX")), plan
    elif query:
        assert first.startswith("SEARCH pki_certificate USING INDEX"), plan
    else:
        assert first == "SCAN pki_certificate", "from the newest on"


@pytest.mark.parametrize("others", [0, 1, 2])
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="the plan is SQLite's")
def test_so_are_valid_ones_once_an_issuer_is_lost(ada, world, now, others):
    for number in range(others):
        under_another_root(now, f"Spare {number}")
    LOSSES["its root"](world.issuer).update(state="compromised")
    rows = ada.get(LIST, standing="valid").context["cl"].queryset[:51]
    if not others:
        assert list(rows) == []
        return
    plan = rows.explain()
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan
    assert plan.splitlines()[0].split(" ", 3)[3].startswith("SEARCH pki_certificate USING INDEX"), plan


def test_a_standing_is_said_in_one_word(ada, world, now):
    hold(world.other, now)
    change_state(world.door, "suspended", now)
    html = ada.get(LIST).content.decode()
    for word in ("device suspended", "held", "revoked", "expired"):
        assert word in html.lower()


# --- The search -----------------------------------------------------------------------------------

WRITINGS = {
    "hex": lambda c: c.serial,
    "capitals": lambda c: c.serial.upper(),
    "colons": lambda c: colons(c.serial),
    "spaces": lambda c: colons(c.serial).replace(":", " "),
    "0x": lambda c: f"0x{c.serial}",
    "leading zeros": lambda c: c.serial.zfill(40),
    "decimal": lambda c: str(int(c.serial, 16)),
    "as openssl says it": lambda c: f"serial={c.serial.upper()}",
    "fingerprint": lambda c: c.fingerprint,
    "fingerprint with colons": lambda c: colons(c.fingerprint),
    "fingerprint as openssl says it": lambda c: f"sha256 Fingerprint={colons(c.fingerprint)}",
}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
def test_a_whole_serial_or_fingerprint_leads_straight_to_the_page(ada, world, write):
    response = ada.get(LIST, q=write(world.other))
    assert (response.status_code, response["Location"]) == (302, page(world.other))


BEGINNINGS = {
    "a serial": lambda c: c.serial[:10],
    "a serial with colons": lambda c: colons(c.serial)[:14],
    "a fingerprint": lambda c: colons(c.fingerprint)[:20],
    "a common name": lambda c: "gate",
    "a common name in a subject": lambda c: "CN=gate-1",
    "a pin in hex": lambda c: c.spki_sha256,
    "a pin in base64": lambda c: pins.spki_pin(c.parsed.public_key()),
    "a pin as curl takes it": lambda c: f"sha256//{pins.spki_pin(c.parsed.public_key())}",
}


@pytest.mark.parametrize("write", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_beginning_or_a_pin_finds_it_in_the_list(ada, world, write):
    assert found(ada, q=write(world.other)) == [world.other]


@pytest.mark.parametrize("text", ["DNS:localhost", "dns:LOCAL", "localh", "127.0.0.1", "IP:127.0"])
def test_a_san_is_found_with_its_kind_or_without(ada, world, text):
    assert {each.listener for each in found(ada, q=text)} == {"hello", "secure"}


def test_hex_that_is_a_name_too_finds_both(ada, world, now):
    named = issue(registered(world.other.serial[:8], now), now)
    assert set(found(ada, q=world.other.serial[:8])) == {named, world.other}


def test_digits_are_decimal_and_hex():
    assert set(serials("1234")) == {"1234", "4d2"}
    assert serials("0x00") == ["0"]
    assert serials("door") == []


def test_a_search_never_scans_and_is_bounded(world, django_assert_max_num_queries):
    with django_assert_max_num_queries(12) as asked:
        search.find(world.other.serial)
    for query in asked.captured_queries:
        assert "LIMIT" in query["sql"]
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(str(row[3]) for row in cursor.fetchall())
            assert "SCAN" not in plan, (query["sql"], plan)


def test_a_search_is_for_those_who_may_see_certificates(newcomer, world):
    assert newcomer.get(LIST, q=world.other.serial).status_code == 403


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=80) | st.text("0123456789abcdefx: -", max_size=80))
def test_any_text_has_readings_and_no_error(text):
    sought = read(text)
    assert all(len(serial) <= 41 for serial in sought.serials)
    assert all(len(digest) == 64 for digest in sought.digests)


# --- The viewer -----------------------------------------------------------------------------------


def test_a_certificates_page_says_all_of_it(ada, world):
    certificate = world.certificate
    html = ada.get(page(certificate)).content.decode()
    for shown in (
        "Valid",
        page(world.door),
        colons(certificate.serial),
        str(int(certificate.serial, 16)),
        colons(certificate.fingerprint),
        certificate.spki_sha256,
        pins.spki_pin(certificate.parsed.public_key()),
        "P-256",
        "ecdsa-with-SHA256",
        "may not sign certificates",
        "clientAuth",
        page(world.issuer),
        page(Issuer.objects.get(parent=None)),
        "What happened",
        "Certificate issued under the profile",
    ):
        assert shown in html, shown


STANDINGS = {
    "valid": (lambda world, now: None, "It ends in"),
    "revoked": (
        lambda world, now: revocation.revoke(
            [world.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now
        ),
        "keyCompromise",
    ),
    "held": (lambda world, now: hold(world.certificate, now), "on hold"),
    "device suspended": (lambda world, now: change_state(world.door, "suspended", now), "resumed"),
    "device retired": (lambda world, now: change_state(world.door, "retired", now), "for good"),
    "issuer compromised": (
        lambda world, now: Issuer.objects.filter(pk=world.issuer.pk).update(state="compromised"),
        "in wrong hands",
    ),
}
LOSSES = {
    "its issuer": lambda issuer: Issuer.objects.filter(pk=issuer.pk),
    "its root": lambda issuer: Issuer.objects.filter(pk=issuer.parent_id),
}


@pytest.mark.parametrize("whose", LOSSES.values(), ids=LOSSES)
def test_one_of_a_lost_issuer_is_called_so_everywhere(ada, world, now, whose):
    assert world.certificate in found(ada, standing="valid")
    whose(world.issuer).update(state="compromised")
    shown = ada.get(page(world.certificate)).context["standing"]
    assert (shown.word, shown.is_good) == ("issuer compromised", False)
    assert f"The key of {whose(world.issuer).get()}" in shown.sentence
    assert found(ada, standing="valid") == []
    assert "issuer compromised" in ada.get(LIST).content.decode()
    html = ada.get(page(world.door)).content.decode()
    assert ada.get(page(world.door)).context["refused"]
    assert "issuer compromised" in html.lower()


def test_what_others_signed_is_valid_still(ada, world, now):
    kept = {}
    for number in range(2):
        device = registered(f"kept-{number}", now)
        device.issuer = under_another_root(now, f"Spare {number}")
        device.save()
        kept[device.name] = issue(device, now)
        LOSSES["its root"](world.issuer).update(state="compromised")
        assert set(found(ada, standing="valid")) == set(kept.values())
        of_lost = {"standing": "valid", "issuer__id__exact": str(world.issuer.pk)}
        assert found(ada, **of_lost) == []
        Issuer.objects.update(state="active")


@pytest.mark.parametrize(("word", "happens", "said"), [(word, *rest) for word, rest in STANDINGS.items()])
def test_a_certificates_page_says_first_how_it_stands(ada, world, now, word, happens, said):
    happens(world, now)
    shown = ada.get(page(world.certificate))
    assert shown.context["standing"].word == word
    assert f'standing-word">{word.capitalize()}<' in shown.content.decode()
    assert said in shown.context["standing"].sentence


def test_one_that_is_over_and_one_whose_time_has_not_come_say_so(ada, world, now):
    past, future = issue(world.door, now - 90 * DAY), issue(world.door, now + 3 * DAY)
    assert ada.get(page(past)).context["standing"].word == "expired"
    assert ada.get(page(future)).context["standing"].word == "not yet valid"


def test_the_pages_ask_the_database_a_few_times(ada, world, django_assert_max_num_queries):
    with django_assert_max_num_queries(11):
        ada.get(page(world.certificate))
    # What stands beside it, what it bridges, and whether devices are told of it, among them.
    with django_assert_max_num_queries(18):
        ada.get(page(world.issuer))


def test_a_certificate_from_an_enrollment_leads_to_its_request(ada, viewer, world):
    enrolled = Certificate.objects.get(common_name="lamp-1")
    link = reverse("admin:pki_enrollmentrequest_change", args=[enrolled.request.pk])
    assert link in ada.get(page(enrolled)).content.decode()


def test_events_are_for_those_who_may_see_the_audit_log(world):
    blind = browser(staff("blind", "view_certificate"))
    html = blind.get(page(world.certificate)).content.decode()
    assert "What happened" not in html
    assert "Certificate issued" not in html
    assert reverse("admin:pki_auditevent_changelist") not in html
    assert page(world.door) not in html
    assert page(world.issuer) not in html


def test_what_happened_to_a_certificate_is_told_in_words_with_the_form_of_each_file(ada, world, now):
    forms = ["pkcs12", "keystore"]
    for form in forms:
        audit.record("certificate.exported", TESTER, now, certificate=world.certificate, container=form)
    text = unescape(ada.get(page(world.certificate)).content.decode()).partition("What happened")[2]
    for form in forms:
        assert f"Written into a file with its owner's key, as {form}" in text
    assert not [kind for kinds in GROUPS.values() for kind in kinds if kind in text]


@pytest.mark.parametrize("key", ["nonsense", "0", "999999", "9" * 30])
def test_a_page_that_there_is_not_is_404(ada, world, key):
    for place in (LIST, "/admin/pki/issuer/"):
        assert ada.get(f"{place}{key}/change/").status_code == 404
        if key.isdecimal():
            assert ada.get(f"{place}{key}/download/pem/").status_code == 404


def test_a_page_that_only_shows_takes_no_post(ada, world):
    before = everything()
    for url in (page(world.certificate), page(world.issuer), download(world.certificate, "pem")):
        assert ada.post(url, common_name="other").status_code == 403
    assert everything() == before


def test_an_issuers_page_says_what_hangs_on_it(ada, world):
    root = Issuer.objects.get(parent=None)
    html = ada.get(page(world.issuer)).content.decode()
    for shown in (
        page(root),
        *map(page, Profile.objects.all()),
        "Remaining life",
        world.issuer.name,
        "BEGIN CERT",
    ):
        assert shown in html
    above = ada.get(page(root)).content.decode()
    assert page(world.issuer) in above
    assert "A root" in above


# --- Downloads ------------------------------------------------------------------------------------


def download(row, form):
    return page(row).replace("/change/", f"/download/{form}/")


def test_the_downloads_are_what_they_are_called(ada, world):
    leaf, issuing = world.certificate.parsed, world.issuer.certificate
    root = Issuer.objects.get(parent=None).certificate
    expected = {"pem": [leaf], "chain": [leaf, issuing], "fullchain": [leaf, issuing, root]}
    for form, certificates in expected.items():
        response = ada.client.get(download(world.certificate, form), secure=True)
        assert x509.load_pem_x509_certificates(response.content) == certificates
        assert response["Content-Type"] == "application/x-pem-file"
        assert 'attachment; filename="door-1-' in response["Content-Disposition"]
    der = ada.client.get(download(world.certificate, "der"), secure=True)
    assert x509.load_der_x509_certificate(der.content) == leaf
    assert der["Content-Type"] == "application/pkix-cert"


def test_an_issuer_is_downloaded_to_be_trusted(ada, world):
    root = Issuer.objects.get(parent=None)
    for row, form, expected in (
        (root, "pem", [root]),
        (root, "fullchain", [root]),
        (world.issuer, "chain", [world.issuer]),
        (world.issuer, "fullchain", [world.issuer, root]),
    ):
        response = ada.client.get(download(row, form), secure=True)
        read = x509.load_pem_x509_certificates(response.content)
        assert read == [each.certificate for each in expected], (row, form)


def test_a_files_name_is_safe_whatever_the_certificate_is_called(ada, world, now):
    odd = issue(registered("a@b:c+d", now), now)
    disposition = ada.client.get(download(odd, "pem"), secure=True)["Content-Disposition"]
    assert disposition == f'attachment; filename="a_b_c_d-{odd.serial[:12]}.pem"'


def test_downloads_are_for_those_who_may_look(stranger, newcomer, viewer, world):
    for row in (world.certificate, world.issuer):
        for form in ("pem", "der", "chain", "fullchain"):
            url = download(row, form)
            assert viewer.client.get(url, secure=True).status_code == 200
            assert newcomer.get(url).status_code == 403
            assert stranger.get(url).status_code == 302
        assert viewer.get(download(row, "exe")).status_code == 404


# --- The paste box --------------------------------------------------------------------------------


def paste(who, text="", **more):
    return who.post(INSPECT, **{"text": text, "use": "clientAuth", "hostname": "", "password": "", **more})


def said(response):
    return {finding.code for finding in response.context["inspection"].all_findings}


def page_of(response):
    return response.content.decode()


def test_a_pasted_ocsp_answer_is_read(viewer, world, now):
    revocation.revoke([world.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    question = asked(world.certificate.parsed, world.certificate.issuer.certificate)
    answer = ocsp_answers.answer(question, now).der
    shown = page_of(paste(viewer, base64.b64encode(answer).decode()))
    responder = ocsp.load_der_ocsp_response(answer).responder_key_hash.hex()
    for words in ("revoked since", "keyCompromise", world.certificate.serial, responder, "Next update"):
        assert words in shown


def test_a_pasted_ocsp_error_is_named(viewer, world):
    error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    shown = page_of(paste(viewer, base64.b64encode(error.public_bytes(Encoding.DER)).decode()))
    assert "try later" in shown


def pem_of(certificate):
    return certificate.parsed.public_bytes(Encoding.PEM).decode()


def test_a_pasted_certificate_is_known_and_linked(viewer, world):
    response = paste(viewer, pem_of(world.certificate))
    assert "ours" in said(response)
    html = response.content.decode()
    assert page(world.certificate) in html
    assert "Nothing here says that it would be refused" in html


def test_a_pasted_certificate_that_is_revoked_is_refused(viewer, world):
    html = paste(viewer, pem_of(world.doomed)).content.decode()
    assert "It would be refused" in html
    assert "superseded" in html


def test_a_file_is_looked_at_as_well(viewer, world):
    file = SimpleUploadedFile("x.crt", bytes(world.certificate.der))
    response = paste(viewer, file=file)
    assert "ours" in said(response)


def test_a_host_is_asked_for(viewer, world):
    listener = Certificate.objects.get(listener="hello")
    assert "hostname_matches" in said(paste(viewer, pem_of(listener), use="serverAuth", hostname="localhost"))
    assert "hostname_mismatch" in said(
        paste(viewer, pem_of(listener), use="serverAuth", hostname="a.example")
    )


def test_nothing_that_is_pasted_comes_back_or_stays(viewer, world, caplog):
    gadget = Gadget("door-1")
    before = everything()
    session = dict(viewer.client.session)
    with caplog.at_level(logging.DEBUG):
        text = key_pem(gadget.key, "hush-hush").decode()
        response = paste(viewer, text, password="hush-hush")
        paste(viewer, text, password="wrong-wrong")
        paste(viewer, text, password="hush-hush", use="nonsense")
    assert said(response) >= {"private_key_pasted", "key_unknown"}
    for secret in ("hush-hush", "wrong-wrong", text.splitlines()[1]):
        assert not [html for html in viewer.pages if secret in html]
        assert secret not in caplog.text
    assert everything() == before
    assert dict(viewer.client.session) == session
    assert "no-store" in response["Cache-Control"]


def test_an_error_report_hides_what_was_pasted(viewer, world, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(inspection, "inspect", fails)
    viewer.client.raise_request_exception = False
    reports = []
    monkeypatch.setattr(
        "django.core.handlers.exception.handle_uncaught_exception",
        lambda request, resolver, info: (
            reports.append(ExceptionReporter(request, *info).get_traceback_html()) or HttpResponse(status=500)
        ),
    )
    paste(viewer, "a-pasted-secret", password="hush-hush")
    (report,) = reports
    assert "hush-hush" not in report
    assert "a-pasted-secret" not in report


def test_what_was_chosen_besides_stays_in_the_form(viewer, world):
    response = paste(viewer, "x", use="serverAuth", hostname="door.example")
    html = response.content.decode()
    assert 'value="door.example"' in html
    assert '<option value="serverAuth" selected>' in html


def test_what_could_not_be_read_is_not_said_to_be_all_right(viewer, world):
    locked = key_pem(ec.generate_private_key(ec.SECP256R1()), "right").decode()
    good = pem_of(world.certificate)
    damaged = good[:-60] + good[-50:]
    for text, password, headline in (
        (locked, "wrong", "Could not be opened"),
        (locked, "", "Could not be opened"),
        (damaged, "", "Could not be read"),
        (good[: len(good) // 2], "", "Could not be read"),
        (locked + good, "wrong", "Not all could be opened"),
        (good + damaged, "", "Not all could be read"),
        ("no such thing", "", "Nothing was recognised"),
    ):
        html = paste(viewer, text, password=password).content.decode()
        assert f"<h2>{headline}</h2>" in html, headline
        assert "Nothing here says" not in html


WRONG = {
    "nothing": {},
    "too much text": {"text": "x" * (LARGEST + 1)},
    "a use that there is not": {"text": "x", "use": "x"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_what_cannot_be_looked_at_gets_a_sentence(viewer, world, fields):
    response = paste(viewer, **fields)
    assert response.status_code == 200
    assert response.context["inspection"] is None
    assert 'role="alert"' in response.content.decode()


def test_a_file_that_is_too_large_gets_a_sentence_and_no_place_on_a_disk(viewer, world, monkeypatch):
    def no_disk(*args, **kwargs):
        raise AssertionError("written to a disk")

    monkeypatch.setattr("django.core.files.uploadedfile.TemporaryUploadedFile.__init__", no_disk)
    for size in (LARGEST + 1, 2_400_000):
        response = paste(viewer, file=SimpleUploadedFile("x.p12", b"x" * size))
        assert "At most 1,000,000 bytes" in response.content.decode()
    assert "not_recognised" in said(paste(viewer, file=SimpleUploadedFile("x.p12", b"x" * LARGEST)))


GARBAGE = [b"", b"\0", b"\xff\xfe\x00", b"0\x80", b"-----BEGIN X-----", b"%PDF", bytes(range(256)) * 20]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_is_no_error_of_the_server(viewer, world, garbage):
    assert paste(viewer, file=SimpleUploadedFile("x", garbage)).status_code == 200
    assert paste(viewer, garbage.decode("latin-1")).status_code == 200


def test_what_a_stranger_wrote_into_a_certificate_is_escaped(viewer, world, now):
    html = paste(viewer, make_csr("<script>alert(1)</script>").decode()).content.decode()
    assert "alert(1)" in html
    assert "<script>alert(1)" not in html


def test_the_paste_box_is_for_those_who_may_see_certificates(stranger, newcomer, unprotected, world):
    for attempt in (lambda who: who.get(INSPECT), lambda who: paste(who, pem_of(world.certificate))):
        assert stranger.client.get(INSPECT, secure=True).status_code == 302
        assert attempt(newcomer).status_code == 403
        assert attempt(stranger).status_code == 302
    assert paste(unprotected, "x").status_code == 403, "without the CSRF token"


def test_the_paste_box_has_its_name_and_its_place():
    assert reverse("admin:pki_inspect") == INSPECT
    assert changelist(Certificate) == LIST


def test_a_certificate_of_somebody_else_is_read_whole(viewer, world):
    stranger = core.issued(core.ca(), core.record("alien", "DNS:alien.example"))
    response = paste(viewer, stranger.public_bytes(Encoding.PEM).decode())
    assert {"unknown_issuer", "not_ours"} <= said(response)
    assert "alien.example" in response.content.decode()


def test_the_key_of_a_certificate_of_ours_is_recognised(viewer, world, now):
    gadget = Gadget("door-1")
    issued, _ = issuance.issue(world.door, csr.verify(gadget.csr), TESTER, now)
    response = paste(viewer, key_pem(gadget.key).decode())
    assert page(issued.certificate) in response.content.decode()
