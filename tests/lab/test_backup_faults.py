"""What befalls archives without anybody's ill will: each fault is caused on real hosts, and has a
verdict and a recovery. 100 % of the archives from before it restore.

What would take minutes is made quick by settings of the test's own (a slow line, small intervals);
afterwards the lab is put back to its snapshot.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compliance import inventory
from compliance.evidence import Verdict
from compliance.verdict import State
from inputs import paths
from tests.lab import proving
from tests.lab.watching import ROOT, ansible_playbook, forget, month, on, until

VICTIM, SERVER = "app", "backup"
CLIENT = "/usr/local/lib/tameng/backup"
KEEPER = "/usr/local/lib/tameng/backup_server"
REPOSITORY = f"/srv/backup/{VICTIM}/repository"
AT_WORK = "/usr/local/lib/at-work/borg"  # nothing starts from folders for anybody's files
LOCK = f"{REPOSITORY}/lock.exclusive"
DISK = "/media/luar-jaringan"
MACHINES = ROOT / "lab/roles/machines/files/machines"
SETTINGS = "/etc/tameng/backup/borgmatic.yaml"
BOOK = "/srv/buku"  # what is compared byte by byte
RUN = "systemctl start tameng-backup.service"
WATCH = "systemctl start tameng-backup-watch.service"
# As a run that waits for its next try is begun at once.
AGAIN = f"systemctl stop tameng-backup.service; {RUN}"


@pytest.fixture(scope="module")
def before(
    lab: str, lab_limit: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[set[str]]:
    """Archives that must outlive whatever comes. At the end all is put back, also our own keys."""
    kept = tmp_path_factory.mktemp("kept")
    ours = [ROOT / f"var/{lab}" / name for name in ("escrow", "keys")]
    for folder in ours:
        shutil.copytree(folder, kept / folder.name)
    forget()
    quicken()
    on(VICTIM, "sed -i 's/AliveInterval 15/AliveInterval 1/' /etc/tameng/backup/ssh_config")
    on(SERVER, WATCH)
    on(VICTIM, f"seq 1 200000 >{BOOK}; {RUN}")
    on(VICTIM, f"head -c 2M /dev/urandom >/srv/acak; {RUN}")
    on(SERVER, f"{WATCH}; {KEEPER} verify")
    try:
        yield {name for name in names() if BOOK[1:] in listed(name)}
    finally:
        for folder in ours:
            shutil.rmtree(folder)
            shutil.copytree(kept / folder.name, folder)
        limit = ["--limit", lab_limit] if lab_limit else []
        again = [sys.executable, "-m", "cli", "lab", "reset", *limit]
        subprocess.run(again, cwd=ROOT, check=True, capture_output=True)


def quicken() -> None:
    """Who was cut off is missed within ten seconds, not two minutes; the retention keeps archives
    that are seconds apart, as if they were of different days."""
    on(
        SERVER,
        "sed -i '1i ClientAliveInterval 5' /etc/tameng/backup/sshd_config;"
        " systemctl restart tameng-backup-door.service;"
        """ sed -i 's/"daily": 14/"secondly": 999, "daily": 14/' /etc/tameng/backup/server.json""",
    )


def borg(*words: str) -> str:
    """As the server reads it, whatever the client may; again where that is just being written."""
    sealed = f"age -d -i /etc/ssh/ssh_host_ed25519_key /var/lib/tameng/backup/{VICTIM}.age"
    return on(
        SERVER,
        f"export BORG_PASSPHRASE=$({sealed}) BORG_BASE_DIR=/run/look BORG_REPO={REPOSITORY}"
        f" BORG_RELOCATED_REPO_ACCESS_IS_OK=yes; install -d -o backup-{VICTIM} /run/look;"
        f" for _ in 1 2 3; do runuser -u backup-{VICTIM} -- borg {' '.join(words)} && exit;"
        " sleep 1; done; exit 2",
    )


def names(*words: str) -> set[str]:
    return set(borg("list", "--short", "--bypass-lock", *words).splitlines())


def listed(name: str) -> set[str]:
    return set(borg("list", "--short", "--bypass-lock", f"::{name}").splitlines())


def facts() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(on(SERVER, f"{KEEPER} facts"))[VICTIM]
    return told


def newest() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(on(VICTIM, f"{CLIENT} newest"))
    return told


def whole(archives: set[str]) -> None:
    """All of them are there and can be read to the last byte, and what one holds is what it was."""
    assert archives
    assert archives <= names()
    each = "; ".join(f"{CLIENT} borg extract --dry-run ::{name} || exit 1" for name in archives)
    on(VICTIM, each)
    said = on(VICTIM, f"{CLIENT} borg extract --stdout ::{min(archives)} {BOOK[1:]} | cmp - {BOOK}")
    assert said == ""


def estate() -> inventory.Inventory:
    return inventory.load(paths.inventory("lab"))


def verdict(control: str, host: str) -> Verdict:
    return proving.ask(estate(), [control], [host])[control, host]


def red(control: str, host: str) -> str:
    """What a control that failed says."""
    told = verdict(control, host)
    assert told.state is State.FAIL, f"{told.state}: {told.message}"
    return told.message


def green(control: str, host: str) -> None:
    told = verdict(control, host)
    assert told.state is State.PASS, f"{told.state}: {told.message}"


def fails() -> str:
    """What the journal has of a run that must not succeed."""
    since = on(VICTIM, "date +%s")
    on(VICTIM, f"systemctl stop tameng-backup.service; ! {RUN}")
    return on(VICTIM, f"journalctl -u tameng-backup.service -o cat --no-pager --since @{since}")


def forget_pruning() -> None:
    """As if the server had not pruned for a day."""
    state = f"/var/lib/tameng/backup/{VICTIM}.json"
    on(SERVER, f"""sed -i 's/"pruned": [0-9.]*/"pruned": 0/' {state}""")


def pull_the_plug(lab: str, host: str) -> None:
    subprocess.run([MACHINES, "kill", lab, host], check=True, capture_output=True)


def start(lab: str, host: str) -> None:
    subprocess.run([MACHINES, "start", lab, host], check=True, capture_output=True)
    command = [sys.executable, "-m", "cli", "lab", "ssh", host, "true"]
    until(
        60,
        lambda: not subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode,
    )


def test_a_full_disk_loses_nothing(before: set[str]) -> None:
    """A file system of fixed size stands in for the server's disk, with somebody else's file on it;
    what the server knows is on a full one, too, and stays whole."""
    on(
        SERVER,
        """set -e
        systemctl stop tameng-backup-watch.timer
        mkdir -p /mnt/full /mnt/state
        mount -t tmpfs -o size=$(($(du -sm /srv/backup | cut -f1) + 60))M,mode=755 disk /mnt/full
        mount -t tmpfs -o size=1M,mode=700 disk /mnt/state
        cp -a /srv/backup/. /mnt/full/
        cp -a /var/lib/tameng/backup/. /mnt/state/
        mount --bind /mnt/full /srv/backup
        mount --bind /mnt/state /var/lib/tameng/backup
        for client in /srv/backup/*; do
            share=$(($(du -sm $client | cut -f1) + 10))
            sed -i "s/quota 2G/quota ${share}M/" $client/.ssh/authorized_keys
        done
        ! cat /dev/zero >/mnt/full/orang-lain 2>/dev/null""",
    )
    try:
        there = names()
        on(VICTIM, "head -c 4M /dev/urandom >/srv/besar")
        said = fails()
        assert "No space left" in said or "free space" in said, said
        assert names() == there
        assert "of the disk are free" in red("backup_quota", SERVER)
        on(SERVER, "! cat /dev/zero >/mnt/state/penuh 2>/dev/null")
        was = on(SERVER, f"cat /mnt/state/{VICTIM}.json")
        assert "No space left" in on(SERVER, f"{KEEPER} watch || true")
        assert on(SERVER, f"cat /mnt/state/{VICTIM}.json") == was
        on(SERVER, "rm /mnt/full/orang-lain /mnt/state/penuh")
        on(VICTIM, AGAIN)
        assert len(names() - there) == 1
        # The same when only its own share is used up.
        on(
            SERVER,
            f"cd /srv/backup/{VICTIM}; share=$(($(du -sm repository | cut -f1) + 1));"
            ' sed -i "s/quota [0-9]*M/quota ${share}M/" .ssh/authorized_keys',
        )
        on(VICTIM, "head -c 6M /dev/urandom >/srv/besar")
        assert "quota" in fails()
        assert "quota" in red("backup_complete", VICTIM)
        on(SERVER, f"{KEEPER} mend")
        on(VICTIM, AGAIN)
        whole(before)
    finally:
        on(
            SERVER,
            """set -e
            systemctl stop tameng-backup-watch.service
            umount /srv/backup /var/lib/tameng/backup
            rm -r /srv/backup/* /var/lib/tameng/backup/*
            cp -a /mnt/full/. /srv/backup/
            cp -a /mnt/state/. /var/lib/tameng/backup/
            umount /mnt/full /mnt/state
            systemctl start tameng-backup-watch.timer""",
        )
        on(VICTIM, f"rm -f /srv/besar; {AGAIN}")
    green("backup_quota", SERVER)
    green("backup_complete", VICTIM)
    whole(before)


def flip(segment: str) -> None:
    """As a disk forgets: four bytes in its middle are others."""
    on(
        SERVER,
        f"""python3 - {REPOSITORY}/{segment} <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    at = file.seek(0, 2) // 2
    file.seek(at)
    was = file.read(4)
    file.seek(at)
    file.write(bytes(byte ^ 255 for byte in was))
END""",
    )


def largest(after: str = "") -> str:
    """The largest segment, of those that are newer than a file."""
    newer = f"-newer {after}" if after else ""
    said = on(SERVER, f"cd {REPOSITORY} && find data -type f {newer} -printf '%s %p\\n' | sort -n")
    return said.splitlines()[-1].split()[1]


def test_a_damaged_segment_comes_back_from_the_disk(before: set[str]) -> None:
    """It is found, nothing is thrown away meanwhile, and it doesn't get onto the disk that has it
    as it was; plugged in, that disk gives it back by one run of the role."""
    on(SERVER, f"{KEEPER} copy {DISK} {VICTIM}")
    sums = on(SERVER, f"cat {DISK}/tameng/{VICTIM}/SHA256SUMS")
    there = names()
    flip(largest())
    assert "the good copy stays" in on(SERVER, f"{KEEPER} copy {DISK} {VICTIM} 2>&1 || true")
    forget_pruning()
    assert "nothing is pruned" in on(SERVER, f"{KEEPER} watch || true")
    assert names() == there
    on(
        SERVER,
        f"""sed -i 's/"pruned": 0/"pruned": '$(date +%s)/ /var/lib/tameng/backup/{VICTIM}.json""",
    )
    assert f"{VICTIM}: the last check said segments of its" in red("backup_checked", SERVER)
    assert on(SERVER, f"cat {DISK}/tameng/{VICTIM}/SHA256SUMS") == sums
    on(SERVER, f"cd {DISK}/tameng/{VICTIM} && sha256sum --check --quiet SHA256SUMS")
    ansible_playbook("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server")
    quicken()
    green("backup_checked", SERVER)
    assert names() == there
    whole(before)


def test_what_no_disk_has_is_given_up_by_a_person_only(before: set[str]) -> None:
    """The archive that came after the copy is damaged; it is told which file of it is lost, and the
    other archives are whole."""
    on(SERVER, f"{KEEPER} copy {DISK} {VICTIM}; touch /run/then")
    on(VICTIM, f"head -c 2M /dev/urandom >/srv/baru; {RUN}")
    flip(largest("/run/then"))
    on(SERVER, f"{KEEPER} verify || true")
    said = on(SERVER, f"{KEEPER} mend 2>&1 || true")
    assert f"backup_server repair {VICTIM}" in said
    assert "are damaged" in red("backup_checked", SERVER)
    assert "srv/baru: New missing file chunk" in on(SERVER, f"{KEEPER} repair {VICTIM}")
    green("backup_checked", SERVER)
    green("backup_archives_kept", SERVER)
    whole(before)
    on(VICTIM, f"{RUN}; rm /srv/baru")


def test_a_lock_of_nobody_is_taken_away(before: set[str]) -> None:
    """On the repository and on the client's cache, of a dead process whose number another one has,
    and of another host; the lock of who is at work stays."""
    on(
        SERVER,
        f"install -d -o backup-{VICTIM} -g backup-{VICTIM} -m 700 {LOCK};"
        f" touch {LOCK}/elsewhere@123.1-0; chown backup-{VICTIM}: {LOCK}/*;"
        f""" echo '{{"shared": [["elsewhere@123", 1, 0]]}}' >{REPOSITORY}/lock.roster""",
    )
    on(
        VICTIM,
        "cd /var/lib/tameng/backup/borg/.cache/borg/*/ && mkdir lock.exclusive &&"
        " touch lock.exclusive/$(hostname)@123.1-0",
    )
    there = names()
    on(SERVER, WATCH)
    on(VICTIM, f"timeout 60 {RUN}")
    assert len(names() - there) == 1
    (holder,) = on(
        SERVER,
        f"install -D -m 755 /bin/sleep {AT_WORK};"
        f" (runuser -u backup-{VICTIM} -- {AT_WORK} 300 >/dev/null 2>&1 &);"
        f" timeout 20 sh -c 'until pgrep -x -u backup-{VICTIM} borg; do sleep 0.1; done'",
    ).split()
    on(SERVER, f"{WATCH}; mkdir {LOCK}; touch {LOCK}/elsewhere@123.{holder}-0; {WATCH}")
    assert on(SERVER, f"ls {LOCK}") == f"elsewhere@123.{holder}-0"
    # Who waits for one of nobody doesn't keep it.
    on(SERVER, f"mv {LOCK}/* {LOCK}/elsewhere@123.1-0; {WATCH}; ! ls {LOCK} 2>/dev/null")
    on(SERVER, f"pkill -x -u backup-{VICTIM} borg; rm {AT_WORK}")
    whole(before)


