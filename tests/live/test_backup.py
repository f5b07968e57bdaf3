"""A backup that is made while devices enroll, and the installation that comes back from it elsewhere."""

import itertools
import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from tests import postgres, tables
from tests.clients import needs, run
from tests.live.devices import Device
from tests.live.parties import Ocsp
from tests.live.visitors import Visitor
from tests.server import Server, seen_within

SOON = 20.0  # seconds, generous
NUMBERS = itertools.count()


@dataclass
class Story:
    """What was done at the old place, and the new place where the backup was restored."""

    old: Server
    new: Server
    folder: Path
    archive: Path
    said: str = ""  # what restore printed, and logged
    keeper: str = "keeper"  # enrolled before the backup
    goner: str = "goner"  # the same, and revoked
    latecomer: str = "latecomer"  # enrolled after it
    used: str = ""  # a token that keeper used
    unused: str = ""  # one that nobody had used by then
    before: list[str] = field(default_factory=list)  # devices whose enrollment was answered by then
    lists: dict[str, int] = field(default_factory=dict)  # path of a CRL → the last number that was served
    administrator: dict[str, str] = field(default_factory=dict)  # cookies of who was logged in

    def at_new(self, name: str) -> Device:
        return Device(name, self.new, self.folder)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def databases(request):
    """The URLs of a database and of an empty one; none where each data directory has its own."""
    if request.param == "sqlite":
        if postgres.of_this_run():
            pytest.skip("PostgreSQL: SQLite's backup is tried where the tests run on it")
        yield None, None
        return
    for program in ("pg_dump", "pg_restore"):
        needs(program, package="postgresql-client")
    with tables.on_postgresql() as cluster:
        yield cluster.url, postgres.new_database(cluster.url, empty=True)


@pytest.fixture(scope="module")
def story(databases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    first, second = ({"DATABASE_URL": url} if url else {} for url in databases)
    old = Server(folder / "old", first).start()
    settings = {**second, "PORTAL_STATUS_URL": old.url("status", "").replace("localhost", "127.0.0.1")}
    new = Server(folder / "new", settings)
    told = Story(old, new, folder, folder / "backup.tar.gz")
    try:
        _live_before(told)
        _back_up_under_load(told)
        _live_after(told)
        assert old.stop() == 0
        _restore(told)
        new.start()
        yield told
        assert new.stop() == 0, new.output()
    finally:
        for server in (old, new):
            if server.process is not None and server.process.poll() is None:
                server.process.kill()
                server.process.wait(timeout=20)


def _live_before(told):
    told.used, told.unused = told.old.token("--device", told.keeper), told.old.token("--device", "lingerer")
    Device.made(told.old, told.folder, told.keeper).enroll(told.used)
    Device.enrolled(told.old, told.folder, told.goner)
    told.old.revoke(told.goner)
    context = ssl.create_default_context(cafile=str(told.old.demo / "ca.pem"))
    visitor = Visitor(told.old, context)
    visitor.log_in_as_administrator()
    assert visitor.is_in()
    told.administrator = dict(visitor.cookies)
    visitor.connection.close()


def _back_up_under_load(told):
    token = told.old.token("--pattern", "load-*", "--uses", "2000")
    answered, enough = [], threading.Event()

    def enroll_on_and_on():
        while not enough.is_set():
            device = Device.made(told.old, told.folder, f"load-{next(NUMBERS)}")
            device.enroll(token)
            answered.append(device.name)

    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(enroll_on_and_on) for _ in range(2)]
        try:
            assert seen_within(SOON, lambda: len(answered) > 3)
            told.before = list(answered)
            done = told.old.manage("backup", str(told.archive))
            while_it_ran = len(answered) - len(told.before)
        finally:
            enough.set()
        for load in loads:
            load.result()
    assert done.returncode == 0, done.stderr
    assert while_it_ran > 0
    assert b"passphrase is not in it" in done.stdout


def _live_after(told):
    Device.enrolled(told.old, told.folder, told.latecomer)
    path = list_of(Device(told.latecomer, told.old, told.folder))
    full = f"{path.rpartition('/')[0]}.crl"
    first = number_at(told.old, full)
    told.old.revoke(told.before[0])
    assert seen_within(SOON, lambda: number_at(told.old, full) > first)
    told.lists = {each: number_at(told.old, each) for each in (path, full)}


def _restore(told):
    """With the passphrase as an operator keeps it: elsewhere."""
    kept = told.folder / "passphrase"
    kept.write_bytes((told.old.data / "secrets" / "key-passphrase").read_bytes())
    told.new.settings["PORTAL_KEY_PASSPHRASE_FILE"] = str(kept)
    done = told.new.manage("restore", str(told.archive))
    assert done.returncode == 0, done.stderr
    told.said = (done.stdout + done.stderr).decode()


