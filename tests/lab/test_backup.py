"""Archives on real hosts: a machine that was taken over destroys nothing, and what is restored by
the escrow alone is what was saved."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from tests.lab.watching import ROOT, ansible_playbook, forget, month, on, until

VICTIM, OTHER, SERVER, ELSEWHERE = "app", "monitor", "backup", "monitor"
OLD_CLIENT = "pc-2"  # Debian 12
CLIENT = "/usr/local/lib/tameng/backup"
KEEPER = "/usr/local/lib/tameng/backup_server"
MOST_HOURS, MOST_MINUTES = 24, 30  # RPO, RTO


def names() -> set[str]:
    """The victim's archives, as the server reads them."""
    sealed = f"age -d -i /etc/ssh/ssh_host_ed25519_key /var/lib/tameng/backup/{VICTIM}.age"
    said = on(
        SERVER,
        f"BORG_PASSPHRASE=$({sealed}) BORG_BASE_DIR=/run/look BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"
        f" borg list --short --bypass-lock /srv/backup/{VICTIM}/repository",
    )
    return set(said.splitlines())


@pytest.fixture(scope="module")
def archives(lab: str) -> set[str]:
    """Three at least, the last of which the server has just seen."""
    on(SERVER, "systemctl start tameng-backup-watch.service")  # prunes once a day: not these
    for _ in range(3):
        on(VICTIM, "systemctl start tameng-backup.service")
    on(SERVER, "systemctl start tameng-backup-watch.service")
    found = names()
    assert len(found) >= 3
    return found


def test_a_machine_taken_over_destroys_nothing(archives: set[str]) -> None:
    """By its own key it deletes and prunes all it can, and asks for others' archives and a shell.
    Somebody is told, and by one run of the role every archive from before is back."""
    forget()
    ssh = "ssh -F /etc/tameng/backup/ssh_config tameng-backup"
    assert "uid=" not in on(VICTIM, f"{ssh} id 2>&1 </dev/null || true")
    other = f"ssh://tameng-backup/srv/backup/{OTHER}/repository"
    assert "not allowed" in on(VICTIM, f"{CLIENT} borg list {other} 2>&1 || true")
    on(
        VICTIM,
        f"for name in $({CLIENT} borg list --short); do {CLIENT} borg delete ::$name; done;"
        f" {CLIENT} borg compact || true;"
        f" BORG_DELETE_I_KNOW_WHAT_I_AM_DOING=YES {CLIENT} borg delete || true",
    )
    assert not names() & archives
    on(SERVER, "systemctl start tameng-backup-watch.service || true")
    took = until(120, lambda: any(w["kind"] == "archives" for w in month()["warnings"]))
    print(f"told of {took:.0f} s after the server looked")
    ansible_playbook("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server")
    assert archives <= names()
    for name in sorted(archives):
        on(VICTIM, f"{CLIENT} borg extract --dry-run ::{name}")
    on(VICTIM, "systemctl start tameng-backup.service")


def test_files_that_turn_into_noise_are_told_of(archives: set[str]) -> None:
    """As ransomware leaves them: a person's folder, which hardly ever changed, is another one."""
    forget()
    folder = "/srv/budi"
    on(VICTIM, f"mkdir -p {folder} && seq 1 700000 >{folder}/buku")
    for number in range(5):
        on(VICTIM, f"echo {number} >{folder}/catatan; systemctl start tameng-backup.service")
        on(SERVER, "systemctl start tameng-backup-watch.service || true")
    assert kinds() <= {"archives_changed"}  # the book itself was new once
    forget()
    on(VICTIM, f"head -c 20M /dev/urandom >{folder}/buku; systemctl start tameng-backup.service")
    on(SERVER, "systemctl start tameng-backup-watch.service || true")
    until(120, lambda: "archives_changed" in kinds())
    on(VICTIM, f"rm -r {folder}")


def kinds() -> set[str]:
    return {warning["kind"] for warning in month()["warnings"]}