def test_a_clock_that_jumped_throws_nothing_away(before: set[str]) -> None:
    """Years ahead and years back, by the date that the client gives its archive (a container can't
    set its clock): nothing is pruned by it, none of them passes for the newest, and once a person
    has looked each bears the day on which it came."""
    true = newest()["name"]
    for year in ("2031", "2019"):
        at = f"--timestamp {year}-11-30T12:00:00"
        on(VICTIM, f"{CLIENT} borg create {at} ::{VICTIM}-{year} /etc/hostname")
    there = names()
    forget_pruning()
    said = on(SERVER, f"{KEEPER} watch || true")
    assert f"archives with a wrong date: 2 ({VICTIM}-2019, {VICTIM}-2031)" in said
    assert "wrong date" in red("backup_archives_kept", SERVER)
    assert names() == there
    assert facts()["newest_name"] == newest()["name"] == true
    on(VICTIM, RUN)
    assert newest()["name"] == facts()["newest_name"] > true
    on(SERVER, f"{KEEPER} accept {VICTIM}")
    today = on(SERVER, "date +%Y-%m-%d")
    dated = ("--glob-archives", f"'{VICTIM}-20[13][91]'", "--format", "'{start} {comment}{NL}'")
    for line in (lines := borg("list", "--bypass-lock", *dated).splitlines()):
        assert f" {today} " in line
        assert re.search(r"it said 20(19|31)-11-30T12:00:00$", line)
    assert len(lines) == 2
    green("backup_archives_kept", SERVER)
    on(SERVER, WATCH)  # and what it prunes now, it prunes by true dates
    assert there - {f"{VICTIM}-2019", f"{VICTIM}-2031"} <= names()  # they came in the same second
    whole(before)


