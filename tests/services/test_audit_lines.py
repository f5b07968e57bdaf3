"""The audit trail as lines of a file and as messages of syslog: late at times, but none is left out."""

import errno
import json
import os
import socket
import threading
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from pki.models import AuditCheckpoint, AuditSeal
from pki.services import maintenance
from pki.services.auditing import audit_file, records, sealing, sending, syslog
from pki.services.auditing.audit_file import AuditFileFailed
from pki.services.auditing.syslog import SyslogAway
from tests.services.cast import registered

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sealed(ca, now):
    sealing.seal(now)
    return now


def more(now, *names):
    for name in names:
        registered(name, now)
    sealing.seal(now + MINUTE)


def whole():
    last = AuditSeal.objects.order_by("-position").first()
    return list(records.sealed(0, 0, last.position))


# --- A file -----------------------------------------------------------------------------------------


@pytest.fixture
def path(settings, tmp_path):
    settings.PORTAL_AUDIT_FILE = tmp_path / "audit.jsonl"
    return settings.PORTAL_AUDIT_FILE


def lines(*paths):
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def test_without_a_file_nothing_is_written(sealed):
    assert audit_file.write_due(sealed) == 0


def test_the_file_gets_all_from_before_and_then_what_is_new(path, sealed, monkeypatch):
    monkeypatch.setattr(sending, "PIECE", 2)
    assert audit_file.write_due(sealed) == len(whole())
    more(sealed, "door", "gate")
    assert audit_file.write_due(sealed) > 0
    assert audit_file.write_due(sealed) == 0
    assert lines(path) == whole()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_file_that_was_rotated_away_is_begun_anew(path, sealed):
    audit_file.write_due(sealed)
    path.rename(path.with_suffix(".1"))
    more(sealed, "door")
    audit_file.write_due(sealed)
    assert lines(path.with_suffix(".1"), path) == whole()


def test_another_file_gets_all_from_the_first_event_on(path, sealed, settings):
    audit_file.write_due(sealed)
    settings.PORTAL_AUDIT_FILE = path.with_name("other.jsonl")
    more(sealed, "door")
    audit_file.write_due(sealed)
    assert lines(settings.PORTAL_AUDIT_FILE) == whole()


def test_the_file_gets_what_was_sealed_in_the_same_run(path, sealed):
    registered("door", sealed)
    list(maintenance.run(lambda: sealed + MINUTE))
    assert lines(path) == whole()
    assert "device.registered" in [each["event"]["kind"] for each in lines(path) if each["type"] == "event"]


def test_a_process_that_is_killed_before_it_notes_writes_the_lines_again_and_leaves_out_none(
    path, sealed, monkeypatch
):
    def killed(file, mark):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(audit_file, "_keep", killed)
        with pytest.raises(KeyboardInterrupt):
            audit_file.write_due(sealed)
    audit_file.write_due(sealed)
    assert lines(path) == whole() * 2


def test_a_line_that_was_torn_by_a_power_cut_is_ended_and_written_again(path, sealed):
    path.write_bytes(b'{"type":"event","posi')
    audit_file.write_due(sealed)
    torn, *rest = path.read_bytes().splitlines()
    assert torn == b'{"type":"event","posi'
    assert [json.loads(line) for line in rest] == whole()


def test_a_full_disk_leaves_no_half_line_and_loses_nothing(path, sealed, monkeypatch):
    audit_file.write_due(sealed)
    before = path.read_bytes()
    more(sealed, "door", "gate")
    write = os.write

    def full(descriptor, data):
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(AuditFileFailed, match="No space left on device"):
            audit_file.write_due(sealed)
    assert path.read_bytes() == before
    audit_file.write_due(sealed)
    assert lines(path) == whole()


@pytest.fixture
def apart(settings, tmp_path, monkeypatch):
    """A file in a folder of its own, and what is waited for on the disk."""
    (tmp_path / "logs").mkdir()
    settings.PORTAL_AUDIT_FILE = tmp_path / "logs" / "audit.jsonl"
    fsync, waited = os.fsync, []

    def waits(descriptor):
        waited.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", waits)
    return settings.PORTAL_AUDIT_FILE, waited


@pytest.mark.parametrize("made_by", ["us", "logrotate"])
def test_the_name_of_a_new_file_is_on_the_disk_before_the_mark_moves(apart, sealed, made_by):
    path, waited = apart
    if made_by == "logrotate":
        path.touch()
    waited.clear()
    audit_file.write_due(sealed)
    assert waited[:2] == [str(path.parent), str(path)]
    more(sealed, "door")
    waited.clear()
    audit_file.write_due(sealed)
    assert waited[0] == str(path)
    assert str(path.parent) not in waited


