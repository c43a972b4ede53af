"""The cost of an archive: ours, bare `borg create` and plain `tar | zstd | ssh`, of one tree with
the same changes, in one run.

    sudo ./tameng lab up --limit app,backup && ./tameng apply --limit app,backup
    sudo .venv/bin/python -m benchmarks.backup.measure [--mib 200] [--days 4]

On the lab's host `app` lies a tree of office files: texts and tables, which compress, and packed
documents, scans and pictures, which don't. Each day about 2 % of it change. Every way saves all
that the role saves there, to `backup`, over SSH:
  tar           tar | zstd | ssh, a whole one each day
  borg          borg create as it comes, into a repository of the same kind
  tameng        tameng-backup.service as the inventory has it: dumps, hashes, limits, low priority
  tameng, free  the same without its limit of the network, on another tree of the same make
Repositories know the host before, but not the tree. Seconds are the host's own, bytes sent those of
its network card, both ways, bytes on disk what the server's files took more. What the last day
brought is read back from each. Archives of it stay in app's repository until a lab reset.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inputs import paths

CLIENT, SERVER = "app", "backup"
TREE, ACCOUNT, HOME = "/srv/office", "backup-bench", "/srv/backup/bench"
KEY = "/run/bench/key"
SETTINGS = "/etc/tameng/backup/borgmatic.yaml"
# Words as often as in a language: few often, many seldom.
MAKE = r"""
import os, random, shutil, sys
from pathlib import Path
top, seed, size, day = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) << 20, int(sys.argv[4])
r = random.Random(f"{seed} {day}")
w = random.Random("words")
words = ["".join(w.choices("aiueonkrstmgbdlpyj", k=w.randint(2, 11))) for _ in range(4000)]
odds = [1 / rank for rank in range(1, 4001)]