def list_of(device):
    """The path of the CRL that a device's certificate names."""
    certificate = x509.load_pem_x509_certificate(device.certificate.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return urlsplit(named[0].full_name[0].value).path


def number_at(server, path):
    """The number of the CRL that is served."""
    # While a worker makes the very first one after a restore, it is 503 with a Retry-After, which curl heeds.
    crl = x509.load_der_x509_crl(
        run("curl", "-sS", "--fail", "--retry", "5", server.url("status", path)).stdout
    )
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def problem_of(asked, device):
    assert asked.stdout.startswith(b"4")
    return json.loads(device.certificate.read_bytes())["code"]


def test_it_is_the_same_authority(story):
    assert (story.new.demo / "ca.pem").read_bytes() == (story.old.demo / "ca.pem").read_bytes()


def test_the_same_device_is_accepted_with_its_old_certificate(story):
    said = json.loads(story.at_new(story.keeper).curl().stdout)
    assert said["message"] == f"Hello {story.keeper}, mutual trust established"


def test_every_device_whose_enrollment_was_answered_before_the_backup_is_known(story):
    revoked_since, *others = story.before
    for name in (*others, revoked_since):
        assert json.loads(story.at_new(name).curl().stdout)["client"] == name


def test_what_was_revoked_before_the_backup_is_refused(story):
    assert story.at_new(story.goner).curl().returncode == 56
    assert story.new.logs('"reason": "certificate_revoked"')


def test_a_new_device_enrolls(story):
    device = Device.enrolled(story.new, story.folder, "newcomer")
    assert json.loads(device.curl().stdout)["client"] == "newcomer"


def test_a_token_that_was_used_stays_used(story, tmp_path):
    thief = Device.made(story.new, tmp_path, story.keeper)
    assert problem_of(thief.ask(story.used), thief) == "token_invalid"


def test_a_token_that_was_open_is_cancelled_because_it_may_have_been_used_since(story, tmp_path):
    device = Device.made(story.new, tmp_path, "lingerer")
    assert problem_of(device.ask(story.unused), device) == "token_invalid"


def test_crl_numbers_are_higher_than_any_that_was_served_since_the_backup(story):
    assert story.lists
    for path, last in story.lists.items():
        assert number_at(story.new, path) > last


def test_the_lists_say_who_is_revoked_and_no_older_one_is_served(story):
    path = list_of(story.at_new(story.goner))
    crl = x509.load_der_x509_crl(
        run("curl", "-sS", "--fail", "--retry", "5", story.new.url("status", path)).stdout
    )
    serials = {revoked.serial_number for revoked in crl}
    (goner,) = x509.load_pem_x509_certificates(story.at_new(story.goner).certificate.read_bytes())[:1]
    assert serials == {goner.serial_number}


def status_of(device):
    with closing(Ocsp(device)) as party:
        _, body = party._ask("POST", "/ocsp", party._request, **{"Content-Type": "application/ocsp-request"})
    return ocsp.load_der_ocsp_response(body).certificate_status


def test_ocsp_knows_what_was_known_at_the_backup(story):
    assert status_of(story.at_new(story.keeper)) == ocsp.OCSPCertStatus.GOOD
    assert status_of(story.at_new(story.goner)) == ocsp.OCSPCertStatus.REVOKED


def test_a_certificate_of_after_the_backup_is_refused_and_its_device_enrolls_anew(story):
    late = story.at_new(story.latecomer)
    assert status_of(late) == ocsp.OCSPCertStatus.UNKNOWN
    assert late.curl().returncode == 56
    assert story.new.logs('"reason": "certificate_unknown"')
    late.enroll(story.new.token("--device", late.name))
    assert json.loads(late.curl().stdout)["client"] == late.name


def test_who_was_logged_in_is_not_any_more(story):
    context = ssl.create_default_context(cafile=str(story.new.demo / "ca.pem"))
    visitor = Visitor(story.new, context, dict(story.administrator))
    try:
        assert not visitor.is_in()
    finally:
        visitor.connection.close()


def test_it_says_what_is_lost_and_records_that_it_was_restored(story):
    for words in ("OCSP calls them unknown", "is good again", "tokens that were open then are cancelled"):
        assert words in story.said
    assert "installation.restored" in story.said
    # The old place recorded its backup; the log of the new one begins with the restore.
    assert "installation.backed_up" not in story.said


def test_a_second_restore_is_refused_and_changes_nothing(story):
    refused = story.new.manage("restore", str(story.archive))
    assert refused.returncode == 1
    assert b"already" in refused.stderr
    assert json.loads(story.at_new(story.keeper).curl().stdout)["client"] == story.keeper