def test_a_dump_that_fails_fails_aloud(before: set[str]) -> None:
    """A database that is away, and one that breaks off in the midst: no archive without it is made,
    the earlier ones stay, the audit says why, and a person is told once it goes on."""
    forget()
    there = names()
    on(VICTIM, "systemctl stop mariadb.service")
    for _ in range(3):
        said = fails()
    assert "is tried again" in said
    assert "auto-restart" in on(VICTIM, "systemctl show -p SubState tameng-backup")
    assert "the last run failed: mariadb ended with 1" in red("backup_complete", VICTIM)
    until(120, lambda: any(w["kind"] == "backup" for w in month()["warnings"]))
    on(VICTIM, "systemctl start mariadb.service")
    on(
        VICTIM,
        "mariadb wordpress -e 'create table lama (x int); create view zz as select x from lama;"
        " drop table lama'",
    )
    assert "View 'wordpress.zz' references invalid table" in fails()
    assert "the dump of wordpress failed" in red("backup_complete", VICTIM)
    assert names() == there
    assert newest()["lacks"] == []
    on(VICTIM, f"mariadb wordpress -e 'drop view zz'; {AGAIN}")
    green("backup_complete", VICTIM)
    assert len(names() - there) == 1
    whole(before)


@pytest.fixture
def slow(before: set[str]) -> Iterator[None]:
    """Files that take half a minute over the line, and a checkpoint each second."""
    del before
    on(
        VICTIM,
        f"cp {SETTINGS} /var/tmp/settings; mkdir /srv/besar; cd /srv/besar;"
        " head -c 12M /dev/urandom | split -b 300K -;"
        " sed -i 's/upload_rate_limit: .*/upload_rate_limit: 400\\n    checkpoint_interval: 1/'"
        f" {SETTINGS}",
    )
    yield
    on(VICTIM, f"cp /var/tmp/settings {SETTINGS}; rm -r /srv/besar")


