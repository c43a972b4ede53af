"""Log-ins really tried, without a trace: sent to the host as it is, prints what came of them.

In a mount namespace of its own, on copies of /etc and of what PAM writes to, a person is made up
who sets passwords, guesses, is locked, grows old, and asks for root; and helpers run by sudo what
they are told they may (the first argument, {who, as, command}), and what they may not.
"""

from __future__ import annotations

import ctypes
import grp
import json
import os
import pathlib
import pty
import pwd
import re
import select
import signal
import struct
import subprocess
import sys
import time
from typing import Any, ClassVar

PERSON, GOOD, BETTER = "tmperson", "Tj7$kPw2!vQz9&Lm", "Hc4%nRb8?xFs6+Yd"
WEAK = {
    "short": "Tj7$kPw2!vQ",
    "one kind of characters": "kambingterbangtinggi",
    "no digit": "Tj$kPw!vQz&LmXr%",
    "no capital": "tj7$kpw2!vqz9&lm",
    "no special character": "Tj7kPw2vQz9LmXr4",
    "one character four times": "Tj7$kkkkw2!vQz9&",
    "a row of characters": "Tj7$abcde2!vQz9&",
    "the own name": f"{PERSON}7$X!q9",
    "blank": "",
}
# What a shell says of itself, and how one comes by a shell.
SAYS = (
    'umask; echo "${TMOUT-}"; (TMOUT=7200; :) 2>/dev/null && echo open || echo shut; echo $TMPDIR'
)
SHELLS = {
    "sh, not a log-in": ["su", "-s", "/bin/sh", "-c", SAYS, PERSON],
    "sh, log-in": ["su", "-", "-s", "/bin/sh", "-c", SAYS, PERSON],
    "bash, log-in": ["su", "-", "-s", "/bin/bash", "-c", SAYS, PERSON],
    "bash, interactive": ["su", "-s", "/bin/bash", "-c", f"exec bash -ic '{SAYS}'", PERSON],
    "root's bash, log-in": ["su", "-", "-s", "/bin/bash", "-c", SAYS],
    "root's bash, interactive": ["bash", "-ic", SAYS],
}
NOBODY = subprocess.DEVNULL
OFF, ON = 1, 2  # styles of PAM's messages that want an answer
DEFAULTS = pathlib.Path("/etc/login.defs")
TALLY = pathlib.Path("/run/faillock")
# What libpwquality makes of all its files: its numbers for them.
RULES = {"difok": 1, "minlen": 3, "maxrepeat": 9, "maxsequence": 14, "dictcheck": 15,
         "usercheck": 16, "enforcing": 17}  # fmt: skip
RECORD = struct.Struct("52sHHQ")
# Stands in for a delegated program, which shall not really run: it tells as whom, and with what.
STAND_IN = """#!/bin/sh
while read -r key real rest; do
    [ "$key" != Uid: ] || echo "as $real with $*"
done </proc/self/status
"""
# How sudo's parser tells of an account and of a group; and where rules of other files come from.
NAMED = {"username", "usergroup"}
MORE_RULES = {
    "/etc/nsswitch.conf": r"^\s*sudoers:(?!\s*files\s*$)",
    "/etc/sudo.conf": r"^\s*Plugin\s",
}
PROMPT, SECONDS = "a password, please", 10


class Message(ctypes.Structure):
    _fields_: ClassVar[Any] = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class Response(ctypes.Structure):
    _fields_: ClassVar[Any] = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


CONVERSE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(Message)),
    ctypes.POINTER(ctypes.POINTER(Response)), ctypes.c_void_p,
)  # fmt: skip
DELAY = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_: ClassVar[Any] = [("function", CONVERSE), ("data", ctypes.c_void_p)]


pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
cheap = ctypes.CDLL("libcrypt.so.1")
cheap.crypt.restype = ctypes.c_char_p
libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
no_delay = DELAY(lambda *_: None)


