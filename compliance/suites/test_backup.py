"""Archives, judged by what the repositories hold, and by trying what a stolen key would try."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

Public = Callable[[str], Any]
Facts = dict[str, dict[str, Any]]
DAY, HOUR = 86400, 3600
KEPT_RECORDS = 6  # of a client, of one kind, that go into the evidence
UNIT = "tameng-backup"
SERVER = "/usr/local/lib/tameng/backup_server"
DOOR = "/etc/tameng/backup/sshd_config"
WITH_SSH = "ssh -F /etc/tameng/backup/ssh_config"
ANOTHER = "-o HostName=127.0.0.1 -o Port=22 -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5"
CHATTER = re.compile(
    r": the run failed|non-zero exit status|An error occurred|Error running|Need some help"
    r"|^summary|deprecated|option now expects|^\.\.\.$"
)
SIZES = {"M": 2**20, "G": 2**30, "T": 2**40}
REHEARSAL = Path(__file__).with_name("stolen_key.py").read_text()

SECOND_REHEARSAL = Path(__file__).with_name("stolen_copy_key.py").read_text()


@pytest.fixture
def clients(public: Public) -> list[str]:
    """Whose archives belong here."""
    return list(public("backup_server_clients"))


@pytest.fixture
def facts(ask: Ask, clients: list[str]) -> Facts:
    """What is in each repository, read without a lock; sent once for all tests."""
    told: Facts = json.loads(ask(f"{SERVER} facts"))
    return {name: told.get(name, {"trouble": "it has no repository"}) for name in clients}


@pytest.fixture
def rehearsal(host: Any, clients: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each client's key can do here."""
    words = " ".join(map(shlex.quote, clients))
    program = f"python3 -c {shlex.quote(REHEARSAL)} {words}"
    done = host.run(f"unshare --mount --propagation private {program}", timeout=90)
    if done.rc:
        broken(f"the rehearsal broke: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return told


@pytest.fixture
def newest(ask: Ask) -> dict[str, Any]:
    """This host's newest archive, as the repository has it."""
    told: dict[str, Any] = json.loads(ask("/usr/local/lib/tameng/backup newest"))
    return told


@control(
    "backup_complete",
    sabotage="set_backup 's|^    - /etc$|    - /etc/hosts|' && systemctl start tameng-backup",
    says="lacks /etc",
)
def test_the_newest_archive_has_everything(
    newest: dict[str, Any], ask: Ask, public: Public, evidence: Evidence
) -> None:
    """The folders, the dumps of the databases, and what a restore is held against; and no later run
    has failed."""
    evidence.measured("archive", newest["name"])
    evidence.measured("lacks", newest["lacks"])
    assert newest["name"], "the repository has no archive of this host"
    assert not newest["lacks"], f"the newest archive lacks {', '.join(newest['lacks'])}"
    hours = (time.time() - newest["at"]) / HOUR
    assert hours <= public("backup_oldest_hours"), f"the newest archive is {hours:.0f} hours old"
    said = ask(f"systemctl show {UNIT}.service -p Result,SubState")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("run", unit)
    assert unit["Result"] == "success", f"the last run failed: {last_words(ask)}"


def last_words(ask: Ask) -> str:
    """What stopped the last run, of all that borgmatic says of it."""
    said = ask(f"journalctl -u {UNIT}.service -t {UNIT} -o cat -n 60 --no-pager", exits=(0, 1))
    lines = [line for line in said.splitlines() if line.strip() and not CHATTER.search(line)]
    return lines[-1].strip()[:200] if lines else "its journal says nothing"


@control(
    "backup_scheduled",
    sabotage=f"systemctl disable -q --now {UNIT}.timer",
    says=f"{UNIT}.timer is inactive",
)
def test_nobody_must_remember(ask: Ask, evidence: Evidence) -> None:
    """It starts by itself, not all hosts at once, and also when the machine was off."""
    properties = (
        "ActiveState,UnitFileState,Persistent,RandomizedDelayUSec,NextElapseUSecRealtime,Unit"
    )
    said = ask(f"TZ=UTC systemctl show {UNIT}.timer -p {properties}")
    timer = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("timer", timer)
    assert timer["ActiveState"] == "active", f"{UNIT}.timer is {timer['ActiveState']}"
    assert timer["UnitFileState"] == "enabled", f"{UNIT}.timer doesn't start with the machine"
    resumed = ask(f"systemctl is-enabled {UNIT}-resume.service", exits=(0, 1, 4)).strip()
    evidence.measured("resumed", resumed)
    assert resumed == "enabled", "what a power cut stopped is not made up for"
    assert timer["Unit"] == f"{UNIT}.service", f"it starts {timer['Unit']}"
    assert timer["Persistent"] == "yes", "what was missed is not made up for"
    assert timer["RandomizedDelayUSec"] != "0", "all hosts begin at the same moment"
    shown = timer["NextElapseUSecRealtime"]
    assert shown.endswith(" UTC"), "it never starts"
    ahead = dt.datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
    days = (ahead.timestamp() - time.time()) / DAY
    assert days <= 4, f"it starts again in {days:.0f} days"


@control(
    "backup_server_pinned",
    sabotage="set_backup_ssh 's/StrictHostKeyChecking yes/StrictHostKeyChecking no/'",
    says="any server",
)
def test_only_the_pinned_server_gets_archives(
    host: Any, newest: dict[str, Any], evidence: Evidence
) -> None:
    """The server as it is pinned has just told what it keeps; another one, which nothing pins, is
    refused: this host's own. The backup server would count such tries, and ban whom we audit."""
    evidence.measured("pinned", newest["name"])
    unknown = host.run(f"{WITH_SSH} {ANOTHER} tameng-backup || true")
    evidence.measured("unpinned", unknown.stderr.strip()[-200:])
    if "Connection refused" in unknown.stderr:
        broken("there is no other server to try it with: this host's own doesn't answer")
    refused = "Host key verification failed" in unknown.stderr
    assert refused, "it sends archives to any server that answers"


@control(
    "backup_polite",
    sabotage="outbid system/tameng-backup.service.d tameng-backup.timer '[Service]' Nice=-5",
    says="nice -5",
)
def test_work_goes_first(ask: Ask, evidence: Evidence) -> None:
    """What the unit is started with."""
    said = ask(f"systemctl show {UNIT}.service -p Nice,IOSchedulingClass,CPUWeight")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("unit", unit)
    assert int(unit["Nice"]) >= 10, f"it runs with nice {unit['Nice']}"
    assert unit["IOSchedulingClass"] == "3", "it reads the disk when others wait for it"
    assert unit["CPUWeight"].isdigit(), f"its CPU weight is {unit['CPUWeight']}"
    assert int(unit["CPUWeight"]) < 100, f"its CPU weight is {unit['CPUWeight']}"


@control(
    "backup_keys_private",
    sabotage="chmod 0644 /etc/tameng/backup/passphrase && chmod 0755 /etc/tameng/backup",
    says="passphrase is 644",
)
def test_keys_are_roots_alone(ask: Ask, evidence: Evidence) -> None:
    """Files and the folder on the way to them."""
    said = ask("cd /etc/tameng/backup && stat -c '%a %u %n' . passphrase ssh_key")
    modes = {name: (mode, uid) for mode, uid, name in map(str.split, said.splitlines())}
    evidence.measured("modes", modes)
    for name, (mode, uid) in sorted(modes.items(), reverse=True):
        assert uid == "0", f"{name} is of user {uid}"
        assert mode == ("700" if name == "." else "600"), f"{name} is {mode}"


@control(
    "backup_fresh",
    sabotage="delete_archives monitor",
    says="monitor has no archive",
    also=("backup_archives_kept",),
    elsewhere=("backup_complete",),
)
def test_every_client_has_a_fresh_archive(facts: Facts, public: Public, evidence: Evidence) -> None:
    """By the archives themselves, whatever the clients say."""
    now, most = time.time(), public("backup_server_oldest_hours")
    there = {name: told for name, told in facts.items() if told.get("newest")}
    evidence.measured(
        "kept",
        {
            name: {
                "archives": told["archives"],
                "hours": round((now - told["newest"]) / HOUR, 1),
                "newest": told["newest_name"],
                "id": told["newest_id"],
                "bytes": told["bytes"],
            }
            for name, told in there.items()
        },
    )
    for name, told in facts.items():
        assert "trouble" not in told, f"{name}: {told['trouble']}"
        assert told["newest"], f"{name} has no archive"
        hours = (now - told["newest"]) / HOUR
        assert hours <= most, f"{name}: the newest archive is {hours:.0f} hours old"


@control(
    "backup_archives_kept",
    sabotage="delete_archives monitor 1",
    says="monitor: archives vanished",
    also=("backup_fresh",),
    elsewhere=("backup_complete",),
)
def test_no_archive_vanished(facts: Facts, evidence: Evidence) -> None:
    """Of those that the server knew, before it pruned any itself."""
    odd = {name: told.get("odd", [told.get("trouble")]) for name, told in facts.items()}
    evidence.measured("odd", odd)
    wrong = [f"{name}: {'; '.join(what)}" for name, what in odd.items() if what]
    assert not wrong, wrong[0]


@control(
    "backup_restored",
    sabotage="age_records app restores",
    says="app: not restored since 2020-01-01",
)
def test_archives_were_restored(facts: Facts, public: Public, evidence: Evidence) -> None:
    """On another host, by the escrow alone, and what came back was what had been saved. The server
    takes no record of an archive that it doesn't have, and dates it itself."""
    most = public("restore_drill_oldest_days")
    point, whole = public("restore_drill_rpo_hours"), public("restore_drill_rto_minutes")
    applications = public("restore_drill_applications")
    told = {name: facts.get(name, {}).get("restores", []) for name in public("restore_drill_from")}
    kept = {name: records[-KEPT_RECORDS:] for name, records in told.items()}
    evidence.measured("restores", kept)
    assert told, "the inventory names nobody whose archives are tried"
    for name, records in told.items():
        assert records, f"{name}: never restored"
        last = records[-1]
        day = dt.datetime.fromtimestamp(last["kept"], dt.UTC).date().isoformat()
        assert not last["wrong"], f"{name}, restored on {day}: {last['wrong'][0]}"
        assert last["files"], f"{name}, restored on {day}: nothing was compared"
        started = last.get("application", {}).get("name")
        assert started == applications.get(name), f"{name}: started was {started}"
        assert time.time() - last["kept"] <= most * DAY, f"{name}: not restored since {day}"
        assert last["rpo_hours"] <= point, f"{name}: the archive was {last['rpo_hours']} hours old"
        assert last["rto_minutes"] <= whole, f"{name}: it took {last['rto_minutes']} minutes"


@control(
    "backup_offline_copy",
    sabotage="age_records app copies",
    says="app: not copied since 2020-01-01",
)
def test_archives_lie_off_the_network(facts: Facts, public: Public, evidence: Evidence) -> None:
    """On a disk that a person brought, read back after it was written; the server dates it itself.
    Where the disk is now, a person says."""
    most = public("offline_copy_oldest_days")
    told = {name: facts[name].get("copies", []) for name in facts}
    evidence.measured("copies", {name: records[-KEPT_RECORDS:] for name, records in told.items()})
    evidence.measured("plugged", any(one.get("plugged") for one in facts.values()))
    for name, records in told.items():
        assert records, f"{name}: never copied to a disk"
        day = dt.datetime.fromtimestamp(records[-1]["kept"], dt.UTC).date().isoformat()
        assert time.time() - records[-1]["kept"] <= most * DAY, f"{name}: not copied since {day}"
        assert records[-1]["archives"], f"{name}: copied on {day} was a repository without archives"


@control(
    "backup_second_copy",
    sabotage="age_records app seconds",
    says="app: not copied since 2020-01-01",
)
def test_archives_lie_at_a_second_site(
    host: Any, clients: list[str], public: Public, evidence: Evidence
) -> None:
    """As the second site says by itself; what it has is what this server sent last, and nothing of
    it is missing there."""
    said = host.run(f"{SERVER} second tell")
    if said.rc:
        broken(f"the second site doesn't answer: {said.stderr.strip()[-200:]}")
    told, most = json.loads(said.stdout), public("second_copy_oldest_hours")
    evidence.measured("place", public("second_copy_place"))
    evidence.measured("second", {name: told.get(name, {}) for name in clients})
    for name in clients:
        there, sent = told.get(name, {}), told.get(name, {}).get("record", {})
        assert there.get("list"), f"{name}: nothing of it is at the second site"
        day = dt.datetime.fromtimestamp(sent.get("kept", 0), dt.UTC).date().isoformat()
        assert time.time() - sent.get("kept", 0) <= most * HOUR, f"{name}: not copied since {day}"
        assert there["sha256"] == sent["sha256"], f"{name}: the second site has another list"
        assert not there["missing"], f"{name}: the second site lacks {there['missing'][0]}"
        assert sent["archives"], f"{name}: copied on {day} was a repository without archives"
        days = (time.time() - sent["read"]) / DAY
        assert days <= 40, f"{name}: nobody has read it back there for {days:.0f} days"


@control(
    "backup_second_site_keeps",
    sabotage="""set_second_way 's/^command="[^"]*",restrict //'""",
    says="has a shell",
)
def test_the_second_site_loses_nothing(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Each key's forced command is let loose, as its account, on a folder that only this process
    sees: something is brought, then written over, unlisted and ordered away; it stays."""
    said = ask(f"unshare --mount --propagation private python3 -c {shlex.quote(SECOND_REHEARSAL)}")
    keys = json.loads(said)
    evidence.measured("keys", keys)
    known = {key["name"] for key in keys}
    for key in keys:
        assert key["command"], "a key has a shell"
        assert key["restricted"], f"{key['name']} may forward connections"
        assert "at23" not in key["said"], f"{key['name']} runs what it likes"
        listed = re.fullmatch(r"\d{8}T\d{6}Z", key["listed"])
        assert listed, f"{key['name']} can't bring anything: {key['said']} {key['listed']}"
        assert key["left"], f"{key['name']} can destroy what it brought"
    wanted = set(public("second_site_from"))
    assert known == wanted, f"who may bring copies is {', '.join(sorted(known)) or 'nobody'}"


Rehearsal = dict[str, list[dict[str, Any]]]


@control(
    "backup_append_only",
    sabotage="set_way_in monitor 's/ --append-only//'",
    says="monitor can destroy",
)
def test_a_stolen_key_destroys_nothing(rehearsal: Rehearsal, evidence: Evidence) -> None:
    """A repository of no worth is ordered away, by the command that is forced on the key."""
    for name, keys in rehearsal.items():
        evidence.measured(name, [key["command"] for key in keys])
        assert keys, f"{name} has no way in"
        for key in keys:
            assert key.get("left"), f"{name} can destroy its repository"
            assert "append-only" in key["destroy"], f"{name}: {key['destroy'][:200]}"


@control(
    "backup_own_repository_only",
    sabotage="set_way_in monitor 's| --restrict-to-repository [^ ]*||'",
    says="monitor can open",
)
def test_nobody_opens_anothers_repository(rehearsal: Rehearsal, evidence: Evidence) -> None:
    """Another's, whose files it could read, is asked for; its own one opens."""
    for name, keys in rehearsal.items():
        assert keys, f"{name} has no way in"
        for key in keys:
            evidence.measured(name, key.get("foreign", "")[-80:].strip())
            assert "not allowed" in key.get("foreign", ""), f"{name} can open others' repositories"
            assert "Repository ID" in key["destroy"], f"{name} can't open its own repository"


@control(
    "backup_no_shell",
    sabotage="""set_way_in monitor 's/^command="[^"]*",restrict //'""",
    says="monitor has a shell",
    also=("backup_append_only", "backup_own_repository_only", "backup_quota"),
)
def test_nobody_has_a_shell(rehearsal: Rehearsal, evidence: Evidence) -> None:
    """Whatever is asked for, the forced command answers; nothing is forwarded."""
    for name, keys in rehearsal.items():
        evidence.measured(name, len(keys))
        assert len(keys) == 1, f"{name} has {len(keys)} ways in"
        for key in keys:
            assert key["command"], f"{name} has a shell"
            assert not key["ran"], f"{name} runs what it likes"
            assert key["restricted"], f"{name} may forward connections"


@control(
    "backup_quota",
    sabotage="""set_way_in monitor 's/--storage-quota [^"]*/--storage-quota 900T/'""",
    says="the quotas add up to",
)
def test_no_client_fills_the_disk(rehearsal: Rehearsal, ask: Ask, evidence: Evidence) -> None:
    """Each has a bound; all together fit, and there is room for what comes next."""
    total = 0
    for name, keys in rehearsal.items():
        for key in keys:
            bound = re.search(r"--storage-quota (\d+)([MGT])(?: |$)", key["command"])
            assert bound, f"{name} has no quota"
            total += int(bound[1]) * SIZES[bound[2]]
    said = ask("df --output=size,avail -B1 /srv/backup | tail -n 1")
    size, free = map(int, said.split())
    evidence.measured("quotas_gib", round(total / 2**30, 1))
    evidence.measured("disk_gib", {"size": round(size / 2**30, 1), "free": round(free / 2**30, 1)})
    assert total <= size, (
        f"the quotas add up to {total / 2**30:.0f} GiB, on a disk of {size / 2**30:.0f} GiB"
    )
    assert free >= size / 20, f"only {free / 2**30:.1f} GiB of the disk are free"


@control(
    "backup_known_clients",
    sabotage="usermod -aG backup-clients games",
    says="games",
)
def test_only_clients_come_in(ask: Ask, clients: list[str], evidence: Evidence) -> None:
    """The members of the group that the door lets in; who is in no other group can't pass it, and
    they can't pass the operators'."""

    def lets_in(door: str) -> list[str]:
        said = ask(f"sshd -T -f {door} -C user=backup-x,host=x,addr=192.0.2.1").splitlines()
        allowed = [line.partition(" ")[2] for line in said if line.startswith("allow")]
        evidence.measured(door, allowed)
        return allowed

    assert "backup-*" in lets_in(DOOR), "the door for archives is open to other accounts"
    operators = lets_in("/etc/ssh/sshd_config")
    assert "backup-clients" not in operators, "clients may come in by the operators' door"
    members = set(ask("getent group backup-clients | cut -d: -f4").strip().split(",")) - {""}
    evidence.measured("members", sorted(members))
    strangers = members - {f"backup-{name}" for name in clients}
    assert not strangers, f"{', '.join(sorted(strangers))} may come in, and is no client"


@control(
    "backup_door_open",
    sabotage="systemctl disable -q --now tameng-backup-door.service",
    says="nobody answers",
)
def test_the_door_answers(ask: Ask, evidence: Evidence) -> None:
    """A handshake shows this host's key, and it is there after the next start."""
    said = ask("ssh-keyscan -T 5 -p 8022 -t ed25519 127.0.0.1 2>/dev/null", exits=(0, 1)).split()
    own = ask("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub").strip()
    state = ask("systemctl is-enabled tameng-backup-door.service", exits=(0, 1)).strip()
    evidence.measured("key", said[-1:])
    evidence.measured("unit", state)
    assert said, "nobody answers clients that bring archives"
    assert said[-1] == own, "another one answers clients that bring archives"
    assert state == "enabled", "the door for archives is shut after the next start"


@control(
    "backup_watched",
    sabotage="systemctl disable -q --now tameng-backup-watch.timer",
    says="tameng-backup-watch.timer is inactive",
)
def test_lists_are_compared(ask: Ask, facts: Facts, evidence: Evidence) -> None:
    """By timers that run, and lately so."""
    for what in ("watch", "verify"):
        said = ask(f"systemctl show {UNIT}-{what}.timer -p ActiveState,UnitFileState")
        timer = dict(line.split("=", 1) for line in said.splitlines())
        evidence.measured(what, timer)
        assert timer["ActiveState"] == "active", f"{UNIT}-{what}.timer is {timer['ActiveState']}"
        assert timer["UnitFileState"] == "enabled", f"{UNIT}-{what}.timer isn't enabled"
    for name, told in facts.items():
        minutes = (time.time() - (told.get("watched") or 0)) / 60
        # A list with something odd in it is held until somebody has looked.
        assert told.get("odd") or minutes <= 60, f"{name}: not compared for {minutes:.0f} minutes"


@control(
    "backup_checked",
    sabotage="age_backup_check monitor",
    says="monitor was not checked for",
)
def test_repositories_are_checked(facts: Facts, evidence: Evidence) -> None:
    """Its structure each week, every byte each month; and the last check found nothing."""
    ages = {}
    for name, told in facts.items():
        whole, data = (told.get(key) or {"at": 0} for key in ("check", "data"))
        # A clock that was wrong for a while may have left dates that are still to come.
        spans = [(time.time() - one["at"]) / DAY for one in (whole, data)]
        days, since = (min(span, 9999) if span > -1 else 9999 for span in spans)
        ages[name] = days, since
    evidence.measured(
        "checks",
        {n: {"days": round(days, 1), "data": round(d, 1)} for n, (days, d) in ages.items()},
    )
    for name, (days, since) in ages.items():
        last = facts[name].get("check") or {}
        assert days <= 9, f"{name} was not checked for {days:.0f} days"
        assert last.get("good"), f"{name}: the last check said {last.get('said')}"
        assert since <= 40, f"{name}: nobody has read its archives for {since:.0f} days"


@control(
    "backup_escrow_opens",
    sabotage="reseal_escrow monitor",
    says="monitor: arman",
)
def test_what_two_people_hold_opens_it(facts: Facts, public: Public, evidence: Evidence) -> None:
    """The passphrase in the escrow opens the repository, and the escrow is sealed for each holder.
    This host opens it as the third; that a holder's own key does is for the restore drill."""
    holders = {one["name"]: tag(one["key"]) for one in public("backup_holders")}
    evidence.measured("holders", holders)
    assert len(set(holders.values())) >= 2, "fewer than two people hold the escrow"
    for name, told in facts.items():
        evidence.measured(name, told.get("sealed_for"))
        assert told.get("escrow_opens"), f"{name}: the escrow doesn't open the repository"
        missing = [who for who, mark in holders.items() if mark not in told["sealed_for"]]
        assert not missing, f"{name}: {', '.join(missing)} can't open the escrow"


def tag(key: str) -> str:
    """How age names an SSH key in what is sealed for it."""
    wire = base64.b64decode(key.split()[1])
    return base64.b64encode(hashlib.sha256(wire).digest()[:4]).decode().rstrip("=")
