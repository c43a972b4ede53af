"""Machines that are lost: no disk, no keys, no cable. Each is there again by the commands of
docs/how-to/disaster.md, which are read from that page, and is what it was.

A lab of some hosts only needs all whose archives are kept (backup_clients), and the server."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.watching import NET, ROOT, ansible_playbook, on

MACHINES = ROOT / "lab/roles/machines/files/machines"
PAGE = ROOT / "docs/how-to/disaster.md"
CLIENT = "/usr/local/lib/tameng/backup"
WEBSITE, SERVER, GATEWAY = "app", "backup", "gateway"
DISK = "/media/luar-jaringan"
MOST_MINUTES = 30
ADDRESS = f"{NET}.10.10"  # the website's
UPLOAD = "/var/lib/wordpress/wp-content/uploads/2026/12/putusan.txt"
EDITOR, PASSWORD = "penulis", "kata-sandi lama sekali"
# What people did there: one who writes, what she wrote, and what she uploaded.
WORK = f"""
runuser -u www-data -- php -r '
define("WP_INSTALLING", true);
$_SERVER["HTTP_HOST"] = "localhost";
$_SERVER["HTTPS"] = "on";
require "/usr/share/wordpress/wp-load.php";
$id = wp_insert_user(["user_login" => "{EDITOR}", "user_pass" => "{PASSWORD}", "role" => "editor"]);
foreach (range(1, 30) as $n) wp_insert_post(["post_title" => "Putusan $n", "post_author" => $id,
    "post_content" => str_repeat("Menimbang. ", 200), "post_status" => "publish"]);'
install -D -o www-data -g www-data /etc/services {UPLOAD}
"""

# As if nobody had pruned for a day.
PRUNE = """
python3 - <<'END'
import json, pathlib
for file in pathlib.Path("/var/lib/tameng/backup").glob("*.json"):
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pruned": 0}))
END
systemctl start tameng-backup-watch.service || true
"""


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Afterwards the hosts are as the lab's snapshot has them, and so are the keys known here."""
    known, kept = ROOT / f"var/{lab}/escrow", tmp_path_factory.mktemp("kept") / "escrow"
    shutil.copytree(known, kept)
    yield
    run(MACHINES, "regain", lab, WEBSITE, SERVER, GATEWAY)
    tameng("lab", "reset")
    shutil.rmtree(known)
    shutil.copytree(kept, known)


def run(*argv: str | Path, **more: Any) -> subprocess.CompletedProcess[Any]:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, **more)
    said = f"{done.stdout[-3000:]!r}{done.stderr[-1000:]!r}"
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {said}"
    return done


def tameng(*words: str) -> None:
    run(sys.executable, "-m", "cli", *words)


def lose(lab: str, host: str) -> None:
    run(MACHINES, "lose", lab, host)


def installed(host: str) -> None:
    """What a person does at its console: Debian, the operator's account, the new key pinned."""
    tameng("lab", "up", "--limit", host)
    on(host, "test ! -e /usr/local/lib/tameng")  # a new machine indeed


def rebuilt(lab: str, host: str, chapter: str, only: str | None) -> None:
    """Run the page's commands for it."""
    (text,) = re.findall(rf"(?ms)^## {chapter}$(.*?)(?=^## |\Z)", PAGE.read_text())
    commands = re.findall(r"(?m)^    ((?:\./tameng|ansible-playbook) .*)$", text)
    assert commands
    said = {"COURT": "lab", "HOST": host, "SERVER": SERVER}
    said["FILE"] = str(ROOT / f"var/{lab}/keys/holder-sri_ed25519")
    for command in commands:
        words = [
            re.sub(r"COURT|HOST|SERVER|FILE", lambda m: said[m[0]], w) for w in shlex.split(command)
        ]
        program = {
            "./tameng": [sys.executable, "-m", "cli"],
            "ansible-playbook": [str(Path(sys.executable).with_name("ansible-playbook"))],
        }[words[0]]
        if only and "--limit" not in words:
            words += ["--limit", only]  # a lab of some hosts
        began = time.monotonic()
        run(*program, *words[1:])
        print(f"{time.monotonic() - began:5.0f} s  {command}")


def timed(host: str, began: float) -> None:
    minutes = (time.monotonic() - began) / 60
    print(f"{host} was there again after {minutes:.1f} min")
    assert minutes <= MOST_MINUTES


def archives(host: str) -> set[str]:
    """As its repository has them."""
    return set(on(host, f"{CLIENT} borg list --short --bypass-lock").split())


def rows() -> dict[str, str]:
    """What people have in its database: WordPress adds a menu of its own at the first visit."""
    asked = {
        "title": "select option_value from wp_options where option_name = 'blogname'",
        "posts": "select count(*), md5(group_concat(post_content order by ID)) from wp_posts"
        " where post_status = 'publish' and post_type in ('post', 'page')",
        "users": "select group_concat(user_login, user_pass order by ID) from wp_users",
    }
    return {what: on(WEBSITE, f'mariadb -N -B wordpress -e "{sql}"') for what, sql in asked.items()}