def sending() -> None:
    """An archive is on its way."""
    was = names("--consider-checkpoints")  # another fault's may be there still
    on(VICTIM, "systemctl start --no-block tameng-backup.service")
    until(90, lambda: any(".checkpoint" in name for name in names("--consider-checkpoints") - was))


def test_a_client_whose_plug_is_pulled_makes_up_for_it(
    lab: str, before: set[str], slow: None
) -> None:
    """By itself, after it was started; what was half made is no archive, and goes with the next
    pruning. Meanwhile the controls say what is true: all that was there is there."""
    sending()
    pull_the_plug(lab, VICTIM)
    there = names()
    assert before <= there
    green("backup_archives_kept", SERVER)
    start(lab, VICTIM)
    on(VICTIM, f"cp /var/tmp/settings {SETTINGS}")  # the line is as fast as ever
    took = until(180, lambda: bool(names() - there))
    print(f"made up for {took:.0f} s after the start")
    until(30, lambda: on(VICTIM, "ls /var/lib/tameng/backup/unfinished || true") == "")
    green("backup_complete", VICTIM)
    assert [name for name in names("--consider-checkpoints") if ".checkpoint" in name]
    forget_pruning()
    on(SERVER, f"{WATCH} || {WATCH}")  # that much is new in an archive is told once, before
    assert not [name for name in names("--consider-checkpoints") if ".checkpoint" in name]
    whole(before)


