"""Tameng, role antivirus: what the guard does, asked by doing it: the EICAR test file is written
into each guarded folder, opened, looked for in the quarantine, and cleaned away."""

import io
import secrets
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

import engine
import quarantine

# The test file of the European Institute for Computer Antivirus Research: harmless, and known to
# every antivirus. Put together here, so that this program isn't found itself.
PARTS = ("X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EICAR-STANDARD", "-ANTIVIRUS-TEST-FILE!$H+H*")
MOST = 3  # seconds that whoever opens a file may wait here
PATIENCE = 6  # seconds in which it has to be put away
SHALLOW, DEEP = 4, 25  # so often packed it has to be seen, and so often the engine has to give up
BOMB = 16 << 20
SECONDS = ("clean_seconds", "open_seconds", "away_seconds")


def eicar():
    return "".join(PARTS).encode()


def test(settings):
    """{folders: [{path, refused, open_seconds, away_seconds, record, trouble}], packed: {…}}"""
    tries = [begin(folder) for folder in settings["guarded"]]
    until = time.monotonic() + PATIENCE
    waiting = [one for one in tries if not one["trouble"]]
    while waiting and time.monotonic() < until:
        waiting = [one for one in waiting if not arrived(one)]
        time.sleep(0.2 if waiting else 0)
    for one in tries:
        end(one)
    return {"folders": tries, "packed": packed()}


def begin(folder):
    name = f".tameng-antivirus-test-{secrets.token_hex(4)}"
    path = Path(folder, name)
    one = {"folder": folder, "name": name, "path": str(path), "trouble": "", "record": None,
           "refused": False, **dict.fromkeys(SECONDS)}  # fmt: skip
    if not Path(folder).is_dir():
        return one | {"trouble": "there is no such folder"}
    (quarantine.TESTS / name).touch()
    try:
        do(["tee", path], b"clean")
        one["clean_seconds"] = do(["cat", path])[1]
        do(["tee", path], eicar())
        one["began"] = time.monotonic()
        done, one["open_seconds"] = do(["cat", path])
    except subprocess.TimeoutExpired:
        return one | {"trouble": f"who opens a file waits for more than {MOST} s"}
    one["refused"] = done.returncode != 0 and not done.stdout
    return one


def do(command, given=b""):
    """By a process of its own: whoever waits for the guard hears no signal but the last one."""
    began = time.monotonic()
    done = subprocess.run(command, input=given, capture_output=True, timeout=MOST, check=False)
    return done, round(time.monotonic() - began, 3)


def arrived(one):
    """Whether it was put away, with its record."""
    record = next((r for r in quarantine.records() if Path(r["path"]).name == one["name"]), None)
    if not record or Path(one["path"]).exists():
        return False
    one["away_seconds"] = round(time.monotonic() - one["began"], 1)
    one["record"] = {name: record[name] for name in ("id", "found", "owner", "sha256", "path")}
    return True


def end(one):
    if Path(one["folder"]).is_dir():
        Path(one["path"]).unlink(missing_ok=True)
    (quarantine.TESTS / one["name"]).unlink(missing_ok=True)
    one.pop("began", None)
    for record in quarantine.records():
        if Path(record["path"]).name == one["name"]:
            for left in quarantine.KEPT.glob(f"{record['id']}*"):
                left.unlink()


def packed():
    """What the engine makes of packed things, handed to it in memory."""
    try:
        deep, shallow = look(nested(DEEP)), look(nested(SHALLOW))
        began = time.monotonic()
        bomb = look(zipped(b"\0" * BOMB))
        seconds = round(time.monotonic() - began, 2)
    except engine.NoAnswer as problem:
        return {"trouble": str(problem)}
    return {"trouble": "", "shallow": shallow, "deep": deep, "bomb": bomb, "bomb_seconds": seconds}


def nested(times):
    inner = eicar()
    for _ in range(times):
        inner = zipped(inner)
    return inner


def zipped(inner):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x", inner)
    return out.getvalue()


def look(content):
    with tempfile.NamedTemporaryFile(dir=quarantine.HOME) as out:
        out.write(content)
        out.flush()
        return engine.look(out.fileno(), PATIENCE)