def tried(what: str, service: str, user: str, secret: str = "") -> int:
    """PAM's status for `what` (authenticate, acct_mgmt, chauthtok), each prompt answered so."""

    def converse(count: int, messages: Any, responses: Any, _: Any) -> int:
        answers = libc.calloc(count, ctypes.sizeof(Response))
        there = ctypes.cast(answers, ctypes.POINTER(Response))
        for number in range(count):
            if messages[number].contents.style in (OFF, ON):
                there[number].text = libc.strdup(secret.encode())
        responses[0] = there
        return 0

    function = CONVERSE(converse)
    handle, conversation = ctypes.c_void_p(), Conversation(function, None)
    pam.pam_start(service.encode(), user.encode(), ctypes.byref(conversation), ctypes.byref(handle))
    pam.pam_set_item(handle, 10, no_delay)
    status: int = getattr(pam, f"pam_{what}")(handle, 0)
    pam.pam_end(handle, status)
    return status


def lets_in(user: str, secret: str) -> bool:
    return tried("authenticate", "login", user, secret) == 0


def sets(user: str, secret: str) -> bool:
    return tried("chauthtok", "passwd", user, secret) == 0


def known(secret: str) -> str:
    """A hash that takes no time to be held against."""
    found: bytes = cheap.crypt(secret.encode(), b"$6$rounds=1000$tameng")
    return found.decode()


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def secret_of(user: str) -> list[str]:
    found = pathlib.Path("/etc/shadow").read_text().splitlines()
    return next(row.split(":") for row in found if row.startswith(f"{user}:"))


def shells() -> dict[str, list[str]]:
    """Umask, time-out, whether that can be changed, and folder for temporary files of each."""
    # pam_tmpdir makes it at somebody's first log-in; of two at once one may be left without.
    for user in (PERSON, "root"):
        subprocess.run(["su", "-c", ":", user], stdin=NOBODY, capture_output=True, check=False)
    begun = {
        name: subprocess.Popen(argv, stdin=NOBODY, stdout=subprocess.PIPE, stderr=NOBODY)
        for name, argv in SHELLS.items()
    }
    return {name: shell.communicate()[0].decode().split("\n")[:4] for name, shell in begun.items()}


def rules() -> dict[str, int]:
    quality = ctypes.CDLL("libpwquality.so.1")
    quality.pwquality_default_settings.restype = ctypes.c_void_p
    settings = ctypes.c_void_p(quality.pwquality_default_settings())
    quality.pwquality_read_config(settings, None, ctypes.byref(ctypes.c_void_p()))
    value, told = ctypes.c_int(), {}
    for name, number in RULES.items():
        quality.pwquality_get_int_value(settings, number, ctypes.byref(value))
        told[name] = value.value
    return told


def stage() -> None:
    """Copies, so that nothing of this happens to the host; nobody is told, either."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt")
    there = [str(path) for path in pathlib.Path("/etc").iterdir() if path.name != ".git"]
    run("cp", "-a", "--target-directory=/mnt", *there)
    run("mount", "--bind", "/mnt", "/etc")
    # Only /tmp is for all: in such a folder not even root writes to another's file, where the
    # kernel guards it (fs.protected_regular).
    shut = (
        "/run/faillock",
        "/run/systemd/journal",
        "/run/dbus",
        "/run/sudo",
        "/var/lib/sudo",
        "/var/log",
    )
    for folder, mode in (*((path, "755") for path in shut), ("/tmp", "1777")):  # noqa: S108
        pathlib.Path(folder).mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", folder)
    # Without the journal syslog(3) speaks to the console, and waits for ever if nobody reads it.
    run("mount", "--bind", "/dev/null", "/dev/console")
    # Times are no question here: nobody waits after a wrong password, su neither.
    reword(r"\A|^FAIL_DELAY.*", "FAIL_DELAY 0\n", DEFAULTS)
    services = pathlib.Path("/etc/pam.d").iterdir()
    reword(r"pam_(unix|faillock)\.so.*", r"\g<0> nodelay", *services)


def reword(pattern: str, new: str, *copies: pathlib.Path) -> None:
    """Only in the copies: a link may lead out of /etc, to a file of the host's own."""
    for copy in copies:
        if copy.is_file() and copy.resolve().is_relative_to("/etc"):
            copy.write_text(re.sub(pattern, new, copy.read_text(), flags=re.MULTILINE))