def test_a_server_whose_plug_is_pulled_lets_its_clients_in_again(
    lab: str, before: set[str], slow: None
) -> None:
    """The run fails audibly; the lock that was left, whose number another program has by now, is
    taken away before anybody waits for it in vain."""
    sending()
    pull_the_plug(lab, SERVER)
    until(60, lambda: "auto-restart" in on(VICTIM, "systemctl show -p SubState tameng-backup"))
    start(lab, SERVER)
    assert "the last run failed" in red("backup_complete", VICTIM)
    assert before <= names()
    # Its look after the start may have taken the lock away, or may be at it right now; process 1
    # never ends.
    on(
        SERVER,
        "systemctl stop tameng-backup-watch.timer tameng-backup-watch.service;"
        f" mkdir -p {LOCK}; rm -f {LOCK}/*;"
        f" touch {LOCK}/$(hostname)@$(cat /etc/machine-id).1-0; chown -R backup-{VICTIM}: {LOCK}",
    )
    on(SERVER, f"{WATCH} || {WATCH}; systemctl start tameng-backup-watch.timer")
    assert on(SERVER, f"ls -d {LOCK} || true") == ""
    on(VICTIM, f"cp /var/tmp/settings {SETTINGS}; {AGAIN}")
    assert newest()["name"] in names() - before
    green("backup_complete", VICTIM)
    whole(before)


