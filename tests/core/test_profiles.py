"""What a request is granted of what it wishes: what the profile allows, and nothing else."""

import dataclasses

import pytest
from cryptography import x509

from pki.core import names, profiles
from pki.core.keys import KeyKind, KeyRefused
from pki.core.names import SanKind
from pki.core.profiles import ExtendedKeyUsage
from tests.core.cast import private_key, record, rules, verified

OIDS = {attribute.short: attribute.oid for attribute in names.SUBJECT_ATTRIBUTES.values()}

TABLE = """
may choose | on record           | the CSR asks for      | it gets                      | and is told
           | CN=door             | CN=door               | CN=door                      |
           | CN=door             |                       | CN=door                      |
           | CN=door O=Ours      | CN=door               | O=Ours CN=door               |
           | CN=door O=Ours      | CN=door O=Ours        | O=Ours CN=door               |
           | CN=door O=Ours      | CN=door O=Evil        | O=Ours CN=door               | subject O
           | CN=door             | CN=door O=Evil        | CN=door                      | subject O
O          | CN=door             | CN=door O=Mine        | O=Mine CN=door               |
O          | CN=door             | CN=door OU=Mine       | CN=door                      | subject OU
O          | CN=door O=Ours      | CN=door O=Evil        | O=Ours CN=door               | subject O
O OU       | CN=door O=Ours      | O=Evil OU=Mine        | O=Ours OU=Mine CN=door       | subject O
CN         | CN=door             | CN=door               | CN=door                      |
           | CN=door DNS:a.io    |                       | CN=door DNS:a.io             |
           | CN=door DNS:a.io    | DNS:a.io              | CN=door DNS:a.io             |
           | CN=door             | DNS:a.io              | CN=door                      | SAN DNS:a.io
DNS        | CN=door             | DNS:a.io              | CN=door DNS:a.io             |
DNS        | CN=door             | DNS:a.io DNS:a.io     | CN=door DNS:a.io             |
DNS        | CN=door             | IP:10.0.0.7           | CN=door                      | SAN IP:10.0.0.7
IP         | CN=door             | DNS:10.0.0.7          | CN=door                      | SAN DNS:10.0.0.7
DNS        | CN=door IP:10.0.0.7 | DNS:b.io email:a@b.io | CN=door IP:10.0.0.7 DNS:b.io | SAN email:a@b.io
DNS URI    | CN=door             | URI:urn:a DNS:b.io    | CN=door URI:urn:a DNS:b.io   |
"""


def rows(table):
    """A written table's rows, without its head; each cell a list of its words."""
    return [[cell.split() for cell in line.split("|")] for line in table.strip().splitlines()[1:]]


def named(words):
    """The subject's attributes among words such as O=Ours DNS:a.io, and the SANs."""
    subject = dict(word.split("=") for word in words if "=" in word)
    return subject, [word for word in words if "=" not in word]


def asks(*words):
    """A proven request with these wishes."""
    subject, sans = named(words)
    return verified(
        subject=[(OIDS[short], value) for short, value in subject.items()],
        sans=[names.parse_san(san).general_name() for san in sans],
    )


def on_record(*words):
    subject, sans = named(words)
    return record(subject.pop("CN"), *sans, **subject)


def chooses(*words):
    """What a profile lets a CSR choose: kinds of SAN, and attributes of the subject."""
    kinds = {word for word in words if word in list(SanKind)}
    return {
        "sans_from_request": frozenset(map(SanKind, kinds)),
        "subject_from_request": frozenset(words) - kinds,
    }


@pytest.mark.parametrize(("may_choose", "known", "asked", "gets", "told"), rows(TABLE))
def test_a_request_is_granted_what_its_profile_allows(may_choose, known, asked, gets, told):
    granted = profiles.grant(rules(**chooses(*may_choose)), on_record(*known), asks(*asked))
    subject = [f"{short}={value}" for short, value in names.subject_attributes(granted.subject).items()]
    assert [*subject, *map(str, granted.sans)] == gets
    assert granted.ignored == ((" ".join(told),) if told else ())


def test_the_cn_is_the_devices_name_whatever_its_record_says():
    granted = profiles.grant(rules(**chooses("CN")), record("door-1", CN="door-2"), asks("CN=door-1"))
    assert names.subject_attributes(granted.subject) == {"CN": "door-1"}


def test_wishes_that_were_ignored_while_reading_are_told_too():
    request = dataclasses.replace(asks("CN=door-1", "O=Evil"), ignored=("extension 2.5.29.19",))
    granted = profiles.grant(rules(), record(), request)
    assert granted.ignored == ("extension 2.5.29.19", "subject O")


@pytest.mark.parametrize("name", ["door-2", "DOOR-1", "door-1 ", "door", ""])
@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
def test_another_name_than_the_devices_is_refused(name):
    with pytest.raises(profiles.NameMismatch) as caught:
        profiles.grant(rules(), record("door-1"), verified(name))
    assert caught.value.code == "name_mismatch"