@pytest.mark.parametrize("forgiven", [errno.EINVAL, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_waited_for_is_said_unless_nobody_can_or_we_may_not(
    apart, sealed, monkeypatch, forgiven
):
    path, _ = apart

    def fails(folder):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(audit_file, "sync_folder", fails)
    number = errno.EIO
    with pytest.raises(AuditFileFailed, match=f"its folder, {path.parent}: Input/output error"):
        audit_file.write_due(sealed)
    assert path.read_bytes() == b""
    number = forgiven
    audit_file.write_due(sealed)
    assert lines(path) == whole()


def test_what_is_no_file_or_not_there_is_said_and_waits(path, sealed):
    os.mkfifo(path)
    with pytest.raises(AuditFileFailed, match="it is no file"):
        audit_file.write_due(sealed)
    path.unlink()
    path.mkdir()
    with pytest.raises(AuditFileFailed, match="Is a directory"):
        audit_file.write_due(sealed)
    path.rmdir()
    audit_file.write_due(sealed)
    assert lines(path) == whole()


@pytest.mark.parametrize(
    "left", [b"", b"{}", b"[]", b'{"file": "x", "mark": {}}', b'{"mark": {"eve": 1}}', b"\xff"], ids=repr
)
def test_with_a_mark_that_is_damaged_or_of_another_trail_all_is_written_again(path, sealed, left):
    audit_file.write_due(sealed)
    (path.parent / "audit-file.mark").write_bytes(left)
    audit_file.write_due(sealed)
    assert lines(path) == whole() * 2


def test_after_a_restore_to_an_earlier_day_all_is_written_again(path, sealed):
    mark = {"chain": whole_chain(), "position": 10_000, "hash": "00", "checkpoint": 9}
    (path.parent / "audit-file.mark").write_text(json.dumps({"file": str(path), "mark": mark}))
    audit_file.write_due(sealed)
    assert lines(path) == whole()


def whole_chain():
    return json.loads(AuditCheckpoint.objects.first().statement.splitlines()[1])["chain"]


# --- syslog -----------------------------------------------------------------------------------------


class Receiver:
    """One that takes messages by TCP, and closes each connection when it has read it."""

    def __init__(self, *, resets=False):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.streams, self.resets = [], resets
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def receive(self):
        while True:
            connection, _ = self.listening.accept()
            with connection:
                stream = b""
                while data := connection.recv(65536):
                    if self.resets:  # with unread bytes: the sender gets RST
                        break
                    stream += data
                if stream == b"end":
                    return
                self.streams.append(stream)

    def close(self):
        self.resets = False
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"end")
        self.thread.join()
        self.listening.close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def messages(stream):
    """RFC 6587 3.4.1."""
    while stream:
        length, _, stream = stream.partition(b" ")
        yield stream[: int(length)]
        stream = stream[int(length) :]


def told(message):
    """What a message of RFC 5424 says; its header is as it has to be."""
    priority, at, host, app, process, kind, structured, text = message.decode("ascii").split(" ", 7)
    assert (priority, app, structured) == ("<110>1", "hatchery", "-")
    assert at.endswith("+00:00")
    assert host
    assert int(process) == os.getpid()
    record = json.loads(text)
    assert record["type"] == kind
    return record


def test_by_tcp_all_comes_in_order_and_once(settings, sealed, receiver, monkeypatch):
    monkeypatch.setattr(sending, "PIECE", 2)
    settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"tcp://127.0.0.1:{receiver.port}")
    syslog.send_due(sealed)
    more(sealed, "door")
    assert syslog.send_due(sealed) > 0
    assert syslog.send_due(sealed) == 0
    assert [told(each) for stream in receiver.streams for each in messages(stream)] == whole()


def test_while_the_receiver_is_away_nothing_is_lost(settings, sealed, receiver):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        away = nobody.getsockname()[1]
    settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"tcp://127.0.0.1:{away}")
    with pytest.raises(SyslogAway, match="Connection refused"):
        syslog.send_due(sealed)
    settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"tcp://127.0.0.1:{receiver.port}")
    syslog.send_due(sealed)
    assert [told(each) for stream in receiver.streams for each in messages(stream)] == whole()


def test_what_a_receiver_broke_off_is_sent_again(settings, sealed):
    for number in range(300):
        registered(f"door-{number}", sealed)
    sealing.seal(sealed + MINUTE)
    breaking = Receiver(resets=True)
    settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"tcp://127.0.0.1:{breaking.port}")
    try:
        with pytest.raises(SyslogAway):
            syslog.send_due(sealed)
        breaking.streams, breaking.resets = [], False
        syslog.send_due(sealed)
    finally:
        breaking.close()
    assert [told(each) for stream in breaking.streams for each in messages(stream)] == whole()


def datagrams(made):
    made.settimeout(0.2)
    received = []
    while True:
        try:
            received.append(made.recv(2**20))
        except TimeoutError:
            return received


def test_by_udp_and_a_local_socket_each_is_a_datagram(settings, sealed, tmp_path):
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(path))
        settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"unix://{path}")
        syslog.send_due(sealed)
        assert [told(each) for each in datagrams(local)] == whole()
    before = len(whole())
    more(sealed, "door")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"udp://127.0.0.1:{udp.getsockname()[1]}")
        syslog.send_due(sealed)
        assert [told(each) for each in datagrams(udp)] == whole()[before:]


def test_an_event_that_is_too_long_for_a_datagram_comes_without_its_detail(settings, sealed):
    from pki.services import audit
    from tests.services.cast import TESTER

    audit.record("test.done", TESTER, sealed, words="x" * 70_000)
    sealing.seal(sealed + MINUTE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"udp://127.0.0.1:{udp.getsockname()[1]}")
        syslog.send_due(sealed)
        received = [told(each) for each in datagrams(udp)]
    assert [record.get("position") for record in received] == [record.get("position") for record in whole()]
    (short,) = (record for record in received if record.get("event", {}).get("kind") == "test.done")
    assert short["event"]["detail"] == "left out: too long for one datagram"


def test_a_local_socket_that_is_not_there_is_said(settings, sealed, tmp_path):
    settings.PORTAL_AUDIT_SYSLOG = urlsplit(f"unix://{tmp_path}/none")
    with pytest.raises(SyslogAway, match="No such file"):
        syslog.send_due(sealed)