def test_a_network_that_is_cut_costs_one_try(before: set[str], slow: None) -> None:
    """What is lost on the way is noticed on either side; the next try comes by itself."""
    quick = "/run/systemd/system/tameng-backup.service.d"
    on(
        VICTIM,
        f"mkdir -p {quick}; printf '[Service]\\nRestartSec=20\\n' >{quick}/quick.conf;"
        " systemctl daemon-reload",
    )
    try:
        sending()
        there = names()
        on(
            SERVER,
            "nft 'add table inet cut;"
            " add chain inet cut in { type filter hook input priority -300; };"
            " add chain inet cut out { type filter hook output priority -300; };"
            " add rule inet cut in tcp dport 8022 drop; add rule inet cut out tcp sport 8022 drop'",
        )
        until(120, lambda: "exit-code" in on(VICTIM, "systemctl show -p Result tameng-backup"))
        on(SERVER, "nft delete table inet cut")
        on(VICTIM, f"cp /var/tmp/settings {SETTINGS}")
        until(180, lambda: bool(names() - there))
    finally:
        on(VICTIM, f"rm -r {quick}; systemctl daemon-reload")
        on(SERVER, "nft delete table inet cut || true")
    said = on(VICTIM, "journalctl -b -u tameng-backup -o cat --no-pager -n 40")
    assert re.search("Connection .*(broken|closed)", said)
    assert f"{VICTIM}: the run failed" in said
    until(30, lambda: "dead" in on(VICTIM, "systemctl show -p SubState tameng-backup"))
    green("backup_complete", VICTIM)
    whole(before)


def test_lost_keys_lose_no_archive(lab: str, before: set[str]) -> None:
    """The client's own, with all that the operator's machine held of them; and a holder's, whose
    place another one takes: the other holder opens, and by one run all is sealed anew."""
    keys, escrow = (ROOT / f"var/{lab}" / name for name in ("keys", "escrow"))
    was = on(VICTIM, "cat /etc/tameng/backup/passphrase")
    for path in keys.glob("holder-arman_ed25519*"):
        path.unlink()
    assert opened(escrow, keys / "holder-sri_ed25519") == was
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / "holder-arman_ed25519"],
        check=True,
    )
    assert "arman can't open the escrow" in red("backup_escrow_opens", SERVER)
    on(VICTIM, "rm -r /etc/tameng/backup /var/lib/tameng/backup")
    for path in escrow.glob(f"{VICTIM}.*"):
        path.unlink()
    both = ("--limit", "backup_clients:backup_servers", "--tags", "backup,backup_server")
    ansible_playbook("playbooks/site.yml", *both)
    now = on(VICTIM, "cat /etc/tameng/backup/passphrase")
    assert now != was
    assert {opened(escrow, keys / f"holder-{who}_ed25519") for who in ("arman", "sri")} == {now}
    assert (escrow / f"{VICTIM}.borg-key").exists()
    assert names() - before
    for control in ("backup_escrow_opens", "backup_archives_kept"):
        green(control, SERVER)
    green("backup_keys_private", VICTIM)
    whole(before)


def opened(escrow: Path, key: Path) -> str:
    """The client's passphrase, as a holder's key gets it out of the escrow."""
    sealed = (escrow / f"{VICTIM}.age").read_text()
    return on(
        SERVER,
        f"cd /run && umask 077 && cat >key <<'KEY' && age -d -i key <<'SEALED'; rm key\n"
        f"{key.read_text()}KEY\n{sealed}SEALED\n",
    )
