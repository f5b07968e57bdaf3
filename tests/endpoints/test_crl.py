"""CRLs and CA certificates as relying parties and the caches between fetch them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.http import http_date, parse_http_date

from pki.core import crls
from pki.models import FULL, Issuer, RevocationList
from pki.services.issuing import authorities
from pki.services.publishing import publication, published
from pki.services.transactions import alone
from tests.endpoints.problems import assert_problem
from tests.services.cast import SECOND, TESTER, at_once, issue, registered
from tests.services.lists import issuing, publish, revoke, root, stored

pytestmark = pytest.mark.django_db

# Where            what is expected there, from (issuer's key identifier)
PATHS = {
    "full": "/crl/{}.crl",
    "full, PEM": "/crl/{}.pem",
    "shard": "/crl/{}/1.crl",
    "shard, PEM": "/crl/{}/1.pem",
    "delta": "/crl/{}/delta.crl",
    "all lists": "/crl/all.pem",
    "CA": "/ca/{}.crt",
    "chain": "/ca/{}.pem",
    "trust bundle": "/ca/bundle.pem",
    "all CAs": "/ca/all.pem",
}
LISTS = [path for path in PATHS.values() if path.startswith("/crl/")]


def at(path, issuer=None):
    return path.format((issuer or issuing()).key_identifier)


every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def lists_in(pem):
    begin = b"-----BEGIN X509 CRL-----"  # RFC 7468 6
    return [x509.load_pem_x509_crl(begin + rest) for rest in pem.split(begin)[1:]]


# --- What is there ------------------------------------------------------------------------------------


def test_a_list_is_the_one_that_is_stored(status, now):
    certificate = issue(registered("door-1", now), now)
    revoke(certificate, "keyCompromise", now)
    publish(now)
    for shard, path in ((FULL, "/crl/{}.crl"), (1, "/crl/{}/1.crl")):
        answer = status.get(at(path))
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/pkix-crl")
        assert answer.content == bytes(stored(issuing(), shard).der)
        pem = status.get(at(path).replace(".crl", ".pem"))
        assert pem["Content-Type"] == "application/x-pem-file"
        (crl,) = lists_in(pem.content)
        assert crl.public_bytes(Encoding.DER) == answer.content
        assert [revoked.serial_number for revoked in crl] == [int(certificate.serial, 16)]


def test_a_list_is_where_its_certificates_say(status, now):
    certificate = issue(registered("door-1", now), now)
    (point,) = certificate.parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    path = point.full_name[0].value.removeprefix("http://127.0.0.1:8080")
    scope = crls.load(status.get(path).content).extensions.get_extension_for_class(
        x509.IssuingDistributionPoint
    )
    assert scope.value.full_name == point.full_name


def test_the_delta_is_where_the_full_list_says(status, now):
    (point,) = (
        crls.load(status.get(at("/crl/{}.crl")).content)
        .extensions.get_extension_for_class(x509.FreshestCRL)
        .value
    )
    answer = status.get(point.full_name[0].value.removeprefix("http://127.0.0.1:8080"))
    assert answer.content == bytes(stored(issuing()).delta_der)


def test_all_lists_are_the_full_ones_of_all_issuers(status, now):
    answer = status.get("/crl/all.pem")
    assert answer["Content-Type"] == "application/x-pem-file"
    assert [crl.issuer for crl in lists_in(answer.content)] == [
        issuer.certificate.subject for issuer in (root(), issuing())
    ]
    assert all(len(crl.extensions) == 3 for crl in lists_in(answer.content))


def test_of_an_issuer_that_has_ended_there_is_no_list_in_the_file_of_all(status, now):
    with time_machine.travel(issuing().not_after + SECOND, tick=False):
        (crl,) = lists_in(status.get("/crl/all.pem").content)
    assert crl.issuer == root().certificate.subject


def pems(answer):
    assert answer["Content-Type"] == "application/x-pem-file"
    return x509.load_pem_x509_certificates(answer.content)


def test_ca_certificates_are_where_certificates_say_and_their_chain_beside_them(status):
    assert status.get(at("/ca/{}.crt")).content == bytes(issuing().certificate_der)
    assert pems(status.get(at("/ca/{}.pem"))) == [issuing().certificate]
    assert pems(status.get(at("/ca/{}.pem", root()))) == [root().certificate]


def test_bundles_hold_the_roots_and_all_cas(status):
    assert pems(status.get("/ca/bundle.pem")) == [root().certificate]
    assert pems(status.get("/ca/all.pem")) == [root().certificate, issuing().certificate]


def test_a_compromised_ca_is_in_no_bundle_and_neither_is_what_it_signed(status, now):
    other = authorities.make_root("Another Root CA", "P-256", TESTER, now)
    authorities.make_subordinate("Another Issuing CA", other, "P-256", TESTER, now)
    authorities.change_state(issuing(), Issuer.State.COMPROMISED, TESTER, now)
    assert len(pems(status.get("/ca/all.pem"))) == 3
    authorities.change_state(other, Issuer.State.COMPROMISED, TESTER, now)
    first = Issuer.objects.filter(parent=None).order_by("pk")[0]
    assert pems(status.get("/ca/bundle.pem")) == [first.certificate]
    assert pems(status.get("/ca/all.pem")) == [first.certificate]
    authorities.change_state(first, Issuer.State.COMPROMISED, TESTER, now)
    assert_problem(status.get("/ca/bundle.pem"), 404, "not_found")


def test_a_client_that_asks_by_date_learns_of_a_compromise(status, now):
    before = status.get("/ca/all.pem")["Last-Modified"]
    with time_machine.travel(now + 60 * SECOND, tick=False):
        authorities.change_state(issuing(), Issuer.State.COMPROMISED, TESTER, now + 60 * SECOND)
        assert status.get("/ca/all.pem", HTTP_IF_MODIFIED_SINCE=before).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/crl/0000000000000000000000000000000000000000.crl",
        "/crl/0000000000000000000000000000000000000000/1.crl",
        "/crl/0000000000000000000000000000000000000000/delta.crl",
        "/ca/0000000000000000000000000000000000000000.crt",
        "/ca/0000000000000000000000000000000000000000.pem",
        "/crl/{}/2.crl",
        "/crl/{}/0.crl",
        "/crl/{}/01.crl",
        "/crl/{}/-1.crl",
        "/crl/{}/1.5.crl",
        "/crl/{}/999999999.crl",
        "/crl/{}/99999999999999999999999999999999.crl",
        "/crl/{}/1.crl%0A",
        "/crl/{}/%EF%BC%91.crl",
        "/crl/{}/1.txt",
        "/crl/{}/delta.pem",
        "/crl/.crl",
        "/crl/{}%00.crl",
        "/crl/..%2F..%2Fetc%2Fpasswd.crl",
        "/crl/",
    ],
)
def test_what_there_is_not_is_a_404(status, path):
    assert_problem(status.get(at(path)), 404, "not_found")


@every_path
def test_nothing_is_posted(status, path):
    refused = status.post(at(path))
    assert_problem(refused, 405, "method_not_allowed")
    assert refused["Allow"] == "GET, HEAD"


# --- What clients and caches keep ---------------------------------------------------------------------


@every_path
def test_who_has_it_is_told_so_without_bytes(status, path):
    whole = status.get(at(path))
    tag = whole["ETag"]
    assert tag.startswith('"')  # strong
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = status.get(at(path), HTTP_IF_NONE_MATCH=known)
        assert (answer.status_code, answer.content) == (304, b""), known
        assert (answer["ETag"], answer["Last-Modified"]) == (tag, whole["Last-Modified"])
        assert "Content-Length" not in answer
        assert answer["Cache-Control"] == whole["Cache-Control"]
    by_date = status.get(at(path), HTTP_IF_MODIFIED_SINCE=whole["Last-Modified"])
    # Two lists may be made anew in one second, and cross-certificates come and go within an issuer's life:
    # these go by their ETag alone.
    assert by_date.status_code == (200 if path in ("/crl/all.pem", "/ca/{}.pem") else 304)


@every_path
def test_who_has_another_one_gets_it(status, path):
    whole = status.get(at(path))
    earlier = http_date(parse_http_date(whole["Last-Modified"]) - 1)
    for condition in (
        {"HTTP_IF_NONE_MATCH": '"other"'},
        {"HTTP_IF_MODIFIED_SINCE": earlier},
        {"HTTP_IF_MODIFIED_SINCE": "yesterday"},
        {"HTTP_IF_NONE_MATCH": "a, b"},
        # RFC 9110 13.1.3: the date is not looked at beside a tag.
        {"HTTP_IF_NONE_MATCH": '"other"', "HTTP_IF_MODIFIED_SINCE": whole["Last-Modified"]},
    ):
        answer = status.get(at(path), **condition)
        assert (answer.status_code, answer.content) == (200, whole.content), condition


@every_path
def test_a_head_says_the_same_without_the_bytes(status, path):
    whole, head = status.get(at(path)), status.head(at(path))
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == str(len(whole.content))
    for name in ("ETag", "Last-Modified", "Content-Type"):
        assert head[name] == whole[name]


def test_no_two_representations_have_one_tag(status):
    tags = [status.get(at(path, issuer))["ETag"] for path in PATHS.values() for issuer in (root(), issuing())]
    same_for_both = 3  # the file of all lists, and the bundles
    assert len(set(tags)) == len(tags) - same_for_both


@pytest.mark.parametrize("path", LISTS)
def test_a_new_list_has_a_new_tag_and_a_later_date(status, path, now):
    before = status.get(at(path))
    publication.publish_now(RevocationList.objects.all(), TESTER, now)
    after = status.get(at(path), HTTP_IF_NONE_MATCH=before["ETag"])
    assert after.status_code == 200
    assert after["ETag"] != before["ETag"]
    by_date = status.get(at(path), HTTP_IF_MODIFIED_SINCE=before["Last-Modified"])
    assert by_date.content == after.content


def test_its_date_is_that_of_the_list(status):
    answer = status.get(at("/crl/{}.crl"))
    assert answer["Last-Modified"] == http_date(crls.load(answer.content).last_update_utc.timestamp())


def test_a_cache_asks_again_soon_and_never_keeps_a_list_that_has_ended(status, settings, now):
    settings.PORTAL_STATUS_MAX_AGE = 60
    with time_machine.travel(now, tick=False):
        answer = status.get(at("/crl/{}.crl"))
        assert answer["Cache-Control"] == "public, no-transform, must-revalidate, max-age=60"
        assert answer["Expires"] == http_date(now.timestamp() + 60)
    end = stored(issuing()).next_update
    with time_machine.travel(end - 10 * SECOND, tick=False):
        answer = status.get(at("/crl/{}.crl"))
        assert answer["Cache-Control"] == "public, no-transform, must-revalidate, max-age=10"
        assert parse_http_date(answer["Expires"]) == int(end.timestamp())


@pytest.mark.parametrize("path", LISTS)
def test_who_has_it_costs_no_look_at_the_bytes(status, path, django_assert_max_num_queries):
    tag = status.get(at(path))["ETag"]
    where = at(path)
    with django_assert_max_num_queries(1) as captured:
        assert status.get(where, HTTP_IF_NONE_MATCH=tag).status_code == 304
    (query,) = captured.captured_queries
    assert "der" not in query["sql"].partition("FROM")[0].replace("certificate_der", "")


def test_bytes_are_read_once_for_all_who_ask(status, django_assert_num_queries):
    where = at("/crl/{}.crl")
    status.get(where)
    with django_assert_num_queries(1):
        assert status.get(where).status_code == 200


# --- Made when it is asked for ------------------------------------------------------------------------


def test_a_get_makes_a_list_that_is_not_there_once(status):
    for _ in range(3):
        assert status.get(at("/crl/{}/1.crl")).status_code == 200
    assert stored(issuing(), 1).number == 1


@pytest.mark.django_db(transaction=True)
def test_while_another_makes_it_the_client_is_told_to_come_back(status):
    with alone("shards"):
        (answer,) = at_once(lambda: status.get(at("/crl/{}/1.crl")))
    assert_problem(answer, 503, "publication_busy")
    assert int(answer["Retry-After"]) <= 5


def test_what_is_stored_is_served_while_others_are_made(status, now):
    publish(now)
    with alone("shards"):
        assert status.get(at("/crl/{}/1.crl")).status_code == 200


def test_a_list_that_is_replaced_between_two_looks_is_served_whole(status, now, monkeypatch):
    publish(now)
    der, pending = published.der, [now, now + SECOND]

    def replaced(found):
        if pending:
            publication.publish_now([found], TESTER, pending.pop())
        return der(found)

    monkeypatch.setattr("pki.endpoints.crl.published.der", replaced)
    answer = status.get(at("/crl/{}.crl"))
    assert answer.content == bytes(stored(issuing()).der)
    assert answer["ETag"] == f'"{stored(issuing()).fingerprint}"'


# --- The shelf ----------------------------------------------------------------------------------------


def test_a_shelf_keeps_what_was_used_last_within_its_bounds():
    shelf = published.Shelf(most=10)
    made = []

    def make(name, size):
        def now():
            made.append(name)
            return bytes(size)

        return now

    for name in ("a", "b", "a", "c", "a", "b"):
        assert len(shelf.get(name, make(name, 4))) == 4
    assert made == ["a", "b", "c", "b"]
    assert len(shelf.get("too large", make("too large", 11))) == 11
    shelf.get("too large", make("too large", 11))
    assert made[-2:] == ["too large", "too large"]


def test_a_shelf_hands_out_one_copy():
    shelf = published.Shelf(most=100)
    assert shelf.get("a", lambda: bytes(8)) is shelf.get("a", lambda: bytes(8))


def test_who_makes_one_name_slowly_holds_up_no_other():
    shelf, begun, go_on = published.Shelf(most=100), threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert go_on.wait(10)
        return b"slow"

    with ThreadPoolExecutor() as pool:
        first = pool.submit(shelf.get, "slow", slow)
        assert begun.wait(10)
        try:
            assert pool.submit(shelf.get, "quick", lambda: b"quick").result(10) == b"quick"
        finally:
            go_on.set()
        assert first.result(10) == b"slow"


@pytest.mark.parametrize("path", LISTS)
def test_two_answers_with_a_list_share_its_bytes(status, now, path):
    """Or slow readers, each with a copy, would take all memory."""
    publish(now)
    first, second = (status.get(at(path)).content for _ in range(2))
    assert first is second


def test_an_hour_later_a_list_is_the_same(status, now):
    """Nothing is signed for who only asks."""
    first = status.get(at("/crl/{}.crl"))
    with time_machine.travel(now + timedelta(hours=1)):
        assert status.get(at("/crl/{}.crl"), HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 304
