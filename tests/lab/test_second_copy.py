"""The second copy on real hosts: who takes over the backup server empties nothing there, what
breaks is made good, and a lost backup server has its repositories back from there alone."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.lab.watching import ansible_playbook, on, until

CLIENT, SERVER, SITE = "monitor", "backup", "monitor"
KEEPER = "/usr/local/lib/tameng/backup_server"
PROGRAM = "/usr/local/lib/tameng/second_site"
KEPT = f"/srv/second/{SERVER}"
WAY = "ssh -F /etc/tameng/second/ssh_config second-site"


def told() -> dict[str, Any]:
    """What the second site says of the client, and what was sent last."""
    found: dict[str, Any] = json.loads(on(SERVER, f"{KEEPER} second tell"))[CLIENT]
    return found


def names() -> set[str]:
    """The client's archives, as the backup server reads them."""
    sealed = f"age -d -i /etc/ssh/ssh_host_ed25519_key /var/lib/tameng/backup/{CLIENT}.age"
    return set(
        on(
            SERVER,
            f"BORG_PASSPHRASE=$({sealed}) BORG_BASE_DIR=/run/look"
            f" BORG_RELOCATED_REPO_ACCESS_IS_OK=yes borg list --short --bypass-lock"
            f" /srv/backup/{CLIENT}/repository",
        ).splitlines()
    )


@pytest.fixture(scope="module")
def sent(lab: str) -> dict[str, Any]:
    """A copy of now, of at least one archive."""
    on(CLIENT, "systemctl start tameng-backup.service")
    on(SERVER, "systemctl start tameng-backup-watch.service || true")  # prunes once a day: now
    on(SERVER, "systemctl start tameng-second-copy.service")
    there = told()
    assert there["record"]["archives"]
    assert there["sha256"] == there["record"]["sha256"]
    return there


def test_a_night_without_news_sends_next_to_nothing(sent: dict[str, Any]) -> None:
    """What lies there already stays on its side of the line."""
    on(SERVER, "systemctl start tameng-second-copy.service")
    assert told()["record"]["sent"] < 10_000


def test_a_line_that_breaks_is_gone_on_with(sent: dict[str, Any]) -> None:
    """In the middle of a file: nothing half is kept, the list there stays the old one, and the next
    try brings the rest."""
    on(CLIENT, "head -c 12M /dev/urandom >/root/besar; systemctl start tameng-backup.service")
    before = told()
    cut = shlex.quote(r's/\(rate_kib": \)[0-9]*/\1512/')
    site = "/etc/tameng/second/site.json"
    on(SERVER, f"cp {site} /run/site.json; sed -i {cut} {site}")
    on(SERVER, "systemctl start --no-block tameng-second-copy.service")
    half = f"find {KEPT}/{CLIENT}/blobs -name '.*' -type f -size +1M"
    comes = shlex.quote(f"until {half} -mmin -1 | grep -q .; do sleep 0.2; done")
    on(SITE, f"{half} -delete; timeout 60 sh -c {comes} && pkill -KILL -u second-site")
    waits = "systemctl show --property=SubState --value tameng-second-copy.service"
    until(60, lambda: on(SERVER, waits) == "auto-restart")
    assert told()["list"] == before["list"]
    on(SERVER, f"cp /run/site.json {site}; systemctl restart tameng-second-copy.service")
    after = told()
    assert after["list"] > before["list"]
    assert after["missing"] == []
    on(CLIENT, "rm /root/besar")


def test_who_takes_over_the_backup_server_empties_nothing(sent: dict[str, Any]) -> None:
    """By its key: neither a shell, nor a deletion, nor an empty list makes anything go."""
    before = on(SITE, f"find {KEPT}/{CLIENT}/blobs -type f | sort")
    for order in (f"rm -rf {KEPT}", "sh", f"delete {CLIENT}", f"put {CLIENT}"):
        said = on(SERVER, f"echo nonsense | {WAY} {shlex.quote(order)} 2>&1 || true")
        assert "second_site: " in said, order
    on(SERVER, f"{WAY} close {CLIENT} </dev/null")
    assert on(SITE, f"find {KEPT}/{CLIENT}/blobs -type f | sort") == before
    listed = on(
        SITE, f"runuser -u second-site -- {PROGRAM} {KEPT} get {CLIENT} {sent['list']} | wc -c"
    )
    assert int(listed) >= sent["bytes"]
    on(SERVER, "systemctl start tameng-second-copy.service")


def test_what_rots_there_is_found_and_comes_anew(sent: dict[str, Any]) -> None:
    """A byte of a segment is another one after a month: it is read back, named and sent again."""
    largest = on(SITE, f"ls -S {KEPT}/{CLIENT}/blobs/??/* | head -n 1")
    on(SITE, f"printf x | dd of={largest} bs=1 seek=100 conv=notrunc status=none")
    state = f"/var/lib/tameng/backup/{CLIENT}.json"
    old = f"import json; s = json.load(open('{state}')); s['seconds'][-1]['read'] = 0;"
    on(SERVER, f"python3 -c {shlex.quote(old + f' json.dump(s, open({state!r}, chr(119)))')}")
    on(SERVER, "systemctl start tameng-second-copy.service")
    there = told()
    assert there["record"]["bad"] == 1
    assert there["missing"] == []
    assert on(SITE, f"sha256sum {largest} | cut -c-64") == largest.rsplit("/", 1)[1]


def test_a_lost_backup_server_comes_back_from_the_second_site(sent: dict[str, Any]) -> None:
    """Without the disk. While the second site is silent, no empty repository takes the place."""
    on(SERVER, "systemctl start tameng-second-copy.service")
    copied = names()
    on(
        SERVER,
        "systemctl stop tameng-backup-watch.timer tameng-second-copy.timer;"
        f" rm -rf /srv/backup/{CLIENT}/repository /var/lib/tameng/backup/{CLIENT}.*",
    )
    disk = json.dumps({"backup_server_disk": ""})
    mend = ("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server", "-e", disk)
    on(SITE, "systemctl stop tameng-second-door.service")
    try:
        refused = ansible_playbook(*mend, check=False)
        assert "the second site" in refused.stdout
        assert on(SERVER, f"ls /srv/backup/{CLIENT}/repository 2>&1 || true").endswith("directory")
    finally:
        on(SITE, "systemctl start tameng-second-door.service")
    ansible_playbook(*mend)
    assert copied <= names()
    on(CLIENT, "systemctl start tameng-backup.service")
    assert len(names()) > len(copied)
    ansible_playbook("playbooks/site.yml", "--limit", SERVER, "--tags", "backup_server,second_copy")
