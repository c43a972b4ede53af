"""Tameng, role antivirus.

antivirus list               what lies in quarantine, and waits for a decision
antivirus release ID WHY     it is harmless: back to where it was, and never found again
antivirus delete ID WHY      it is gone; its record stays
antivirus test               write the EICAR test file into each guarded folder, and tell as JSON
antivirus facts              all that an audit asks, as JSON
antivirus scan | watch       what the timer and the service run
antivirus ready | mend | wait PID    for the role: whether the engine loads its signatures
antivirus guarded            for the role: whether the kernel asks about each guarded folder
antivirus begin              for the role: from now on the first scan is due
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import engine
import quarantine
import rehearsal
import scanning

SETTINGS = Path("/etc/tameng/antivirus/settings.json")
SIGNATURES = Path("/var/lib/clamav")
ENGINE, ACCESS = "tameng-antivirus.service", "tameng-antivirus-access.service"
PATIENCE = 400
BEGINS = 20  # seconds that the guard may take to name its folders to the kernel
AGAIN = 60  # seconds after which what was left is looked at once more, if somebody opens it


def watch():
    """The engine writes the name of each file that it finds something in. Anybody can make up such
    a line by a file's name, so each is looked at again, and only what is found is put away."""
    settings = json.loads(SETTINGS.read_text())
    threading.Thread(target=guard, daemon=True).start()
    told = ["journalctl", "-q", "-f", "-o", "cat", "-S", "-5min", f"_SYSTEMD_UNIT={ENGINE}"]
    left = {}  # where they were: to look at one makes the engine write its name once more
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True, errors="replace") as lines:
        for line in lines.stdout:
            path, _, found = line.rstrip("\n").rpartition(": ")
            ours = Path(path).is_relative_to(quarantine.HOME)
            if ours or not found.endswith(" FOUND") or not path.startswith("/"):
                continue
            left = {one: until for one, until in left.items() if until > time.monotonic()}
            try:
                shown = Path(path).lstat()
                which = (path, shown.st_ino, shown.st_ctime_ns)
                if which in left:
                    continue
                left[which] = time.monotonic() + AGAIN
                record = quarantine.look(path, "access", settings["quarantine_max"])
                if not (record and record["left"]):
                    del left[which]
            except engine.NoAnswer as problem:
                left.pop(which)
                print(f"{path!r}: {problem}", file=sys.stderr, flush=True)
            except OSError as problem:  # gone, or there is no room even for its record
                print(f"{path!r}: {problem}", file=sys.stderr, flush=True)
    sys.exit("the journal ended")


def guard():
    while True:
        engine.end_if_stuck()
        time.sleep(engine.QUICK)


def wait(pid):
    """Until the engine answers, or has ended."""
    until = time.monotonic() + PATIENCE
    while not engine.answers():
        if time.monotonic() > until or not Path(f"/proc/{pid}").exists():
            sys.exit("the engine doesn't answer")
        time.sleep(0.3)


def state():
    return shown(ENGINE, "ActiveState", "SubState")


def shown(unit, *properties):
    asked = [word for name in properties for word in ("-p", name)]
    argv = ["systemctl", "show", *asked, "--value", unit]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()


def ready():
    """An engine that isn't to run has nothing to answer; one that loads signatures is given time,
    one that fails again and again is not."""
    began = time.monotonic()
    while (now := state()) and now[0] != "inactive" and not engine.answers():
        patience = {"active": 10, "activating": PATIENCE}.get(now[0], 0)
        if now[1:] == ["auto-restart"] or time.monotonic() > began + patience:
            sys.exit("the engine doesn't answer")
        time.sleep(1)