def later(user: str, seconds: int) -> None:
    """As if these wrong passwords had been given so long ago."""
    records = RECORD.iter_unpack((TALLY / user).read_bytes())
    moved = [RECORD.pack(who, pad, state, at - seconds) for who, pad, state, at in records]
    (TALLY / user).write_bytes(b"".join(moved))


def guessing(user: str, secret: str) -> dict[str, Any]:
    """What wrong passwords do, and when it ends: 14 and then 16 minutes later."""
    tally = TALLY / user
    for _ in range(8):
        tried("authenticate", "login", user, "wrong")
    told: dict[str, Any] = {"locked": not lets_in(user, secret)}
    if not told["locked"]:
        return told
    told["tries"] = tally.stat().st_size // RECORD.size
    told["key lets in"] = tried("acct_mgmt", "sshd", user) == 0
    for _ in range(8):  # that log-in has cleared the count
        tried("authenticate", "login", user, "wrong")
    later(user, 14 * 60)
    told["locked after 14 min"] = not lets_in(user, secret)
    later(user, 2 * 60)
    told["locked after 16 min"] = not lets_in(user, secret)
    return told


def by_sudo(user: str, target: str, *words: str) -> tuple[bool, str]:
    """Whether sudo lets him, at a terminal and with his password; and what was said."""
    person = pwd.getpwnam(user)
    child, terminal = pty.fork()
    if not child:
        os.initgroups(user, person.pw_gid)
        os.setgid(person.pw_gid)
        os.setuid(person.pw_uid)
        try:
            os.execv("/usr/bin/sudo", ["sudo", "-k", "-p", PROMPT, "-u", target, "--", *words])  # noqa: S606
        except OSError as exc:
            print(f"sudo: {exc.strerror}", flush=True)
        os._exit(126)
    said, asked = "", 0
    while select.select([terminal], [], [], SECONDS)[0]:
        try:
            part = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # he has hung up
            break
        said += part
        if said.count(PROMPT) > asked:
            asked += 1
            os.write(terminal, f"{GOOD}\n".encode())
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return status == 0, said.replace(PROMPT, "").strip()


def delegated(who: str, target: str, command: str) -> dict[str, Any]:
    """A helper runs his command, and what is like it."""
    user = who
    if who.startswith("%"):
        user = f"{PERSON}2"
        run("useradd", "--no-log-init", "-M", "-s", "/bin/sh", "-G", who[1:], user)
    run("usermod", "-p", cheap.crypt(GOOD.encode(), b"$6$tameng").decode(), user)
    program, *arguments = command.split()
    stand_in = pathlib.Path("/tmp/stand-in")  # noqa: S108
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    run("mount", "--bind", str(stand_in), program)
    lets, said = by_sudo(user, target, program, *arguments)
    besides = {
        "another argument": (target, program, *arguments, "--version"),
        "root": ("root", program, *arguments),
        "a shell": (target, "/bin/sh", "-c", ":"),
    }
    if arguments:
        besides["no argument"] = (target, program)
    more = [what for what, words in besides.items() if by_sudo(user, *words)[0]]
    run("umount", program)
    if who.startswith("%"):
        run("userdel", user)
    right = f"as {pwd.getpwnam(target).pw_uid} with {' '.join(arguments)}".strip()
    return {"runs": lets and said == right, "said": said[-200:], "besides": more}


