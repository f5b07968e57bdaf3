"""Whatever is posted to /sign-csr, with whatever Authorization: no input gives a 500 (Hypothesis)."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pki.models import Certificate, Device, EnrollmentRequest
from pki.services.enrolling import tokens
from tests.clients import make_csr
from tests.core.cast import block, private_key, request_info, signed_anew
from tests.core.test_hostile_bytes import FRAGMENTS, OTHER_VERSION, RICH, UNKNOWN_FEATURE, damaged
from tests.endpoints.problems import assert_problem
from tests.services.cast import pattern_token

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CSR = "CERTIFICATE REQUEST"
# The database is one for all examples: what an earlier one left must not make a later one fail.
hostile = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def in_pem(info):
    return block(CSR, signed_anew(info))


any_name = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
bodies = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=8).map(b"".join),
    damaged([request_info(RICH)]).map(in_pem),
    any_name.map(lambda name: make_csr(name, key=private_key("P-256"))),
)
# WSGI gives header fields as Latin-1 (PEP 3333); gunicorn refuses control characters before that.
any_header = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80)
headers = st.one_of(
    st.none(),
    any_header,
    any_header.map("Bearer {}".format),
    st.from_regex(r"Bearer +[A-Za-z0-9._~+/-]{1,60}=*", fullmatch=True),
    st.just("good"),
)
lengths = (
    st.none()
    | st.integers(-10, 10**6).map(str)
    | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=12)
)


@pytest.fixture
def secret(provisioning, now):
    return pattern_token("*", now, uses=1_000_000)


@hostile
@example(in_pem(OTHER_VERSION), "good", None)
@example(in_pem(UNKNOWN_FEATURE), "good", None)
@example(b"", None, "²")
@given(bodies, headers, lengths)
def test_no_input_gives_a_failure(provisioning, secret, body, header, length):
    environ = {} if header is None else {"HTTP_AUTHORIZATION": header.replace("good", f"Bearer {secret}")}
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    certificates = Certificate.objects.count()
    response = provisioning.post("/sign-csr", body, **environ)
    assert response.status_code in (200, 400, 401, 403, 413)
    if response.status_code == 200:
        assert header == "good"
        assert response.content.startswith(b"-----BEGIN CERTIFICATE-----")
    else:
        assert_problem(response, response.status_code, response.json()["code"])
        assert Certificate.objects.count() == certificates


@settings(hostile, max_examples=100)
@given(any_name)
def test_a_name_is_certified_as_it_is_or_not_at_all(provisioning, secret, name):
    response = provisioning.post("/sign-csr", make_csr(name), token=secret)
    if response.status_code == 200:
        assert Device.objects.filter(name=name).count() == 1
        assert name.isascii()
        assert name.isprintable()
    else:
        assert response.json()["code"] in ("name_refused", "device_exists")
        assert all(kept.name.isprintable() for kept in EnrollmentRequest.objects.all())


@settings(hostile, max_examples=100)
@given(any_header.filter(lambda header: tokens.PREFIX not in header))
def test_no_header_but_a_tokens_own_lets_anybody_in(provisioning, secret, header):
    response = provisioning.post("/sign-csr", make_csr("door-1"), HTTP_AUTHORIZATION=header)
    assert_problem(response, 401, "token_invalid" if header else "token_missing")