def log_in(user: str, password: str) -> bool:
    """Whether the website's desk lets a person in and says who came, over TLS."""
    name = on(WEBSITE, "sed -n 's/^ServerName //p' /etc/apache2/sites-available/tameng.conf")
    careless = ssl._create_unverified_context()  # noqa: S323 (an audit asks whose certificate it is)
    form = urllib.parse.urlencode({"log": user, "pwd": password, "testcookie": "1"})
    headers = {"Host": name, "Content-Type": "application/x-www-form-urlencoded"}
    cookies = {"wordpress_test_cookie": "WP%20Cookie%20check"}

    def ask(method: str, path: str, body: str | None = None) -> str:
        it = http.client.HTTPSConnection(ADDRESS, context=careless, timeout=30)
        jar = "; ".join(f"{key}={value}" for key, value in cookies.items())
        it.request(method, path, body, headers | {"Cookie": jar})
        answer = it.getresponse()
        for cookie in answer.msg.get_all("Set-Cookie") or []:
            key, _, value = cookie.partition(";")[0].partition("=")
            cookies[key] = value
        return answer.read().decode()

    ask("POST", "/wp-login.php", form)
    return f'value="{user}"' in ask("GET", "/wp-admin/profile.php")


def reached(address: str, port: int) -> bool:
    """From the operator's machine, in the zone management."""
    try:
        socket.create_connection((address, port), timeout=3).close()
    except OSError:
        return False
    return True


def test_the_website_comes_back_onto_a_new_machine(lab: str, lab_limit: str | None) -> None:
    """Its files, its rows, and an editor gets in by the password that she had. Its next archive
    goes to where all the old ones still are; and what came back is not overwritten again."""
    on(WEBSITE, f"{WORK}\nsystemctl start tameng-backup.service")
    before, kept, upload = rows(), archives(WEBSITE), on(WEBSITE, f"sha256sum {UPLOAD}")
    lose(lab, WEBSITE)
    began = time.monotonic()
    installed(WEBSITE)
    rebuilt(lab, WEBSITE, "A server or a desk with archives", lab_limit)
    timed(WEBSITE, began)
    assert rows() == before
    assert on(WEBSITE, f"sha256sum {UPLOAD}") == upload
    assert on(WEBSITE, f"stat -c %U {UPLOAD}") == "www-data"
    assert not log_in(EDITOR, "salah")
    assert log_in(EDITOR, PASSWORD)
    on(WEBSITE, "systemctl start tameng-backup.service")
    assert kept < archives(WEBSITE)
    again = {"restore_host": WEBSITE} | {
        "restore_drill_holder_key": str(ROOT / f"var/{lab}/keys/holder-sri_ed25519")
    }
    refused = ansible_playbook("playbooks/restore_host.yml", "-e", json.dumps(again), check=False)
    assert "may be newer than what would come back" in refused.stdout
    assert rows() == before


def test_the_gateway_comes_back_from_the_inventory(lab: str, lab_limit: str | None) -> None:
    """Without it nothing passes from zone to zone; with the new one what the matrix says, as its
    audit asks."""
    assert reached(ADDRESS, 443)
    lose(lab, GATEWAY)
    began = time.monotonic()
    assert not reached(ADDRESS, 443)
    assert not reached(ADDRESS, 22)
    installed(GATEWAY)
    rebuilt(lab, GATEWAY, "The gateway", lab_limit)
    timed(GATEWAY, began)
    assert reached(ADDRESS, 443)


def test_the_backup_server_comes_back_from_the_disk(lab: str, lab_limit: str | None) -> None:
    """Each archive of the copy, into which the clients' next ones go; and what they are worth is
    tried at once, by the escrow that was sealed anew."""
    ansible_playbook("playbooks/offline_copy.yml")
    clients = (WEBSITE, GATEWAY, "monitor")
    copied = {host: archives(host) for host in clients}
    newest = {host: json.loads(on(host, f"{CLIENT} newest"))["name"] for host in clients}
    # The lab's disk is memory of the machine's own: carrying what is on it stands for carrying it.
    carried = run(*over_ssh(f"sudo tar -C {DISK} -c .")).stdout
    lose(lab, SERVER)
    began = time.monotonic()
    installed(SERVER)
    run(*over_ssh(f"sudo tar -C {DISK} -x"), input=carried)
    rebuilt(lab, SERVER, "The backup server", lab_limit)
    timed(SERVER, began)
    for host in clients:
        assert copied[host] < archives(host)
    on(SERVER, PRUNE)
    for host in clients:
        assert newest[host] in archives(host), "the mark of the new beginning took its place"
        before = archives(host)
        on(host, "systemctl start tameng-backup.service")
        assert before < archives(host)


def over_ssh(command: str) -> list[str]:
    return [sys.executable, "-m", "cli", "lab", "ssh", SERVER, command]