@pytest.mark.parametrize(
    ("key_kind", "allowed"),
    [
        ("P-384", {KeyKind.P256}),
        ("P-256", {KeyKind.RSA, KeyKind.ED25519}),
        ("RSA-2048", {KeyKind.P256, KeyKind.P384}),
        ("Ed25519", set()),
    ],
)
def test_a_key_of_a_kind_that_the_profile_leaves_out_is_refused_by_name(key_kind, allowed):
    request = verified("door-1", key=private_key(key_kind))
    with pytest.raises(profiles.KeyKindRefused) as caught:
        profiles.grant(rules(key_kinds=frozenset(allowed)), record(), request)
    assert f"The key is {key_kind};" in caught.value.detail
    assert all(kind in caught.value.detail for kind in allowed)
    assert isinstance(caught.value, KeyRefused)


@pytest.mark.parametrize(
    ("known", "request_", "may_choose"),
    [
        (record("web"), asks("CN=web"), ()),
        (record("web"), asks("CN=web", "DNS:web.example"), ()),
        (record("web"), asks("CN=web", "DNS:web.example"), ("IP",)),
    ],
    ids=["nobody named one", "it may not choose", "it may choose others"],
)
def test_a_server_without_a_san_is_refused(known, request_, may_choose):
    server = rules(ExtendedKeyUsage.SERVER_AUTH, **chooses(*may_choose))
    with pytest.raises(profiles.SanMissing) as caught:
        profiles.grant(server, known, request_)
    assert caught.value.code == "san_missing"


@pytest.mark.parametrize(
    ("known", "may_choose"), [(record("web", "DNS:web.example"), ()), (record("web"), ("DNS",))]
)
def test_a_server_with_a_san_is_granted(known, may_choose):
    server = rules(ExtendedKeyUsage.SERVER_AUTH, **chooses(*may_choose))
    granted = profiles.grant(server, known, asks("CN=web", "DNS:web.example"))
    assert [str(san) for san in granted.sans] == ["DNS:web.example"]


@pytest.mark.parametrize(
    ("subject", "said"), [({"O": "Exam\nple"}, "O"), ({"OU": "x" * 65}, "OU"), ({"C": "de"}, "C")]
)
def test_an_allowed_wish_that_is_malformed_is_refused(subject, said):
    request = dataclasses.replace(asks("CN=door-1"), subject={"CN": "door-1", **subject})
    with pytest.raises(names.NameRefused) as caught:
        profiles.grant(rules(**chooses("O", "OU", "C")), record(), request)
    assert said in caught.value.detail


@pytest.mark.parametrize("usage", ExtendedKeyUsage)
def test_a_usage_has_the_oid_of_its_name(usage):
    assert usage.oid._name == usage  # as RFC 5280 4.2.1.12 writes it


def test_a_sans_general_name_is_of_its_kind():
    granted = profiles.grant(rules(**chooses("URI")), record(), asks("URI:urn:door:1"))
    assert [san.general_name() for san in granted.sans] == [x509.UniformResourceIdentifier("urn:door:1")]


# --- Weighed for people ---------------------------------------------------------------------------


def test_all_that_is_refused_is_said_and_grant_raises_the_first_of_it():
    strict = dataclasses.replace(
        rules(),
        key_kinds=frozenset({KeyKind.RSA}),
        extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,),
        subject_from_request=frozenset({"C"}),
    )
    request = asks("CN=gate", "C=de")
    outcome = profiles.weigh(strict, record("door"), request)
    assert [refusal.code for refusal in outcome.refusals] == [
        "key_refused",
        "name_mismatch",
        "san_missing",
        "name_refused",
    ]
    assert outcome.subject == {"CN": "door", "C": "de"}
    with pytest.raises(profiles.KeyKindRefused):
        profiles.grant(strict, record("door"), request)


def test_what_is_weighed_without_refusals_is_what_is_granted():
    request = asks("CN=door", "O=Mine", "DNS:a.io")
    outcome = profiles.weigh(rules(), record("door"), request)
    granted = profiles.grant(rules(), record("door"), request)
    assert outcome.refusals == ()
    assert names.subject(outcome.subject) == granted.subject
    assert (outcome.sans, outcome.ignored) == (granted.sans, granted.ignored)


def test_a_record_alone_is_weighed_as_a_request_without_wishes():
    for each in (rules(), dataclasses.replace(rules(), extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,))):
        alone = profiles.weigh_record(each, record("door"))
        asked = profiles.weigh(each, record("door"), asks())
        assert (alone.subject, alone.sans, alone.ignored) == (asked.subject, asked.sans, asked.ignored)
        assert [type(refusal) for refusal in alone.refusals] == [type(each) for each in asked.refusals]