def delegations(given: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What came of each; of what can't be tried, why."""
    told = []
    for one in given:
        try:
            told.append({**one, **delegated(one["who"], one["as"], one["command"])})
        except (KeyError, OSError, subprocess.CalledProcessError) as exc:
            said = getattr(exc, "stderr", None) or str(exc).encode()
            told.append({**one, "runs": False, "said": said.decode().strip()[-200:], "besides": []})
    return told


def may_use_sudo() -> list[str]:
    """Everybody for whom sudo itself finds a rule."""
    found = []
    for name in meant():
        done = subprocess.run(["sudo", "-l", "-U", name], capture_output=True, check=False)
        if b"is not allowed to run sudo" not in done.stdout + done.stderr:
            found.append(name)
    return found


def meant() -> list[str]:
    """Whom a rule could be for: who is named by himself or by a group, as sudo's own parser has its
    files; everybody, where there is more to it (ALL, an exception, an alias, other sources)."""
    everybody = pwd.getpwall()
    reader = ["cvtsudoers", "-f", "json", "/etc/sudoers"]
    done = subprocess.run(reader, capture_output=True, check=False)
    if done.returncode or any(map(told_more, MORE_RULES)):
        return [one.pw_name for one in everybody]
    specs = json.loads(done.stdout).get("User_Specs", [])
    who = [tuple(one.items()) for spec in specs for one in spec["User_List"]]
    if any(len(one) > 1 or one[0][0] not in NAMED or one[0][1] == "ALL" for one in who):
        return [one.pw_name for one in everybody]
    # Capitals make no difference to sudo.
    named = {(kind, name.casefold()) for ((kind, name),) in who}
    names = {group.gr_gid: group.gr_name.casefold() for group in grp.getgrall()}
    return [
        one.pw_name
        for one in everybody
        if ("username", one.pw_name.casefold()) in named
        or any(
            ("usergroup", names.get(number)) in named
            for number in os.getgrouplist(one.pw_name, one.pw_gid)
        )
    ]


def told_more(path: str) -> bool:
    """Whether this file has sudo ask somebody else, or read other files."""
    text = pathlib.Path(path).read_text() if pathlib.Path(path).exists() else ""
    return bool(re.search(MORE_RULES[path], text, re.MULTILINE))


def main() -> None:
    began = time.monotonic()
    stage()
    run("useradd", "--no-log-init", "-M", "-s", "/bin/sh", PERSON)
    days = dict(zip(("min", "max", "warn", "inactive"), secret_of(PERSON)[3:7], strict=True))
    told: dict[str, Any] = {"new": days, "rules": rules()}
    told["shells"] = shells()
    told["may use sudo"] = may_use_sudo()
    told["delegated"] = delegations(json.loads(sys.argv[1]))
    # Before there is a hash: PAM would hold each one against it, slow on purpose.
    told["weak accepted"] = [kind for kind, word in WEAK.items() if sets(PERSON, word)]
    told["good accepted"] = sets(PERSON, GOOD)
    told["hash"] = secret_of(PERSON)[1][:3]
    # How it hashes is known now: from here on by something quick.
    reword(r"\b(yescrypt|gost_yescrypt)\b", "sha512", *pathlib.Path("/etc/pam.d").iterdir())
    reword(r"^(SHA_CRYPT_M.._ROUNDS).*", r"\1 1000", DEFAULTS)
    told["weak accepted of root"] = [kind for kind, word in WEAK.items() if sets("root", word)]
    told["good accepted of root"] = sets("root", GOOD)
    run("usermod", "-p", known(GOOD), PERSON)
    told["changed"] = sets(PERSON, BETTER)
    told["reused"] = sets(PERSON, GOOD) or sets(PERSON, BETTER)
    for user in (PERSON, "root"):
        run("usermod", "-p", known(GOOD), user)
    told["right lets in"] = lets_in(PERSON, GOOD)
    told["guessing"] = guessing(PERSON, GOOD)
    told["guessing root"] = guessing("root", GOOD)
    su = ["runuser", "-u", "nobody", "--", "su", "-s", "/bin/sh", "-c", "true", PERSON]
    done = subprocess.run(su, input=GOOD.encode(), capture_output=True, check=False)
    told["su lets in"] = done.returncode == 0
    run("chage", "-d", "2001-01-01", "-M", "90", "-I", "30", PERSON)
    told["old password, by key"] = tried("acct_mgmt", "sshd", PERSON) == 0
    run("usermod", "-p", "", PERSON)
    told["blank lets in"] = lets_in(PERSON, "")
    told["seconds"] = round(time.monotonic() - began, 2)
    print(json.dumps(told))


main()
