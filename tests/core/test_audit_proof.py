"""An export of the audit trail, checked by the file that strangers copy: what was done to it is noticed."""

import base64
import copy
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.core import audit_proof, pins
from tests.clients import needs

BEGUN = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def made_key():
    return ec.generate_private_key(ec.SECP256R1())


def fingerprint(key):
    return pins.spki_sha256(key.public_key())


def pem_of_public_key(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def at(minutes):
    return (BEGUN + minutes * MINUTE).isoformat(timespec="microseconds")


def signed(key, statement):
    return base64.b64encode(key.sign(statement.encode(), ec.ECDSA(SHA256()))).decode()


@dataclass
class Trail:
    """An audit trail as Hatchery would export it, or as somebody with another key would."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=made_key)
    chain: str = "5eed"
    events: list[dict] = field(default_factory=list)
    checkpoints: list[dict] = field(default_factory=list)
    sealed: list[dict] = field(default_factory=list)
    unsealed: list[dict] = field(default_factory=list)
    signers: list[dict] = field(default_factory=list)
    last: str = ""
    settled: int = 8  # all below are sealed

    @property
    def head(self):
        return bytes.fromhex(self.events[-1]["hash"]) if self.events else audit_proof.genesis(self.chain)

    def event(self, number, **more):
        return {
            "id": number,
            "at": at(number),
            "kind": "certificate.issued",
            "actor": "administrator:ada",
            "address": "192.0.2.7",
            "device": f"door-{number}",
            "certificate": f"{number:064x}",
            "count": 1,
            "detail": {"profile": "device", "sans": ["DNS:tür.example"]},
            **more,
        }

    def seal(self, *events):
        for event in events:
            digest = audit_proof.event_hash(self.head, event).hex()
            record = {"type": "event", "position": len(self.events) + 1, "hash": digest, "event": event}
            self.events.append(record)
            self.sealed.append(record)
        return self

    def sign(self, minutes, key=None, **more):
        key = key or self.key
        said = {
            "at": at(minutes),
            "chain": self.chain,
            "count": len(self.events),
            "head": self.head.hex(),
            "last_event": self.events[-1]["event"]["id"],
            "number": len(self.checkpoints) + 1,
            "previous": audit_proof.digest(self.last) if self.last else "",
            **more,
        }
        self.last = audit_proof.statement(audit_proof.CHECKPOINT, **said)
        record = {
            "type": "checkpoint",
            "statement": self.last,
            "signature": signed(key, self.last),
            "signer": fingerprint(key),
        }
        self.checkpoints.append(record)
        self.sealed.append(record)
        return self

    def endorse(self, after, before=None):
        before = before or self.key
        statement = audit_proof.statement(
            audit_proof.SIGNER, at=at(0), chain=self.chain, fingerprint=fingerprint(after)
        )
        self.signers.append(
            {
                "type": "signer",
                "fingerprint": fingerprint(after),
                "public_key": base64.b64encode(pins.spki(after.public_key())).decode(),
                "endorsed_by": fingerprint(before),
                "statement": statement,
                "signature": signed(before, statement),
            }
        )
        return self

    def records(self, key=None):
        """With an end that `key` signed."""
        before = [
            {"type": "export", "format": audit_proof.FORMAT, "chain": self.chain, "at": at(60)},
            *self.signers,
            *self.sealed,
            *({"type": "unsealed", "event": event} for event in self.unsealed),
        ]
        return [*before, self.end(before, key or self.key)]

    def end(self, before, key):
        others = b""
        for record in before:
            if record["type"] != "event":
                others = hashlib.sha256(others + audit_proof.canonical(record)).digest()
        statement = audit_proof.statement(
            audit_proof.END,
            at=at(60),
            chain=self.chain,
            events=len(self.events),
            head=self.head.hex() if self.events else "",
            lines=len(before),
            others=others.hex(),
            settled=self.settled,
            unsealed=len(self.unsealed),
        )
        signature = signed(key, statement)
        return {"type": "end", "statement": statement, "signature": signature, "signer": fingerprint(key)}


def trail():
    """Six events, of which four were sealed at once, and the last two later."""
    made = Trail()
    made.seal(*(made.event(number) for number in (1, 2, 3, 4))).sign(5)
    made.seal(made.event(7), made.event(6)).sign(8)  # 6 was committed after 7
    return made


def checked(records, *keys, noted=""):
    known = audit_proof.Keys()
    for key in keys:
        known.give(pem_of_public_key(key))
    checker = audit_proof.Checker(known, noted)
    for number, record in enumerate(records, 1):
        checker.take(record, f"record {number}")
    checker.finish()
    return checker


def test_a_trail_that_nobody_touched_is_proven():
    made = trail()
    made.unsealed.append(made.event(9))
    checker = checked(made.records(), made.key, noted=made.checkpoints[0]["statement"])
    assert (checker.faults, checker.proven, checker.unsealed, checker.late) == ([], 6, 1, 0)
    *_, end, last = audit_proof.verdict(checker)
    assert end.startswith(f"The end of {at(60)}, signed too: 6 sealed events, and 1 that are not sealed yet.")
    assert last == "PROVEN: nothing was changed, removed, added or moved."


def of(records, kind):
    return [number for number, record in enumerate(records) if record["type"] == kind]


def changed(records, made):
    records[of(records, "event")[2]]["event"]["actor"] = "administrator:eve"


def changed_deeply(records, made):
    records[of(records, "event")[0]]["event"]["detail"]["sans"].append("DNS:eve.example")


def a_field_added(records, made):
    records[of(records, "event")[0]]["event"]["note"] = "all is well"


def removed(records, made):
    del records[of(records, "event")[2]]


def removed_and_counted_anew(records, made):
    removed(records, made)
    for position, number in enumerate(of(records, "event"), 1):
        records[number]["position"] = position


def first_removed(records, made):
    del records[of(records, "event")[0]]


def inserted(records, made):
    here = of(records, "event")[2]
    records.insert(here, {**copy.deepcopy(records[here]), "event": made.event(99)})


def inserted_and_counted_anew(records, made):
    inserted(records, made)
    for position, number in enumerate(of(records, "event"), 1):
        records[number]["position"] = position


def twice(records, made):
    here = of(records, "event")[3]
    records.insert(here, copy.deepcopy(records[here]))


def reordered(records, made):
    one, two = of(records, "event")[1:3]
    records[one], records[two] = records[two], records[one]


def contents_reordered(records, made):
    one, two = of(records, "event")[1:3]
    records[one]["event"], records[two]["event"] = records[two]["event"], records[one]["event"]


def end_torn_off(records, made):
    del records[-3:]


def event_after_the_last_checkpoint_taken_for_sealed(records, made):
    del records[of(records, "checkpoint")[1]]
    del records[of(records, "event")[5]]


def checkpoint_removed(records, made):
    del records[of(records, "checkpoint")[0]]


def all_checkpoints_removed(records, made):
    for number in reversed(of(records, "checkpoint")):
        del records[number]


def checkpoint_moved(records, made):
    records.insert(3, records.pop(of(records, "checkpoint")[0]))


def signature_of_another_statement(records, made):
    one, two = of(records, "checkpoint")
    records[two]["signature"] = records[one]["signature"]


def statement_changed(records, made):
    record = records[of(records, "checkpoint")[1]]
    record["statement"] = record["statement"].replace(at(8), at(9))


def statement_written_in_another_way(records, made):
    record = records[of(records, "checkpoint")[1]]
    record["statement"] = record["statement"].replace(",", ", ")


def another_chain_named(records, made):
    records[0]["chain"] = "0ther"


def old_event_put_among_those_not_sealed(records, made):
    old = made.event(9, at=(BEGUN - timedelta(days=2)).isoformat(timespec="microseconds"))
    made.unsealed.append(old)
    records[:] = made.records()  # signed with it: it was in the database


def one_put_among_those_that_are_sealed(records, made):
    made.unsealed.append(made.event(5))
    records[:] = made.records()


def one_put_before_all_that_are_sealed(records, made):
    made.unsealed.append(made.event(-1, at=at(9)))
    records[:] = made.records()


def one_that_is_still_to_happen(records, made):
    made.unsealed.append(made.event(9, at=at(60 + 61)))
    records[:] = made.records()


def more_after_the_end(records, made):
    records.append(copy.deepcopy(records[1]))


DEEDS = [
    changed,
    changed_deeply,
    a_field_added,
    removed,
    removed_and_counted_anew,
    first_removed,
    inserted,
    inserted_and_counted_anew,
    twice,
    reordered,
    contents_reordered,
    end_torn_off,
    checkpoint_removed,
    all_checkpoints_removed,
    checkpoint_moved,
    signature_of_another_statement,
    statement_changed,
    statement_written_in_another_way,
    another_chain_named,
    old_event_put_among_those_not_sealed,
    one_put_among_those_that_are_sealed,
    one_put_before_all_that_are_sealed,
    one_that_is_still_to_happen,
    more_after_the_end,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_it_is_noticed(deed):
    made = trail()
    records = copy.deepcopy(made.records())
    deed(records, made)
    assert checked(records, made.key).number_of_faults > 0


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (changed, "Event 3 at position 3 is not the one that was sealed there."),
        (removed, "The event at position 4 is not the next: position 3 comes here."),
        (twice, "The event at position 4 was put in, or stands in another's place: position 5 comes here."),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_the_place_is_named_and_what_is_right_after_it_is_not_a_fault(deed, words):
    made = trail()
    records = copy.deepcopy(made.records())
    deed(records, made)
    assert any(words in fault for fault in checked(records, made.key).faults)
    assert not any("position 6" in fault for fault in checked(records, made.key).faults)


# --- The end, cut off: with the public key alone -----------------------------------------------------


def end_as_it_was(whole, made, before):
    """The end of the whole export, after what is left of it."""
    return whole.records()[-1]


def end_by_another_key(whole, made, before):
    return made.end(before, made_key())


def end_in_the_name_of_the_right_key(whole, made, before):
    return {**made.end(before, made_key()), "signer": fingerprint(made.key)}


def end_without_a_signature(whole, made, before):
    return {**made.end(before, made_key()), "signer": "", "signature": ""}


def end_that_is_a_checkpoint(whole, made, before):
    return {**whole.checkpoints[0], "type": "end"}


def end_of_another_chain(whole, made, before):
    """Its key signed it, where there was nothing yet."""
    return Trail(made.key, chain="0ther").records()[-1]


ENDS = [
    end_as_it_was,
    end_by_another_key,
    end_in_the_name_of_the_right_key,
    end_without_a_signature,
    end_that_is_a_checkpoint,
    end_of_another_chain,
]


def rest_cut_off(made):
    """All after the first checkpoint."""
    made.events, made.sealed, made.checkpoints, made.unsealed = made.events[:4], made.sealed[:5], [], []


def last_event_and_checkpoint_cut_off(made):
    del made.events[5:], made.sealed[6:]


def last_checkpoint_cut_off(made):
    del made.sealed[-1]


def unsealed_cut_off(made):
    made.unsealed.clear()


def one_of_those_unsealed_cut_off(made):
    del made.unsealed[-1]


def rest_forged_as_unsealed(made):
    rest_cut_off(made)
    made.unsealed = [made.event(number, actor="administrator:eve") for number in (5, 6, 7)]


def rest_forged_as_sealed_without_a_checkpoint(made):
    rest_cut_off(made)
    made.seal(made.event(5, actor="administrator:eve"), made.event(6))


def one_put_among_those_unsealed(made):
    made.unsealed.insert(1, made.event(11, actor="administrator:eve"))


def one_of_those_unsealed_changed(made):
    made.unsealed[0] = made.event(9, actor="administrator:eve")


def endorsement_cut_off(made):
    made.signers.clear()


CUTS = [
    rest_cut_off,
    last_event_and_checkpoint_cut_off,
    last_checkpoint_cut_off,
    unsealed_cut_off,
    one_of_those_unsealed_cut_off,
    rest_forged_as_unsealed,
    rest_forged_as_sealed_without_a_checkpoint,
    one_put_among_those_unsealed,
    one_of_those_unsealed_changed,
    endorsement_cut_off,
]


def with_an_open_end():
    """With two events that are not sealed yet, and a key that another one endorses."""
    made = trail().endorse(made_key())
    made.unsealed = [made.event(9), made.event(10)]
    return made


@pytest.mark.parametrize("end", ENDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("cut", CUTS, ids=lambda each: each.__name__)
def test_a_cut_off_or_forged_end_is_noticed_with_the_public_key_alone(cut, end):
    whole = with_an_open_end()
    assert checked(whole.records(), whole.key).faults == []
    left = copy.deepcopy(whole, {id(whole.key): whole.key})
    cut(left)
    records = left.records()
    # Fitted to what is left in all but the key, or taken from the whole.
    records[-1] = end(whole, left, records[:-1])
    checker = checked(records, whole.key)
    assert any(
        "The end " in fault or "The signature" in fault or "no statement" in fault for fault in checker.faults
    )
    assert list(audit_proof.verdict(checker))[-1] == "NOT PROVEN."


def test_an_export_whose_end_nobody_signed_says_how_much_of_it_is_proven():
    made = with_an_open_end()
    checker = checked(made.records()[:-1], made.key)
    assert checker.faults == ["The export breaks off: its last line, which is signed, is missing."]
    assert list(audit_proof.verdict(checker))[-2] == "2 events after the checkpoint are not proven yet."


def test_a_trail_that_was_read_where_it_is_kept_is_proven_up_to_its_last_checkpoint():
    made = with_an_open_end()
    keys = audit_proof.Keys()
    keys.give(pem_of_public_key(made.key))
    checker = audit_proof.Checker(keys)
    for record in made.records()[:-1]:
        checker.take(record, "here")
    checker.end_here(made.settled)
    checker.finish()
    last = "PROVEN up to checkpoint 2: nothing was changed, removed, added or moved."
    assert (checker.faults, list(audit_proof.verdict(checker))[-1]) == ([], last)


def forged(key):
    """The whole trail made anew by somebody who has another key, with one event changed."""
    eves = Trail(key)
    eves.seal(eves.event(1), eves.event(2, actor="nobody"), eves.event(3), eves.event(4)).sign(5)
    return eves.seal(eves.event(7), eves.event(6)).sign(8)


def test_a_trail_signed_by_another_key_is_not_believed():
    faults = checked(forged(made_key()).records(), trail().key).faults
    assert any("Checkpoint 1 and what follows it are signed by the key " in fault for fault in faults)


def test_another_key_that_calls_itself_by_the_name_of_the_right_one_is_not_believed():
    made = trail()
    records = forged(made_key()).records()
    for number in of(records, "checkpoint"):
        records[number]["signer"] = fingerprint(made.key)
    assert any("The signature is not of this key." in fault for fault in checked(records, made.key).faults)


def test_a_forged_end_after_checkpoints_that_are_right_is_not_believed():
    made = trail()
    made.seal(made.event(10)).sign(11, made_key())
    faults = checked(made.records(), made.key).faults
    assert any("Checkpoint 3 and what follows it" in fault for fault in faults)


def test_a_key_that_endorsed_itself_is_not_believed():
    eve = made_key()
    assert checked(forged(eve).endorse(eve, eve).records(), trail().key).faults


def test_an_endorsement_by_a_stranger_in_the_name_of_the_right_key_is_not_believed():
    made, eve = trail(), made_key()
    eves = forged(eve).endorse(eve, eve)
    eves.signers[0]["endorsed_by"] = fingerprint(made.key)
    assert checked(eves.records(), made.key).faults


def test_an_endorsement_is_for_the_key_that_it_names():
    made, eve = trail(), made_key()
    eves = forged(eve)
    made.endorse(made_key())
    made.signers[0]["public_key"] = base64.b64encode(pins.spki(eve.public_key())).decode()
    eves.signers = made.signers
    assert checked(eves.records(), made.key).faults


def test_a_key_that_another_ones_endorsement_stands_beside_is_not_among_those_that_count():
    made, eve = Trail(), made_key()
    (record,) = made.endorse(made_key()).signers
    record["public_key"] = base64.b64encode(pins.spki(eve.public_key())).decode()
    keys = audit_proof.Keys()
    keys.give(pem_of_public_key(made.key))
    with pytest.raises(audit_proof.NotProven):
        keys.take(record)
    assert fingerprint(eve) not in keys


def test_lines_that_change_places_among_those_of_another_kind_are_noticed():
    """Whichever hash each kind is under."""
    made = trail().endorse(made_key())
    made.unsealed.append(made.event(9))
    records = made.records()
    assert not checked(records, made.key).faults
    for kind, to in (("unsealed", 2), ("signer", -2)):
        moved = [record for record in records if record["type"] != kind]
        moved.insert(to, next(record for record in records if record["type"] == kind))
        assert any("another's place" in fault for fault in checked(moved, made.key).faults)


def test_a_key_that_another_one_followed_signs_nothing_any_more():
    """Stolen, it would count for ever."""
    made, second = Trail(), made_key()
    made.endorse(second).seal(made.event(1)).sign(1).seal(made.event(2)).sign(2, key=second)
    assert not checked(made.records(key=second), made.key).faults
    assert any("was followed by" in fault for fault in checked(made.records(), made.key).faults)
    made.seal(made.event(3)).sign(3)
    assert any("was followed by" in fault for fault in checked(made.records(key=second), made.key).faults)


def test_a_new_key_that_the_old_one_endorsed_is_believed():
    made, after = trail(), made_key()
    made.endorse(after).seal(made.event(10)).sign(11, after)
    assert checked(made.records(after), made.key).faults == []


def test_who_has_the_new_key_alone_still_proves_what_the_old_one_signed():
    made, after = trail(), made_key()
    made.seal(made.event(10)).sign(11, after)
    checker = checked(made.records(after), after)
    assert (checker.faults, checker.proven) == ([], 7)


def shorter():
    """The trail as it was earlier, and as it is now: both were signed in earnest."""
    made = Trail(key=made_key())
    made.seal(*(made.event(number) for number in (1, 2, 3, 4))).sign(5)
    before = copy.deepcopy(made)
    return before, made.seal(made.event(6)).sign(7)


def test_an_older_export_looks_whole_by_itself_and_is_noticed_by_a_noted_checkpoint():
    cut, whole = shorter()
    checker = checked(cut.records(), whole.key)
    assert checker.faults == []
    assert any(
        "an older export that is handed out as a new one" in words for words in audit_proof.verdict(checker)
    )
    faults = checked(cut.records(), whole.key, noted=whole.checkpoints[1]["statement"]).faults
    assert faults == ["Checkpoint 2, which was noted, is missing: the end was cut off."]


def test_an_end_that_was_cut_off_and_signed_anew_is_noticed_by_a_noted_checkpoint():
    cut, whole = shorter()
    cut.seal(cut.event(8)).sign(9)  # by the right key: the server was made to
    assert checked(cut.records(), whole.key).faults == []
    faults = checked(cut.records(), whole.key, noted=whole.checkpoints[1]["statement"]).faults
    assert any("Checkpoint 2 is another one than the one that was noted." in fault for fault in faults)


def test_events_that_are_dated_back_are_counted():
    made = trail()
    made.seal(made.event(12, at=(BEGUN - timedelta(days=2)).isoformat(timespec="microseconds"))).sign(13)
    checker = checked(made.records(), made.key)
    assert (checker.faults, checker.late) == ([], 1)


FAR = ("0001", "9999")  # years
HOSTILE = [
    None,
    3,
    [],
    {},
    {"type": []},
    {"type": "event"},
    {"type": "event", "position": "1", "hash": "00", "event": {}},
    {"type": "event", "position": 7, "hash": "no hex", "event": {"id": 1, "at": at(1)}},
    {"type": "event", "position": True, "hash": "", "event": {"id": 1, "at": at(1)}},
    {"type": "event", "position": 7, "hash": "00", "event": {"id": 1, "at": "2026-05-01T12:00:00"}},
    {"type": "unsealed", "event": {"id": 1, "at": 3}},
    *({"type": "unsealed", "event": {"id": 1, "at": f"{year}-01-01T00:00:00+00:00"}} for year in FAR),
    {"type": "checkpoint", "statement": "", "signature": "", "signer": ""},
    {"type": "checkpoint", "statement": f"{audit_proof.CHECKPOINT}\n{{}}\n", "signature": "", "signer": ""},
    {"type": "checkpoint", "statement": None, "signature": None, "signer": None},
    {"type": "signer", "fingerprint": 1, "public_key": 1, "endorsed_by": [], "statement": 1, "signature": 1},
    {"type": "end", "events": 6, "unsealed": 0},
    {"type": "end", "statement": None, "signature": None, "signer": None},
    {"type": "end", "statement": f"{audit_proof.END}\n{{}}\n", "signature": "", "signer": []},
    {"type": "fault", "words": "none"},
]


@pytest.mark.parametrize("record", HOSTILE, ids=str)
def test_what_hatchery_would_not_write_is_a_fault_and_no_traceback(record):
    made = trail()
    records = made.records()
    records.insert(-1, record)
    checker = checked(records, made.key)
    assert checker.number_of_faults
    assert list(audit_proof.verdict(checker))[-1] == "NOT PROVEN."


@pytest.mark.parametrize("year", FAR)
def test_a_checkpoint_or_an_export_at_the_end_of_time_is_a_fault_and_no_traceback(year):
    moment = f"{year}-{'01-01' if year == '0001' else '12-31'}T00:00:00.000000+00:00"
    made = Trail().seal(*(Trail().event(number) for number in (1, 2))).sign(3, key=made_key(), at=moment)
    made.seal(made.event(4)).unsealed.append(made.event(5))
    records = made.records()
    records[0]["at"] = moment
    checker = checked(records, made.key)
    assert list(audit_proof.verdict(checker))[-1] == "NOT PROVEN."


# --- The file, as a program of its own --------------------------------------------------------------


def written(folder, name, records):
    path = folder / name
    path.write_bytes(b"".join(audit_proof.canonical(record) + b"\n" for record in records))
    return str(path)


@pytest.fixture
def files(tmp_path):
    made = trail()
    key = tmp_path / "audit.pem"
    key.write_bytes(pem_of_public_key(made.key))
    return made, written(tmp_path, "export.jsonl", made.records()), str(key)


def test_it_runs_alone_in_an_empty_folder(files, tmp_path):
    _, export, key = files
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(audit_proof.__file__, alone / "audit_proof.py")
    done = subprocess.run(
        [sys.executable, "-I", "audit_proof.py", export, "--public-key", key, "--noted", export],
        cwd=alone,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "PROVEN: nothing was changed, removed, added or moved."


@pytest.fixture
def followed(tmp_path):
    """An export of a trail whose key was changed, its last checkpoint, which the new key signed, and the old
    public key.
    """
    made, after = trail(), made_key()
    made.endorse(after).seal(made.event(10)).sign(11, after)
    key = tmp_path / "audit.pem"
    key.write_bytes(pem_of_public_key(made.key))
    noted = written(tmp_path, "checkpoint.jsonl", made.checkpoints[-1:])
    return made.records(after), noted, ["--public-key", str(key)]


def test_what_a_new_key_signed_is_noted_by_who_has_the_old_one_alone(followed, tmp_path):
    records, noted, key = followed
    export = written(tmp_path, "export.jsonl", records)
    assert audit_proof.main([export, *key, "--noted", noted]) == 0
    cut = written(tmp_path, "cut.jsonl", [record for record in records if record["type"] != "checkpoint"])
    assert audit_proof.main([cut, *key, "--noted", noted]) == 1


def test_what_a_key_signed_that_nobody_endorsed_is_not_noted(followed, tmp_path):
    records, noted, key = followed
    for forged in (records[:1] + records[2:], [*records[:1], *records[2:], records[1]]):
        assert audit_proof.main([written(tmp_path, "forged.jsonl", forged), *key, "--noted", noted]) == 2
    records[1]["signature"] = signed(made_key(), records[1]["statement"])
    assert audit_proof.main([written(tmp_path, "forged.jsonl", records), *key, "--noted", noted]) == 2


def test_an_export_without_an_event_is_held_against_what_was_noted(followed, tmp_path, capsys):
    records, noted, key = followed
    torn = written(tmp_path, "torn.jsonl", records[:2])
    assert audit_proof.main([torn, *key, "--noted", noted]) == 1
    assert "Checkpoint 3, which was noted, is missing" in capsys.readouterr().out


def test_an_export_that_comes_through_a_pipe_is_held_against_what_was_noted(followed, tmp_path):
    """It can be read once only."""
    records, noted, key = followed
    export = written(tmp_path, "export.jsonl", records)
    with subprocess.Popen(["cat", export], stdout=subprocess.PIPE) as piped:
        assert audit_proof.main([f"/dev/fd/{piped.stdout.fileno()}", *key, "--noted", noted]) == 0


def test_a_key_of_a_curve_that_nobody_knows_is_said(files, tmp_path, capsys):
    made, export, _ = files
    spki = pins.spki(made.key.public_key())
    # The OID of P-256, 1.2.840.10045.3.1.7, made one that is given to no curve.
    strange = base64.encodebytes(
        spki.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f"))
    )
    for data in (strange, base64.encodebytes(spki[:-1] + b"\0")):
        (tmp_path / "odd.pem").write_bytes(
            b"-----BEGIN PUBLIC KEY-----\n" + data + b"-----END PUBLIC KEY-----\n"
        )
        assert audit_proof.main([export, "--public-key", str(tmp_path / "odd.pem")]) == 2
        assert capsys.readouterr().err.startswith("What was given is no good: ")


def test_its_exit_status_says_what_it_found(files, tmp_path, capsys):
    made, export, key = files
    records = copy.deepcopy(made.records())
    changed(records, made)
    bad = written(tmp_path, "changed.jsonl", records)
    cut = written(tmp_path, "cut.jsonl", [*made.records()[:6], made.end(made.records()[:6], made_key())])
    assert audit_proof.main([bad, "--public-key", key]) == 1
    assert audit_proof.main([cut, "--public-key", key]) == 1
    assert audit_proof.main([export, "--public-key", key]) == 0
    assert audit_proof.main([export, "--public-key", export]) == 2
    assert audit_proof.main([export, "--public-key", str(tmp_path / "none")]) == 2
    assert audit_proof.main([export, "--public-key", key, "--noted", key]) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{",
        b'{"a":1,"a":2}\n',
        b'{"a": 1}\n',
        b'{"b":1,"a":1}\n',
        b'{"a":NaN}\n',
        b"\xff\n",
        b"[" * 9999,
    ],
    ids=str,
)
def test_a_line_that_could_be_read_in_two_ways_is_a_fault(files, tmp_path, line, capsys):
    made, _, key = files
    lines = [audit_proof.canonical(record) + b"\n" for record in made.records()]
    (tmp_path / "odd.jsonl").write_bytes(b"".join([*lines[:3], line, *lines[3:]]))
    assert audit_proof.main([str(tmp_path / "odd.jsonl"), "--public-key", key]) == 1
    assert "line 4: This is not as Hatchery writes it." in capsys.readouterr().out


def test_line_ends_that_were_changed_on_the_way_are_said_once(files, tmp_path, capsys):
    _, export, key = files
    with open(export, "rb") as file:
        (tmp_path / "crlf.jsonl").write_bytes(file.read().replace(b"\n", b"\r\n"))
    assert audit_proof.main([str(tmp_path / "crlf.jsonl"), "--public-key", key]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "line 1, ends with CR LF" in said.err


def test_no_event_writes_to_the_terminal(files, tmp_path, capsys):
    made, _, key = files
    records = copy.deepcopy(made.records())
    records[1]["event"]["id"] = "\x1b[2J\n"
    assert audit_proof.main([written(tmp_path, "loud.jsonl", records), "--public-key", key]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_openssl_verifies_a_checkpoint_too(files, tmp_path):
    made, _, key = files
    last = made.checkpoints[-1]
    (tmp_path / "statement").write_text(last["statement"])
    (tmp_path / "signature").write_bytes(base64.b64decode(last["signature"]))
    done = subprocess.run(
        [
            needs("openssl", package="openssl"),
            "dgst",
            "-sha256",
            "-verify",
            key,
            "-signature",
            "signature",
            "statement",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "Verified OK\n")


def test_two_writings_of_one_event_have_one_hash_and_two_events_have_two():
    event = Trail().event(1)
    again = json.loads(json.dumps(dict(reversed(event.items()))))
    assert audit_proof.event_hash(b"", event) == audit_proof.event_hash(b"", again)
    hashes = {audit_proof.event_hash(b"", {**event, key: None}) for key in event}
    assert len(hashes | {audit_proof.event_hash(b"", event)}) == len(event) + 1
