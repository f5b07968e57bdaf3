"""Many devices at once: every line is checked, then all are registered or none."""

from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core.sheets import SheetRefused
from pki.models import AuditEvent, Device, DeviceGroup, EnrollmentToken
from pki.services.enrolling import tokens
from pki.services.fleet import devices, labels, rosters
from pki.services.looking import tallies
from tests.services.cast import DAY, TESTER, Gadget, at_once, everything, registered

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def berlin(ca, now):
    group = DeviceGroup(name="berlin")
    labels.save_group(group, ["name"], TESTER, now)
    return group


def read(text):
    return rosters.read(text, devices.default_profile())


def register(text, now, lifetime=None):
    """All steps to the end; the tokens that were handed out."""
    steps = list(rosters.register(read(text), TESTER, now, lifetime))
    return [each for step in steps for each in step.handed]


def names():
    return set(Device.objects.values_list("name", flat=True))


# --- Reading --------------------------------------------------------------------------------------

LISTS = {
    "a list of names": "door-1\ndoor-2\n",
    "a header alone above": "Name\ndoor-1\ndoor-2",
    "columns without a header": "door-1,device\ndoor-2,device",
    "a column in another place": "profile;NAME\ndevice;door-1\n;door-2",
    "empty lines": "\n\ndoor-1\n\n\ndoor-2\n\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_a_list_and_a_csv_are_understood(text):
    roster = read(text)
    assert [new.name for new in roster.new] == ["door-1", "door-2"]
    assert roster.problems == []


def test_every_column_is_taken(berlin, now):
    register(
        "name,profile,groups,labels,sans,O,OU,L,ST,C\n"
        'door-1,server,berlin,site=berlin beta,"DNS:a.example, ip:10.0.0.7",Ex,Unit,Town,State,DE',
        now,
    )
    door = Device.objects.get()
    assert (door.profile.name, door.sans) == ("server", ["DNS:a.example", "IP:10.0.0.7"])
    assert door.subject == {"O": "Ex", "OU": "Unit", "L": "Town", "ST": "State", "C": "DE"}
    assert [group.name for group in door.groups.all()] == ["berlin"]
    assert {label.name for label in door.labels.all()} == {"site=berlin", "beta"}


def test_a_uri_keeps_its_commas_and_semicolons(now):
    register('name,sans\ndoor-1,"URI:urn:a,b;c,DNS:d.example"', now)
    assert Device.objects.get().sans == ["URI:urn:a,b;c", "DNS:d.example"]


WRONG = {
    "a bad name": ("door-1\ndoor 2", 2, "1 to 64 characters"),
    "a name that runs in a spreadsheet": ("=cmd|calc", 1, "1 to 64 characters"),
    "a name that is too long": ("d" * 65, 1, "1 to 64 characters"),
    "no name": ("name,profile\n,device", 2, "1 to 64 characters"),
    "the same name twice": ("door-1\ndoor-2\ndoor-1", 3, "on line 1"),
    "a name that exists": ("door-1\ntaken", 2, "exists already"),
    "an unknown profile": ("door-1,dev", 1, "no profile 'dev'; there are device, server"),
    "an unknown group": ("name,groups\ndoor-1,paris", 2, "no group 'paris'; make it first"),
    "a bad SAN": ("name,sans\ndoor-1,DNS:a b", 2, "'b': A SAN is written"),
    "a SAN of an unknown kind": ("name,sans\ndoor-1,FAX:1", 2, "A SAN is written"),
    "a bad label": ("name,labels\ndoor-1,straße", 2, "A label has"),
    "a label that is too long": ("name,labels\ndoor-1," + "l" * 65, 2, "A label has"),
    "a bad country": ("name,C\ndoor-1,DEU", 2, "C has 1 to 2"),
    "an organization that is too long": ("name,O\ndoor-1," + "o" * 65, 2, "O has 1 to 64"),
    "a control character": ("name,O\ndoor-1,a\ab", 2, "printable"),
    "an unknown column": ("name,colour\ndoor-1,red", 1, "no column 'colour'; there are name"),
    "a column twice": ("name,O,O\ndoor-1,a,b", 1, "'O' is there twice"),
    "more cells than columns": ("name,profile\ndoor-1,device,x", 2, "more cells"),
}


@pytest.mark.parametrize(("text", "line", "what"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_line_and_then_nothing_is_registered(now, text, line, what):
    registered("taken", now)
    roster = read(text)
    assert [problem.line for problem in roster.problems] == [line]
    assert what in roster.problems[0].what
    before = everything()
    with pytest.raises(SheetRefused, match="Nothing is registered"):
        list(rosters.register(roster, TESTER, now))
    assert everything() == before


def test_all_errors_of_all_lines_are_told_at_once():
    roster = read("name,profile,sans,C\na b,dev,FAX:1,xx\ngood,,,\nc d,,,")
    assert [problem.line for problem in roster.problems] == [2, 2, 2, 2, 4]
    assert [new.name for new in roster.new] == ["good"]


@pytest.mark.parametrize(
    "text", ["", " \n ", "name,profile", "\n".join(f"d{i}" for i in range(10_001)), '"a']
)
def test_what_is_no_list_of_devices_is_refused_as_a_whole(text):
    with pytest.raises(SheetRefused):
        read(text)


def test_reading_asks_no_query_per_line(berlin):
    def queries(number):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            read("name,groups,labels\n" + "".join(f"d{i},berlin,l{i}\n" for i in range(number)))
        return len(asked)

    assert queries(400) == queries(4)


# --- Registering ----------------------------------------------------------------------------------


def test_each_device_has_its_own_event_and_is_tallied(now):
    before = tallies.devices_by_state(tallies.untallied())["active"]
    register("door-1\ndoor-2\ndoor-3", now)
    events = AuditEvent.objects.filter(kind="device.registered")
    assert {event.device.name for event in events} == {"door-1", "door-2", "door-3"}
    assert all(event.detail == {"profile": "device"} and event.actor == TESTER.name for event in events)
    assert tallies.devices_by_state(tallies.untallied())["active"] == before + 3


def test_a_registration_that_is_broken_off_makes_nothing(now):
    """As when the browser goes away."""
    before = everything()
    steps = rosters.register(read("\n".join(f"d{i}" for i in range(2_500))), TESTER, now)
    assert next(steps).done == 1_000
    steps.close()
    assert everything() == before


def test_a_name_that_appears_after_the_check_makes_nothing_of_all(now):
    roster = read("\n".join(["a-1", "late", "z-1"]))
    registered("late", now)
    before = everything()
    with pytest.raises(devices.DeviceExists):
        list(rosters.register(roster, TESTER, now))
    assert everything() == before


def test_one_that_appears_in_the_last_batch_undoes_the_first(now):
    roster = read("\n".join(f"d{i:05}" for i in range(2_000)))
    registered("d01999", now)
    with pytest.raises(devices.DeviceExists):
        list(rosters.register(roster, TESTER, now))
    assert names() == {"d01999"}


def test_the_tokens_work_and_only_their_digests_are_kept(now):
    handed = register("door-1\ndoor-2", now, DAY)
    assert [each.name for each in handed] == ["door-1", "door-2"]
    assert Gadget("door-2").enroll(handed[1].secret, now).certificate.device.name == "door-2"
    with pytest.raises(tokens.TokenInvalid):
        Gadget("door-2").enroll(handed[1].secret, now)
    stored = str(everything())
    assert not [each for each in handed if each.secret in stored or each.secret in repr(each)]
    assert AuditEvent.objects.filter(kind="token.made", device__name="door-1").count() == 1


def test_no_secret_is_in_the_log(now, caplog, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), caplog.at_level("INFO"):
        handed = register("door-1", now, DAY)
    assert "device.registered" in caplog.text
    assert "token.made" in caplog.text
    assert handed[0].secret not in caplog.text


def test_ten_thousand_are_registered_with_few_queries(berlin, now):
    text = "name,groups,labels\n" + "".join(f"d{i:05},berlin,rack={i % 200}\n" for i in range(10_000))
    with CaptureQueriesContext(connection) as asked:
        handed = register(text, now, DAY)
    assert Device.objects.count() == len(handed) == EnrollmentToken.objects.count() == 10_000
    assert AuditEvent.objects.filter(kind="device.registered").count() == 10_000
    assert berlin.devices.count() == 10_000
    assert len(asked) < 1_000


@pytest.mark.django_db(transaction=True)
def test_of_two_registrations_of_the_same_names_at_once_one_wins_wholly(now):
    for round_ in range(3):
        texts = [
            "name,labels\n" + "".join(f"r{round_}-{i},{who}\n" for i in order)
            for who, order in (("one", range(300)), ("two", reversed(range(300))))
        ]
        jobs = [partial(list, rosters.register(read(text), TESTER, now)) for text in texts]
        outcomes = at_once(*jobs)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DeviceExists", "list"]
        winner = "one" if isinstance(outcomes[0], list) else "two"
        made = Device.objects.filter(name__begins=f"r{round_}-")
        assert made.count() == made.filter(labels__name=winner).count() == 300


# --- Tokens again ---------------------------------------------------------------------------------


def test_a_group_awaits_tokens_for_its_active_devices_without_a_certificate(berlin, now):
    register("name,groups\nnew,berlin\nenrolled,berlin\nidle,berlin\nelsewhere,", now)
    handed = tokens.make_each([devices.find("enrolled")], TESTER, now)
    Gadget("enrolled").enroll(handed[0].secret, now)
    devices.change_state(devices.find("idle"), Device.State.SUSPENDED, TESTER, now)
    assert [device.name for device in tokens.awaited(berlin)] == ["new"]


def test_no_token_is_made_for_any_if_one_device_is_retired(now):
    register("door-1\ndoor-2", now)
    devices.change_state(devices.find("door-2"), Device.State.RETIRED, TESTER, now)
    before = everything()
    with pytest.raises(tokens.TokenUnfit, match="door-2"):
        tokens.make_each(list(Device.objects.all()), TESTER, now)
    assert everything() == before