def mend():
    """Take away signatures that the engine can't load; they are fetched anew. Ours are enough."""
    subprocess.run(["systemctl", "kill", "-s", "KILL", ENGINE], capture_output=True, check=False)
    for path in sorted(SIGNATURES.iterdir()):
        if path.suffix in (".dat", ".new") or path == quarantine.OURS or path.is_dir():
            continue
        tried = subprocess.run(
            ["clamscan", "--no-summary", "-d", str(path), str(SETTINGS)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if tried.returncode > 1:
            print(f"{path}: can't be loaded, taken away")
            path.unlink()
    Path(quarantine.HOME, "asked").unlink(missing_ok=True)
    subprocess.run(["systemctl", "reset-failed", ENGINE], capture_output=True, check=False)
    subprocess.run(["systemctl", "restart", ENGINE], check=True)


def guarded():
    """A folder that was made anew since the guard began isn't the one that it guards."""
    folders = [Path(folder) for folder in json.loads(SETTINGS.read_text())["guarded"]]
    until = time.monotonic() + BEGINS
    while bare := [str(path) for path in folders if path.is_dir() and place(path) not in marked()]:
        since = shown(ACCESS, "ActiveEnterTimestampMonotonic")[0]
        if not guards() or time.monotonic() > min(until, int(since) / 1e6 + BEGINS):
            break
        time.sleep(0.5)
    if guards() and bare:
        sys.exit(f"made anew, and not guarded: {' '.join(bare)}")


def guards():
    """The process that does; 0 where none is to run."""
    return int(shown(ACCESS, "MainPID")[0])


def place(path):
    """File system and inode, as the kernel counts them: every disk's root has the same inode."""
    argv = ["findmnt", "-no", "MAJ:MIN", "-T", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    # Of disks that are mounted over each other the last one is seen.
    major, minor = done.stdout.split()[-1].split(":")
    return int(major) << 20 | int(minor), path.stat().st_ino


def marked():
    """What the kernel says that it asks the guard about (proc_pid_fdinfo(5))."""
    told = ""
    for file in Path(f"/proc/{guards()}/fdinfo").glob("*"):
        with suppress(FileNotFoundError):  # of a file that it had just looked at
            told += file.read_text()
    found = re.findall(r"^fanotify ino:([0-9a-f]+) sdev:([0-9a-f]+) ", told, re.MULTILINE)
    return {(int(device, 16), int(inode, 16)) for inode, device in found}


def begin():
    """Nothing was scanned yet, and since now that is known."""
    scanning.keep({"began": time.time(), "cursor": [], **scanning.NOTHING})


def facts():
    settings = json.loads(SETTINGS.read_text())
    found = {"now": time.time(), "settings": settings, "memory": memory(), "trouble": ""}
    try:
        found |= engine.version()
    except engine.NoAnswer as problem:
        found |= {"engine": "", "official": None, "trouble": str(problem)}
    first = time.mktime((*time.localtime()[:2], 1, 0, 0, 0, 0, 0, -1))
    found["signatures"] = sorted(p.name for p in SIGNATURES.iterdir() if p.suffix != ".dat")
    found["updated"] = moment(quarantine.HOME / "updated")
    found["scan"] = scanning.known()
    found["waiting"] = quarantine.waiting()
    found["month"] = [r for r in quarantine.records() if r["at"] >= first and not r["test"]]
    return found


def memory():
    return int(Path("/proc/meminfo").read_text().split()[1]) // 1024


def moment(path):
    return path.stat().st_mtime if path.exists() else None


def listed():
    for record in quarantine.waiting():
        when = time.strftime("%d-%m-%Y %H:%M", time.localtime(record["at"]))
        print(f"{record['id']}  {when}  {record['owner']}  {record['found']}  {record['path']!r}")
        print(f"    {record['left'] or 'put away'}, {record['bytes']} bytes, {record['sha256']}")


def main(verb="", *words):
    os.umask(0o077)
    plain = {
        "watch": watch,
        "ready": ready,
        "mend": mend,
        "guarded": guarded,
        "begin": begin,
        "list": listed,
    }
    if verb in plain and not words:
        plain[verb]()
    elif verb == "scan" and not words:
        sys.exit(scanning.scan(json.loads(SETTINGS.read_text())))
    elif verb == "test" and not words:
        print(json.dumps(rehearsal.test(json.loads(SETTINGS.read_text()))))
    elif verb == "facts" and not words:
        print(json.dumps(facts()))
    elif verb == "wait" and len(words) == 1:
        wait(*words)
    elif verb in ("release", "delete") and len(words) > 1:
        try:
            quarantine.decide(words[0], verb, " ".join(words[1:]))
        except (ValueError, OSError, engine.NoAnswer) as problem:
            sys.exit(str(problem))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