def text(n):
    return " ".join(r.choices(words, odds, k=n // 5)).encode()[:n]

def content(name, n):
    return text(n) if name.endswith((".txt", ".csv", ".html")) else r.randbytes(n)

def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(path.name, min(4 << 20, int(r.lognormvariate(10.6, 1.3)))))
    return path.stat().st_size

def new(number):
    kinds = {".txt": 25, ".csv": 20, ".html": 10, ".docx": 20, ".pdf": 15, ".jpg": 10}
    (kind,) = r.choices(list(kinds), kinds.values())
    return put(top / f"bagian-{number % 40:02}" / f"{seed}-{day}-{number}{kind}")

if day == 0:
    shutil.rmtree(top, ignore_errors=True)
    done, number = 0, 0
    while done < size:
        done += new(number)
        number += 1
else:
    files = sorted(p for p in top.rglob("*") if p.is_file())
    r.shuffle(files)
    done = 0
    while done < size // 50:
        what, path = r.random(), files.pop()
        if what < 0.5 and path.suffix in (".txt", ".csv", ".html"):  # a line more somewhere
            said = path.read_bytes()
            at = r.randrange(len(said) + 1)
            path.write_bytes(said[:at] + text(200) + said[at:])
            done += len(said)
        elif what < 0.5:  # saved anew: a packed document is another one
            done += put(path)
        elif what < 0.9:
            done += new(len(files))
        elif what < 0.95:
            path.rename(path.with_name(f"pindah-{day}-{path.name}"))
        else:
            path.unlink()
print(len(list(top.rglob("*.*"))), sum(p.stat().st_size for p in top.rglob("*.*")))
"""
# One way's own clock and counter, around what it does.
AROUND = """
count() { echo $(($(cat /sys/class/net/servers/statistics/[rt]x_bytes | paste -sd+))); }
wire=$(count); began=$(date +%s.%N)
SAVE
ended=$(date +%s.%N)
echo "$began $ended $(($(count) - wire))"
"""


def on(host: str, command: str) -> str:
    """What a host says, as root; only what works is measured."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "lab", "ssh", host, "sudo bash -eo pipefail"],
        input=command, cwd=paths.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{host}: {command[:200]}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout.strip()


@dataclass
class Way:
    """How it saves, where that lies on the server, how a file is read back; and what it cost."""

    name: str
    save: str
    place: str
    read: str
    seconds: list[float] = field(default_factory=list)
    wire: list[int] = field(default_factory=list)
    disk: list[int] = field(default_factory=list)

    def day(self, number: int) -> None:
        before = self.used()
        said = on(CLIENT, AROUND.replace("SAVE", self.save.replace("DAY", str(number))))
        began, ended, wire = said.splitlines()[-1].split()
        self.seconds.append(float(ended) - float(began))
        self.wire.append(int(wire))
        self.disk.append(self.used() - before)

    def used(self) -> int:
        """Bytes on the server's disk, once it has written them."""
        return int(on(SERVER, f"sync; du -sB1 {self.place} | cut -f1"))

    def proved(self, number: int, path: str) -> None:
        """What it saved last is what is there."""
        wanted = on(CLIENT, f"sha256sum <{path}")
        read = self.read.replace("DAY", str(number)).replace("FILE", path.lstrip("/"))
        if on(CLIENT, f"{read} | sha256sum") != wanted:
            raise SystemExit(f"{self.name}: {path} reads back as another")


@contextmanager
def account() -> Iterator[None]:
    """A way in for what isn't ours, by the same door, for the while."""
    key = on(
        CLIENT,
        f"""command -v zstd >/dev/null || apt-get -qq install zstd >/dev/null
        rm -rf /run/bench; mkdir -m 0700 /run/bench; cd /run/bench
        ssh-keygen -q -t ed25519 -N '' -f {KEY}
        sed 's|^    User .*|    User {ACCOUNT}|; s|^    IdentityFile .*|    IdentityFile {KEY}|' \\
            /etc/tameng/backup/ssh_config >ssh_config
        cat {KEY}.pub""",
    )
    gone = f"pkill -KILL -u {ACCOUNT} || true; userdel {ACCOUNT} || true; rm -rf {HOME}"
    try:
        on(
            SERVER,
            f"""{gone}
            useradd --system --user-group --groups backup-clients --shell /bin/sh \\
                --home-dir {HOME} {ACCOUNT}
            install -d -o {ACCOUNT} -m 0700 {HOME} {HOME}/.ssh
            echo 'restrict {key}' >{HOME}/.ssh/authorized_keys
            chown {ACCOUNT} {HOME}/.ssh/authorized_keys""",
        )
        yield
    finally:
        on(SERVER, gone)
        on(CLIENT, f"rm -rf /run/bench {TREE} {TREE}-2")


@contextmanager
def unlimited() -> Iterator[None]:
    """The role's service without its limit of the network."""
    on(CLIENT, f"sed -i.bench 's/upload_rate_limit: .*/upload_rate_limit: 0/' {SETTINGS}")
    try:
        yield
    finally:
        on(CLIENT, f"mv {SETTINGS}.bench {SETTINGS}")


def ways() -> list[Way]:
    """All of them, each of which has seen the host without the tree."""
    told = json.loads(on(CLIENT, "cat /etc/tameng/backup/client.json"))
    sources = on(CLIENT, f"ls -d {' '.join(told['sources'])} 2>/dev/null || true").split()
    what = " ".join(path.lstrip("/") for path in sources)
    ssh = "ssh -F /run/bench/ssh_config tameng-backup"
    env = (
        f"export BORG_RSH='{ssh.rpartition(' ')[0]}' BORG_PASSPHRASE=bench BORG_BASE_DIR=/run/bench"
        f" BORG_REPO=ssh://tameng-backup{HOME}/repository"
    )
    on(CLIENT, f"{env}; cd /; borg init -e repokey-blake2; borg create ::before {what}")
    on(CLIENT, "systemctl start tameng-backup.service")
    ours = "systemctl start tameng-backup.service"
    mine = "/usr/local/lib/tameng/backup borg"
    read = f"{mine} extract --stdout ::$({mine} list --short --last 1) FILE"
    own = f"/srv/backup/{CLIENT}/repository"
    return [
        Way(
            "tar, zstd, ssh",
            f"tar -C / -c {what} | zstd -q | {ssh} 'cat >day-DAY.tar.zst'",
            HOME,
            f"{ssh} 'cat day-DAY.tar.zst' | zstd -dq | tar -xO FILE",
        ),
        Way(
            "borg create",
            f"{env}; cd /; borg create ::day-DAY {what}",
            HOME,
            f"{env}; borg extract --stdout ::day-DAY FILE",
        ),
        Way("tameng", ours, own, read),
        Way("tameng, free", ours, own, read),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--mib", type=int, default=200)
    parser.add_argument("--days", type=int, default=4, help="after the first")
    args = parser.parse_args()
    with account():
        found = ways()
        *same, free = found
        for tree, of in ((TREE, same), (f"{TREE}-2", [free])):
            on(CLIENT, f"rm -rf {TREE}")
            for day in range(args.days + 1):
                said = on(
                    CLIENT, f"python3 - {tree} {tree[-1]} {args.mib} {day} <<'END'\n{MAKE}\nEND"
                )
                files, size = map(int, said.split())
                print(f"{tree}, day {day}: {files} files, {size / 2**20:.0f} MiB", flush=True)
                for way in of:
                    if way is free:
                        with unlimited():
                            way.day(day)
                    else:
                        way.day(day)
            newest = on(CLIENT, f"find {tree} -type f -printf '%T@ %p\\n' | sort -n | tail -1")
            for way in of:
                way.proved(args.days, newest.split(" ", 1)[1])
    table(found)


def table(found: list[Way]) -> None:
    """The first day, and what a day after it costs; in brackets against ours."""
    ours = next(way for way in found if way.name == "tameng")

    def cells(way: Way) -> Iterator[str]:
        for what, unit in (("seconds", 1.0), ("wire", 2.0**20), ("disk", 2.0**20)):
            mine, other = getattr(ours, what), getattr(way, what)
            for one, against in (
                (other[0], mine[0]),
                (statistics.median(other[1:]), statistics.median(mine[1:])),
            ):
                yield f"{one / unit:.1f} ({one / against:.2f})"

    print(
        "\n| way | first, s | daily, s | first, MiB sent | daily, MiB sent | first, MiB on disk"
        " | daily, MiB on disk |\n|---|---|---|---|---|---|---|"
    )
    for way in found:
        print(f"| {way.name} | {' | '.join(cells(way))} |")
    for way in found:
        spread = f"{min(way.seconds[1:]):.1f}-{max(way.seconds[1:]):.1f}"
        total = sum(way.disk) / 2**20
        print(f"{way.name}: daily seconds {spread}; on disk after all days {total:.0f} MiB")


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the module's own layout."""


if __name__ == "__main__":
    main()