def test_what_is_restored_is_what_was_saved(lab: str, archives: set[str]) -> None:
    """On another host, by a holder's key and the escrow."""
    record = restored(lab, VICTIM, ELSEWHERE)
    assert record["databases"] == ["wordpress.sql"]
    assert record["application"]["user"] == "pengelola"
    assert "mariadbd" not in on(ELSEWHERE, "ps -e -o comm=")
    assert record["rpo_hours"] <= MOST_HOURS
    assert record["rto_minutes"] <= MOST_MINUTES
    assert on(ELSEWHERE, "ls -d /run/tameng-restore /var/tmp/tameng-restore || true") == ""
    assert "restore-drill" not in on(SERVER, f"cat /srv/backup/{VICTIM}/.ssh/authorized_keys")


def test_a_website_that_no_longer_starts_is_no_restore(lab: str) -> None:
    """All its files and rows come back, and nobody could use them."""
    site = "/etc/apache2/tameng-site.d/wordpress.conf"
    on(VICTIM, f"echo '<Directory' >>{site}; systemctl start tameng-backup.service")
    ansible_playbook("playbooks/restore_drill.yml", "-e", json.dumps(drill(lab)), check=False)
    on(VICTIM, f"sed -i '$d' {site}; apache2ctl configtest; systemctl start tameng-backup.service")
    assert "Apache doesn't start" in newest_record(lab)["wrong"][0]


def test_a_book_in_which_somebody_writes_comes_back_whole(lab: str) -> None:
    """SQLite, and its writer goes on; on a host whose own database server goes on as well."""
    on("monitor", "systemctl start tameng-backup.service")
    record = restored(lab, "monitor", VICTIM)
    assert record["databases"] == ["var-lib-tameng-warnings-book-sqlite.sqlite"]
    on(VICTIM, "systemctl is-active mariadb.service")


def test_postgresql_comes_back_row_by_row(lab: str) -> None:
    """Of a desk with Debian 12, on another release; values with line ends, tabs and backslashes."""
    on(OLD_CLIENT, "DEBIAN_FRONTEND=noninteractive apt-get -qq install postgresql >/dev/null 2>&1")
    on(
        OLD_CLIENT,
        """runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'END'
create role panitera;
create database perkara owner panitera encoding utf8 template template0;
\\connect perkara
create table "Perkara Gugatan" (nomor int primary key, pihak text);
alter table "Perkara Gugatan" owner to panitera;
insert into "Perkara Gugatan" select n, E'baris\\n\\t\\\\. ' || n from generate_series(1, 1500) n;
END""",
    )
    wanted = {"backup_postgresql": ["perkara"]}
    try:
        ansible_playbook(
            "playbooks/site.yml",
            "--limit",
            OLD_CLIENT,
            "--tags",
            "backup",
            "-e",
            json.dumps(wanted),
        )
        on(OLD_CLIENT, "systemctl start tameng-backup.service")
        record = restored(lab, OLD_CLIENT, ELSEWHERE, **wanted)
        assert record["databases"] == ["perkara.pgsql"]
        assert record["rows"] == 1500
    finally:
        on(OLD_CLIENT, "apt-get -qq purge 'postgresql*' >/dev/null 2>&1")
        on(ELSEWHERE, "apt-get -qq purge 'postgresql*' >/dev/null 2>&1")
        ansible_playbook("playbooks/site.yml", "--limit", OLD_CLIENT, "--tags", "backup")
        on(OLD_CLIENT, "systemctl start tameng-backup.service")


DISK = "/media/luar-jaringan"  # the lab's stand-in for a disk that is plugged in


def test_the_disk_alone_gives_everything_back(lab: str, archives: set[str]) -> None:
    """With one holder's key and nothing else of ours; while the client goes on sending."""
    on(VICTIM, "systemctl start --no-block tameng-backup.service")
    ansible_playbook("playbooks/offline_copy.yml")
    on(VICTIM, "systemctl start tameng-backup.service")
    place = f"{DISK}/tameng/{VICTIM}"
    holder = (ROOT / f"var/{lab}/keys/holder-sri_ed25519").read_text()
    said = on(
        SERVER,
        f"cd {place} && sha256sum --check --quiet SHA256SUMS && mkdir -m 0700 /run/alone &&"
        " cp -a repository /run/alone/ && cd /run/alone && cat >key <<'KEY' && chmod 600 key &&\n"
        f"{holder}KEY\n"
        f" BORG_PASSPHRASE=$(age -d -i key {place}/escrow.age) BORG_BASE_DIR=/run/alone"
        " BORG_RELOCATED_REPO_ACCESS_IS_OK=yes borg list --short /run/alone/repository;"
        " rm -r /run/alone",
    )
    assert archives <= set(said.splitlines())


def test_no_bad_copy_replaces_the_good_one(archives: set[str]) -> None:
    """Neither to a folder that is no disk, nor of a repository from which archives vanished."""
    there = f"{DISK}/tameng/{VICTIM}/SHA256SUMS"
    before = on(SERVER, f"cat {there}")
    assert "no disk is mounted" in on(SERVER, f"{KEEPER} copy /srv {VICTIM} 2>&1 || true")
    name = on(VICTIM, f"{CLIENT} borg list --short --first 1").strip()
    on(VICTIM, f"{CLIENT} borg delete ::{name}")
    on(SERVER, "systemctl start tameng-backup-watch.service || true")
    said = on(SERVER, f"{KEEPER} copy {DISK} {VICTIM} 2>&1 || true")
    assert "the good copy stays" in said
    assert on(SERVER, f"cat {there}") == before
    ansible_playbook("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server")


def test_a_lost_backup_server_comes_back_from_the_disk(lab: str, archives: set[str]) -> None:
    """Accounts, repositories and all that is known of them are gone; the inventory and the disk
    are left. Each archive of the copy is there again, and the client sends its next one."""
    ansible_playbook("playbooks/offline_copy.yml")
    copied = names()
    on(
        SERVER,
        "systemctl stop tameng-backup-door tameng-backup-watch.timer tameng-backup-verify.timer;"
        " for user in $(getent group backup-clients | cut -d: -f4 | tr , ' '); do"
        " pkill -KILL -u $user; userdel $user; done;"
        " rm -r /srv/backup /var/lib/tameng/backup /etc/tameng/backup",
    )
    began = time.monotonic()
    ansible_playbook("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server")
    print(f"the repositories were back after {time.monotonic() - began:.0f} s")
    assert copied <= names()
    on(VICTIM, "systemctl start tameng-backup.service")
    newest = json.loads(on(VICTIM, f"{CLIENT} newest"))["name"]
    assert newest in names() - copied
    on(VICTIM, f"{CLIENT} borg extract --dry-run ::{min(copied)}")
    ansible_playbook(
        "playbooks/site.yml", "--limit", SERVER, "--tags", "restore_drill,offline_copy"
    )


def restored(lab: str, name: str, elsewhere: str, **more: Any) -> dict[str, Any]:
    """What the record says of this host's newest archive, restored on another."""
    wanted = {"restore_drill_from": [name], "restore_drill_on": elsewhere}
    ansible_playbook("playbooks/restore_drill.yml", "-e", json.dumps(drill(lab) | wanted | more))
    record = newest_record(lab)
    print(record)
    assert record["client"] == name
    assert record["wrong"] == []
    assert record["rows"]
    return record


def drill(lab: str) -> dict[str, Any]:
    return {"restore_drill_holder_key": str(ROOT / f"var/{lab}/keys/holder-sri_ed25519")}


def newest_record(lab: str) -> dict[str, Any]:
    records = (ROOT / f"var/{lab}/restores").glob("*.json")
    told: dict[str, Any] = json.loads(max(records, key=os.path.getmtime).read_text())
    return told
