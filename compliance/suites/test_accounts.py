"""Accounts: what PAM, the shells and sudo really do, and who there is.

Passwords, guessing, shells and what helpers may do are rehearsed on the host without a trace
(rehearsal.py); people are what getent says; sudo's rules are what its own parser makes of them.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

REHEARSAL = base64.b64encode(Path(__file__).with_name("rehearsal.py").read_bytes()).decode()
MOST_TRIES = 5
# Debian's own members of the group root's number, which can't log in.
GROUP_0 = {"root", "sync", "shutdown", "halt", "operator"}
PEOPLE = range(1000, 60001)
# Whoever is in one of these has root within reach.
MIGHTY_GROUPS = {
    "root",
    "sudo",
    "adm",
    "disk",
    "kmem",
    "shadow",
    "docker",
    "lxd",
    "incus-admin",
    "libvirt",
}
# Kind, rights and number of whom sudo's program may be started by; its package knows no list.
ACCESS_LIST = """
import os, struct
program, name = "/usr/bin/sudo", "system.posix_acl_access"
listed = os.getxattr(program, name)[4:] if name in os.listxattr(program) else b""
[print(*one) for one in struct.iter_unpack("<HHI", listed)]
"""
Rows = dict[str, list[list[str]]]
Public = Callable[[str], Any]


@pytest.fixture
def delegated(public: Public) -> list[dict[str, str]]:
    """What the inventory lets helpers do, blanks apart as sudo sees it."""
    return [
        {"who": one["who"], "as": one["as"], "command": " ".join(one["command"].split())}
        for one in public("accounts_sudo_delegations") or []
    ]


@pytest.fixture
def administrators(public: Public) -> set[str]:
    """Who may do everything, says the inventory."""
    declared = ("accounts_operators", "accounts_administrators")
    return {"root"}.union(*(public(name) or [] for name in declared))


@pytest.fixture
def rehearsed(host: Any, delegated: list[dict[str, str]]) -> dict[str, Any]:
    """What came of the log-ins that were tried, and of what helpers tried."""
    told_to_try = shlex.quote(json.dumps(delegated))
    rehearse = f"echo {REHEARSAL} | base64 -d | unshare --mount python3 - {told_to_try}"
    done = host.run(rehearse, timeout=90)
    if done.rc:
        broken(f"the rehearsal broke: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def listed(ask: Ask) -> Rows:
    """passwd, group and shadow by getent, of the hashes only their kind; the valid shells."""
    text = ask(
        r"for list in passwd group shadow; do echo =$list; cat /etc/$list |"
        r" sed -E 's/^([^:]*:\$[^$]*\$)[^:]*/\1/'; done; echo =shells; grep ^/ /etc/shells;"
        r" echo =day; expr $(date +%s) / 86400"
    )
    found: Rows = {}
    for line in text.splitlines():
        if line.startswith("="):
            rows = found.setdefault(line[1:], [])
        else:
            rows.append(line.split(":"))
    return found


@pytest.fixture
def sudo(ask: Ask) -> dict[str, Any]:
    """All of sudo's files as its own parser understands them."""
    rules: dict[str, Any] = json.loads(ask("cvtsudoers -e -f json /etc/sudoers"))
    return rules


@pytest.fixture
def sudo_defaults(sudo: dict[str, Any]) -> dict[str, Any]:
    """The value that counts of each setting for everybody: the last one."""
    return {
        name: value
        for entry in sudo.get("Defaults", [])
        if "Binding" not in entry
        for option in entry["Options"]
        for name, value in option.items()
    }


def logs_in(row: list[str], listed: Rows) -> bool:
    """Whether an account's shell is one that lets somebody work."""
    shells = {shell for (shell,) in listed["shells"]}
    return row[6] in shells and not row[6].endswith(("/nologin", "/false"))


def grants(sudo: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each pair of somebody and what he may do."""
    return [
        (next(iter(who.values())), commands)
        for spec in sudo.get("User_Specs", [])
        for who in spec["User_List"]
        for commands in spec["Cmnd_Specs"]
    ]


@dataclass(frozen=True)
class Rule:
    """One thing that somebody who is no administrator may do, in sudo's own words."""

    who: str
    targets: tuple[str, ...]
    command: str
    negated: bool

    @property
    def said(self) -> str:
        return f"{self.who}: {self.command} as {', '.join(self.targets)}"


@pytest.fixture
def others_rules(
    sudo: dict[str, Any],
    sudo_defaults: dict[str, Any],
    listed: Rows,
    administrators: set[str],
) -> list[Rule]:
    """Every rule that isn't for administrators alone, be anybody meant by it today or not."""
    default = {"username": str(sudo_defaults.get("runas_default", "root"))}
    return [
        Rule(named(who), tuple(targets(given, default)), one_command(command), "negated" in command)
        for spec in sudo.get("User_Specs", [])
        for who in spec["User_List"]
        if not (meant := meant_by(who, listed)) or not meant <= administrators
        for given in spec["Cmnd_Specs"]
        for command in given["Commands"]
    ]


def named(who: dict[str, Any]) -> str:
    """As sudoers would say it."""
    kind, value = next((kind, value) for kind, value in who.items() if kind != "negated")
    sign = {"usergroup": "%", "usergid": "%#", "userid": "#", "netgroup": "+"}.get(kind, "")
    return f"{'!' * ('negated' in who)}{sign}{value}"


def targets(given: dict[str, Any], default: dict[str, Any]) -> Iterator[str]:
    """As whom; with a group there, too."""
    yield from map(named, given.get("runasusers", [default]))
    yield from (f"a member of {named(group)}" for group in given.get("runasgroups", []))


def one_command(said: dict[str, Any]) -> str:
    """A program with its arguments; what is no program (an alias, a list) by its kind."""
    kind, value = next((kind, value) for kind, value in said.items() if kind != "negated")
    return str(value) if kind == "command" else f"{kind} {value}"


def meant_by(who: dict[str, Any], listed: Rows) -> set[str]:
    """The accounts that a rule is for, as far as this host's own lists tell."""
    name = named(who)
    if name.startswith("%"):
        key = 2 if name.startswith("%#") else 0
        for group in listed["group"]:
            if group[key] == name.strip("%#"):
                members = {row[0] for row in listed["passwd"] if row[3] == group[2]}
                return members | set(filter(None, group[3].split(",")))
    return {name}


# --- passwords ------------------------------------------------------------------------------------


@control(
    "accounts_passwords_strong",
    sabotage="loosen /etc/security/pwquality.conf minlen 6",
    says="short",
    also=("accounts_root_passwords_strong", "accounts_password_rules"),
)
def test_weak_passwords_are_refused(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Each kind of weak password was offered for a new person; and a good one is taken."""
    evidence.measured("accepted", rehearsed["weak accepted"])
    assert not rehearsed["weak accepted"], f"taken: {', '.join(rehearsed['weak accepted'])}"
    assert rehearsed["good accepted"], "a good password is refused"


@control(
    "accounts_root_passwords_strong",
    sabotage="sed -i /enforce_for_root/d /etc/security/pwquality.conf",
    says="for root",
    also=("accounts_passwords_strong",),  # root sets a person's password, too
)
def test_root_s_passwords_are_strong(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """The same for root, who could overrule what isn't enforced."""
    evidence.measured("accepted", rehearsed["weak accepted of root"])
    taken = rehearsed["weak accepted of root"]
    assert not taken, f"taken for root: {', '.join(taken)}"
    assert rehearsed["good accepted of root"], "a good password is refused for root"


@control(
    "accounts_password_rules",
    sabotage="loosen /etc/security/pwquality.conf difok 0",
    says="difok is 0",
)
def test_password_rules(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """What the library makes of all its files; 0 switches a rule off."""
    rules = rehearsed["rules"]
    evidence.measured("rules", rules)
    wrong = [name for name, least in (("difok", 2), ("minlen", 15)) if rules[name] < least]
    wrong += [name for name in ("maxrepeat", "maxsequence") if not 1 <= rules[name] <= 3]
    wrong += [name for name in ("dictcheck", "usercheck", "enforcing") if not rules[name]]
    assert not wrong, ", ".join(f"{name} is {rules[name]}" for name in wrong)


@control(
    "accounts_passwords_not_reused",
    sabotage="sed -i s/remember=24/remember=0/ /etc/pam.d/common-password",
    says="used before",
)
def test_old_passwords_are_refused(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """A person changes his password and tries to go back to the one before."""
    evidence.measured("reused", rehearsed["reused"])
    assert rehearsed["changed"], "a good password can't be changed for another"
    assert not rehearsed["reused"], "a password that was used before is taken"


@control(
    "accounts_passwords_hashed",
    sabotage="sed -i 's/ yescrypt/ sha256/' /etc/pam.d/common-password",
    says="$5$",
)
def test_hash_is_strong(rehearsed: dict[str, Any], listed: Rows, evidence: Evidence) -> None:
    """A new password's hash is yescrypt, and nobody's is weaker than SHA-512."""
    weak = [row[0] for row in listed["shadow"] if re.match(r"\$(1|5|2[ab]?)\$|[^$!*]", row[1])]
    evidence.measured("new", rehearsed["hash"])
    evidence.measured("weak", weak)
    assert rehearsed["hash"] == "$y$", f"a new password is hashed as {rehearsed['hash']}"
    assert not weak, f"weakly hashed: {', '.join(weak)}"


@control(
    "accounts_blank_refused",
    sabotage="sed -i 's/pam_unix.so/pam_unix.so nullok/' /etc/pam.d/common-auth",
    says="without a password",
)
def test_blank_passwords_let_nobody_in(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Should an account ever be without a password, it is no way in."""
    evidence.measured("right_password_lets_in", rehearsed["right lets in"])
    evidence.measured("blank_lets_in", rehearsed["blank lets in"])
    assert rehearsed["right lets in"], "the right password doesn't let in"
    assert not rehearsed["blank lets in"], "an account without a password lets in"


@control(
    "accounts_no_empty_passwords",
    sabotage="passwd -q -d games",
    says="games",
    also=("accounts_service_locked",),
)
def test_nobody_is_without_a_password(listed: Rows, evidence: Evidence) -> None:
    """Each account has a password or is locked, root's too."""
    blank = [row[0] for row in listed["shadow"] if not row[1]]
    evidence.measured("blank", blank)
    assert not blank, f"without a password: {', '.join(blank)}"


@control(
    "accounts_guessing_locks",
    sabotage="sed -i 's/^deny = .*/deny = 20/' /etc/security/faillock.conf",
    says="wrong passwords",
    also=("accounts_root_guessing_locks", "accounts_lock_ends"),
)
def test_guessing_locks(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """After a few wrong passwords the right one doesn't help."""
    evidence.measured("guessing", rehearsed["guessing"])
    tries = rehearsed["guessing"].get("tries", 99)
    assert rehearsed["guessing"]["locked"], "eight wrong passwords lock nobody"
    assert tries <= MOST_TRIES, f"{tries} wrong passwords are allowed"


@control(
    "accounts_root_guessing_locks",
    sabotage="sed -i /^even_deny_root/d /etc/security/faillock.conf",
    says="root's password",
    also=("accounts_lock_ends",),
)
def test_guessing_locks_root(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Root's password is guessed first."""
    evidence.measured("guessing", rehearsed["guessing root"])
    assert rehearsed["guessing root"]["locked"], "root's password may be guessed without end"


@control(
    "accounts_lock_ends",
    sabotage="sed -i 's/^unlock_time = .*/unlock_time = 0/' /etc/security/faillock.conf",
    says="after 16 minutes",
)
def test_lock_ends_by_itself(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """After 15 minutes, root's too: who can lock others out for ever is an attacker as well."""
    for who in ("guessing", "guessing root"):
        told = rehearsed[who]
        evidence.measured(who, told)
        assert told.get("locked after 14 min"), f"{who}: the lock ends within 14 minutes"
        assert not told["locked after 16 min"], f"{who}: still locked after 16 minutes"


@control(
    "accounts_keys_stay_good",
    sabotage="sed -i 's/ no_pass_expiry//' /etc/pam.d/common-account",
    says="an old password",
)
def test_keys_stay_good(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """An old password, or a lock by somebody's guessing, shuts nobody out who comes by key."""
    evidence.measured("old_password", rehearsed["old password, by key"])
    assert rehearsed["old password, by key"], "an old password shuts out who comes by key"
    assert rehearsed["guessing"].get("key lets in", True), "guessing shuts out who comes by key"


# --- ageing ---------------------------------------------------------------------------------------


def too_long(days: dict[str, str]) -> list[str]:
    """What of an account's days isn't as it should be."""
    bounds = {"min": (1, 30), "max": (1, 365), "warn": (7, 365), "inactive": (0, 45)}
    return [
        f"{name} {days[name] or 'none'}"
        for name, (least, most) in bounds.items()
        if not days[name] or not least <= int(days[name]) <= most
    ]


@control(
    "accounts_ageing_new",
    sabotage="sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 99999/' /etc/login.defs",
    says="99999",
)
def test_new_accounts_age(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """What useradd really gave a new person."""
    evidence.measured("days", rehearsed["new"])
    wrong = too_long(rehearsed["new"])
    assert not wrong, f"a new account gets: {', '.join(wrong)}"


@control("accounts_ageing_existing", sabotage="chage -M 99999 root", says="root: max 99999")
def test_existing_accounts_age(listed: Rows, evidence: Evidence) -> None:
    """Everybody who has a password, and root in any case."""
    wrong = {}
    for row in listed["shadow"]:
        if row[1].startswith("$") or row[0] == "root":
            days = dict(zip(("min", "max", "warn", "inactive"), row[3:7], strict=True))
            if found := too_long(days):
                wrong[row[0]] = found
    evidence.measured("wrong", wrong)
    said = [f"{name}: {', '.join(days)}" for name, days in wrong.items()]
    assert not wrong, "; ".join(said)


@control(
    "accounts_changed_in_past", sabotage="chage -d $(date -d '+30 days' +%F) root", says="root"
)
def test_no_password_is_of_the_future(listed: Rows, evidence: Evidence) -> None:
    """A date in the future puts off every end."""
    ((today,),) = listed["day"]
    late = [row[0] for row in listed["shadow"] if int(row[2] or 0) > int(today)]
    evidence.measured("late", late)
    assert not late, f"changed in the future: {', '.join(late)}"


@control(
    "accounts_leavers_closed", sabotage="add_account -M -s /bin/bash mantan", says="mantan is open"
)
def test_who_has_left_can_not_come_in(
    listed: Rows, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Locked and expired: an expired account refuses keys, too."""
    leavers = public("accounts_leavers") or []
    rows = [row for row in listed["shadow"] if row[0] in leavers]
    is_open = [row[0] for row in rows if not row[1].startswith(("!", "*")) or row[7] != "1"]
    evidence.measured("leavers", leavers)
    evidence.measured("open", is_open)
    assert not is_open, f"the account of {', '.join(is_open)} is open"


# --- who there is ---------------------------------------------------------------------------------


@control(
    "accounts_only_root_is_root",
    sabotage="add_account -o -u 0 -M -N -s /usr/sbin/nologin toor",
    says="toor",
    also=("accounts_ids_unique",),
)
def test_root_is_the_only_root(listed: Rows, evidence: Evidence) -> None:
    """Number 0 is root, whatever the name."""
    roots = [row[0] for row in listed["passwd"] if int(row[2]) == 0]
    evidence.measured("roots", roots)
    assert roots == ["root"], f"number 0 belongs to {', '.join(roots)}"


@control(
    "accounts_root_group_only_root",
    sabotage="add_account -r -g 0 -M -s /usr/sbin/nologin abdi",
    says="abdi",
)
def test_root_s_group_is_root_s(listed: Rows, evidence: Evidence) -> None:
    """No other account has root's group, no other group its number."""
    others = [row[0] for row in listed["passwd"] if row[3] == "0" and row[0] not in GROUP_0]
    others += [row[0] for row in listed["group"] if row[2] == "0" and row[0] != "root"]
    evidence.measured("others", others)
    assert not others, f"in root's group: {', '.join(others)}"


@control(
    "accounts_service_shells", sabotage="usermod -s /bin/bash games", says="games has /bin/bash"
)
def test_services_have_no_shell(
    listed: Rows, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Accounts of services are nobody's to log in with, but for those that the inventory names."""
    allowed = {"root", *(public("accounts_service_shells") or [])}
    services = [r for r in listed["passwd"] if int(r[2]) not in PEOPLE and r[0] not in allowed]
    able = [f"{row[0]} has {row[6]}" for row in services if logs_in(row, listed)]
    evidence.measured("able", able)
    assert not able, "; ".join(able)


@control(
    "accounts_service_locked",
    sabotage="usermod -p '$6$tameng$x' games",
    says="games",
    also=("accounts_ageing_existing",),
)
def test_without_a_shell_they_are_locked(listed: Rows, evidence: Evidence) -> None:
    """A password without a shell still opens what asks for the password alone."""
    secrets = {row[0]: row[1] for row in listed["shadow"]}
    idle = [row[0] for row in listed["passwd"] if not logs_in(row, listed) and row[0] != "root"]
    able = [name for name in idle if not secrets.get(name, "!").startswith(("!", "*"))]
    evidence.measured("able", able)
    assert not able, f"no shell, but not locked: {', '.join(able)}"


@control("accounts_shells_listed", sabotage="echo /usr/sbin/nologin >>/etc/shells", says="nologin")
def test_nologin_is_no_shell(listed: Rows, evidence: Evidence) -> None:
    """What is listed counts as a person's account to many programs."""
    shells = [shell for (shell,) in listed["shells"]]
    evidence.measured("shells", shells)
    assert not [shell for shell in shells if "nologin" in shell], "nologin is listed as a shell"


@control(
    "accounts_shadowed", sabotage="sed -i 's/^games:x:/games:$6$a$b:/' /etc/passwd", says="games"
)
def test_hashes_are_hidden(listed: Rows, evidence: Evidence) -> None:
    """/etc/passwd is read by everybody."""
    seen = [row[0] for row in listed["passwd"] if row[1] != "x"]
    evidence.measured("seen", seen)
    assert not seen, f"the hash of {', '.join(seen)} is in /etc/passwd"


@control(
    "accounts_groups_exist", sabotage="sed -i 's/^games:x:5:60:/games:x:5:4711:/' /etc/passwd",
    says="4711",
)  # fmt: skip
def test_groups_exist(listed: Rows, evidence: Evidence) -> None:
    """A number without a group is the next new group's."""
    numbers = {row[2] for row in listed["group"]}
    lost = sorted({row[3] for row in listed["passwd"]} - numbers)
    evidence.measured("lost", lost)
    assert not lost, f"no group has the number {', '.join(lost)}"


@control("accounts_shadow_group_empty", sabotage="gpasswd -a games shadow", says="games")
def test_nobody_reads_hashes(listed: Rows, evidence: Evidence) -> None:
    """The group shadow reads every password's hash."""
    ((_, _, number, members),) = [row for row in listed["group"] if row[0] == "shadow"]
    found = [name for name in members.split(",") if name]
    found += [row[0] for row in listed["passwd"] if row[3] == number]
    evidence.measured("members", found)
    assert not found, f"in the group shadow: {', '.join(found)}"


@control(
    "accounts_ids_unique",
    sabotage="add_account -o -u 5 -M -N -s /usr/sbin/nologin bayangan",
    says="5: games, bayangan",
)
def test_numbers_are_unique(listed: Rows, evidence: Evidence) -> None:
    """Two names with one number are one account, with two sets of people."""
    twice = {}
    for kind in ("passwd", "group"):
        for number, times in Counter(row[2] for row in listed[kind]).items():
            if times > 1:
                twice[f"{kind} {number}"] = [r[0] for r in listed[kind] if r[2] == number]
    evidence.measured("twice", twice)
    assert not twice, "; ".join(f"{what}: {', '.join(names)}" for what, names in twice.items())


@control(
    "accounts_names_unique",
    sabotage="sed -n 's/^games:x:5:/games:x:4242:/p' /etc/passwd >>/etc/passwd",
    says="games",
)
def test_names_are_unique(listed: Rows, evidence: Evidence) -> None:
    """Of two lines with one name only one is ever looked at."""
    twice = [
        name
        for kind in ("passwd", "group", "shadow")
        for name, times in Counter(row[0] for row in listed[kind]).items()
        if times > 1
    ]
    evidence.measured("twice", twice)
    assert not twice, f"twice there: {', '.join(twice)}"


@control("accounts_homes_private", sabotage="chmod 0755 /home/tameng", says="/home/tameng")
def test_homes_are_private(listed: Rows, ask: Ask, evidence: Evidence) -> None:
    """Each person's folder is there, his own, and closed to others."""
    people = [r for r in listed["passwd"] if int(r[2]) in PEOPLE and logs_in(r, listed)]
    wrong = []
    for row in people:
        said = ask("stat -c '%%a %%u' %s 2>&1 || :", row[5]).split()
        right = len(said) == 2 and said[1] == row[2] and not int(said[0], 8) & 0o027
        wrong += [] if right else [f"{row[5]} ({' '.join(said)[-40:]})"]
    evidence.measured("wrong", wrong)
    assert not wrong, f"not there, not theirs or open: {', '.join(wrong)}"


@control(
    "accounts_dot_files_safe", sabotage="touch /home/tameng/.rhosts", says="/home/tameng/.rhosts"
)
def test_dot_files_are_safe(listed: Rows, ask: Ask, evidence: Evidence) -> None:
    """Who can write another's start-up file becomes him; some files let strangers in."""
    people = [r for r in listed["passwd"] if int(r[2]) in PEOPLE and logs_in(r, listed)]
    wrong = []
    for row in people:
        wrong += ask(
            r"test ! -d %s || find %s -maxdepth 1 -type f -name '.*' \( -perm /022 -o ! -user %s"
            r" -o -name .rhosts -o -name .shosts -o -name .forward"
            r" -o \( -name .netrc -o -name .bash_history \) -perm /077 \)",
            row[5], row[5], row[2],
        ).splitlines()  # fmt: skip
    evidence.measured("wrong", wrong)
    assert not wrong, f"unsafe: {', '.join(wrong)}"


# --- shells ---------------------------------------------------------------------------------------


@control(
    "accounts_root_path",
    sabotage="chmod 0777 /usr/local/sbin",
    says="/usr/local/sbin (777",
    also=("files_programs_closed", "files_sticky"),
)
def test_root_s_path_is_root_s(ask: Ask, evidence: Evidence) -> None:
    """Every folder in which root's log-in shell looks for commands is there and root's alone."""
    path = ask("env -i HOME=/root bash -lc 'echo \"$PATH\"'").strip()
    evidence.measured("path", path)
    folders = path.split(":")
    odd = [folder for folder in folders if not folder.startswith("/")]
    lines = ask("stat -L -c '%a %u %F %n' -- " + " ".join(set(folders) - set(odd)), exits=(0, 1))
    for mode, owner, kind, name in (line.split(maxsplit=3) for line in lines.splitlines()):
        if int(mode, 8) & 0o022 or owner != "0" or kind != "directory":
            odd.append(f"{name} ({mode} {owner})")
    assert not odd, f"in root's PATH: {', '.join(odd)}"


@control(
    "accounts_umask",
    sabotage="sed -i 's/^umask .*/umask 022/' /etc/profile.d/zz-tameng.sh",
    says="0022",
)
def test_umask_in_every_shell(
    rehearsed: dict[str, Any], sudo_defaults: dict[str, Any], evidence: Evidence
) -> None:
    """Log-in or not, bash or sh, a person's or root's, and under sudo: only the owner reads."""
    found = {shell: said[0] for shell, said in rehearsed["shells"].items()}
    found["sudo"] = str(sudo_defaults.get("umask", "none"))
    evidence.measured("umask", found)
    wrong = [f"{shell} {mask}" for shell, mask in found.items() if mask != "0077"]
    assert not wrong, f"umask: {', '.join(wrong)}"


@control(
    "accounts_idle_shells_end",
    sabotage="sed -i 's/^    TMOUT=.*/    TMOUT=0/' /etc/profile.d/zz-tameng.sh",
    says="time-out",
)
def test_idle_shells_end(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Every shell that somebody works in, log-in or not; and he can't switch it off."""
    found = {s: said[1:3] for s, said in rehearsed["shells"].items() if s != "sh, not a log-in"}
    evidence.measured("timeout", found)
    wrong = [
        shell
        for shell, (seconds, changeable) in found.items()
        if not seconds.isdigit() or not 0 < int(seconds) <= 600 or changeable != "shut"
    ]
    assert not wrong, f"no time-out that stays: {', '.join(wrong)}"


@control(
    "accounts_idle_sessions_end",
    sabotage="idle_for_ever",
    says="an idle session is never ended",
)
def test_idle_sessions_end(ask: Ask, evidence: Evidence) -> None:
    """By systemd-logind, whatever the shell or the program that was left alone."""
    said = ask(
        "busctl get-property org.freedesktop.login1 /org/freedesktop/login1"
        " org.freedesktop.login1.Manager StopIdleSessionUSec"
    )
    seconds = int(said.split()[1]) // 1_000_000
    evidence.measured("seconds", seconds)
    assert seconds <= 900, "an idle session is never ended"


@control(
    "accounts_own_temporary_folders",
    sabotage="sed -i /pam_tmpdir/d /etc/pam.d/common-session",
    says="none of its own",
)
def test_temporary_folders_are_one_s_own(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """What is written there for a moment is nobody else's to read or to put in the way."""
    folder = rehearsed["shells"]["sh, log-in"][3]
    evidence.measured("folder", folder)
    assert folder.startswith("/tmp/user/"), f"a person's TMPDIR: {folder or 'none of its own'}"  # noqa: S108


# --- becoming root --------------------------------------------------------------------------------


@control(
    "accounts_su_restricted",
    sabotage="sed -i /pam_wheel/d /etc/pam.d/su",
    says="su lets in",
)
def test_su_is_for_nobody(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Somebody who knows another's password tries su: sudo is the way, which is logged."""
    evidence.measured("su_lets_in", rehearsed["su lets in"])
    assert not rehearsed["su lets in"], "su lets in whoever knows a password"


@control("accounts_sudo_pty", sabotage="sudoers_line 'Defaults !use_pty'", says="use_pty")
def test_sudo_uses_a_terminal_of_its_own(sudo_defaults: dict[str, Any], evidence: Evidence) -> None:
    """What runs under sudo can't stay behind and type into the user's terminal."""
    evidence.measured("use_pty", sudo_defaults.get("use_pty"))
    assert sudo_defaults.get("use_pty") is True, "use_pty is off"


@control("accounts_sudo_logged", sabotage="sudoers_line 'Defaults !logfile'", says="no log")
def test_sudo_is_logged(sudo_defaults: dict[str, Any], ask: Ask, evidence: Evidence) -> None:
    """This very question came by sudo: it must stand in the log, which only root reads."""
    file = sudo_defaults.get("logfile")
    evidence.measured("logfile", file)
    assert file, "sudo writes no log of its own"
    mode = ask("stat -c '%%a %%U' %s", file).strip()
    last = ask("tail -n 40 %s | tr -d '\\n'", file)
    evidence.measured("mode", mode)
    assert mode == "600 root", f"{file} is {mode}"
    assert "COMMAND=/usr/bin/env" in last, f"{file} doesn't show what is done by sudo"


@control(
    "accounts_sudo_guarded",
    sabotage="sudoers_line 'Defaults !requiretty, !noexec'",
    says="requiretty",
)
def test_sudo_is_guarded(sudo_defaults: dict[str, Any], evidence: Evidence) -> None:
    """A clean environment, no folder `.`, a terminal, and no commands started by commands; the
    inventory's operators are exempt from the last two, as Ansible is."""
    wanted = ("env_reset", "ignore_dot", "requiretty", "noexec")
    found = {name: sudo_defaults.get(name) for name in wanted}
    evidence.measured("settings", found)
    missing = [name for name, value in found.items() if value is not True]
    assert not missing, f"off: {', '.join(missing)}"


@control(
    "accounts_sudo_asks_again",
    sabotage="sudoers_line 'Defaults timestamp_timeout=-1'",
    says="-1 minutes",
)
def test_sudo_asks_again(sudo_defaults: dict[str, Any], evidence: Evidence) -> None:
    """At most 15 minutes; -1 would be for ever."""
    minutes = float(sudo_defaults.get("timestamp_timeout", 15))
    evidence.measured("minutes", minutes)
    assert 0 <= minutes <= 15, f"sudo asks again after {minutes:g} minutes"


@control(
    "accounts_sudo_asks_password",
    sabotage="sudoers_line '%users ALL=(ALL) NOPASSWD: ALL'",
    says="users",
    also=("accounts_sudo_only_declared", "accounts_sudo_commands_exact"),
)
def test_sudo_asks_for_the_password(
    sudo: dict[str, Any],
    sudo_defaults: dict[str, Any],
    public: Callable[[str], Any],
    evidence: Evidence,
) -> None:
    """Everybody's, but for the operators that the inventory names (Ansible has none to type)."""
    free = {
        who
        for who, commands in grants(sudo)
        for option in commands.get("Options", [])
        if option.get("authenticate") is False
    } - set(public("accounts_sudo_without_password") or [])
    evidence.measured("free", sorted(free))
    assert sudo_defaults.get("authenticate") is not False, "sudo asks nobody for a password"
    assert not free, f"sudo asks for no password of {', '.join(sorted(free))}"


@control(
    "accounts_sudo_no_negation",
    sabotage="sudoers_line 'games ALL=(ALL) ALL, !/bin/sh'",
    says="/bin/sh",
    also=("accounts_sudo_only_declared", "accounts_sudo_commands_exact"),
)
def test_sudo_rules_forbid_no_single_command(sudo: dict[str, Any], evidence: Evidence) -> None:
    """All but this one is all: a copy of the program has another name."""
    negated = [
        f"{who}: {command['command']}"
        for who, commands in grants(sudo)
        for command in commands["Commands"]
        if command.get("negated")
    ]
    evidence.measured("negated", negated)
    assert not negated, f"everything but one: {', '.join(negated)}"


@control(
    "accounts_sudo_files_private", sabotage="chmod 0755 /etc/sudoers.d", says="/etc/sudoers.d (755"
)
def test_sudo_files_are_root_s(ask: Ask, evidence: Evidence) -> None:
    """Who reads the rules knows whom to attack."""
    lines = ask("stat -c '%a:%U:%G %n' /etc/sudoers /etc/sudoers.d /etc/sudoers.d/*").splitlines()
    allowed = {"/etc/sudoers.d": "750:root:root"}
    wrong = [
        f"{name} ({mode})"
        for mode, name in (line.split(" ", 1) for line in lines)
        if mode != allowed.get(name, "440:root:root")
    ]
    evidence.measured("wrong", wrong)
    assert not wrong, f"open: {', '.join(wrong)}"


@control("accounts_sudo_group_only", sabotage="chmod 4755 /usr/bin/sudo", says="4755")
def test_only_a_group_may_start_sudo(
    ask: Ask, listed: Rows, delegated: list[dict[str, str]], evidence: Evidence
) -> None:
    """A hole in sudo itself is out of everybody else's reach; helpers stand on its access list."""
    mode = ask("stat -L -c '%a:%U:%G' /usr/bin/sudo").strip()
    text = ask(f"python3 -c '{ACCESS_LIST}'")
    entries = [line.split() for line in text.splitlines()]
    names = {"2": ("passwd", ""), "8": ("group", "%")}
    besides = {
        sign + next((row[0] for row in listed[kind] if row[2] == number), number)
        for tag, _, number in entries
        if tag in names
        for kind, sign in [names[tag]]
    }
    evidence.measured("mode", mode)
    evidence.measured("besides", sorted(besides))
    assert mode == "4750:root:sudo", f"/usr/bin/sudo is {mode}"
    strangers = besides - {one["who"] for one in delegated}
    assert not strangers, f"/usr/bin/sudo can be started by {', '.join(sorted(strangers))}"


# --- what helpers may do --------------------------------------------------------------------------


@control(
    "accounts_sudo_only_declared",
    sabotage="sudoers_line 'games ALL=(root) /usr/bin/id -u'",
    says="games may act as root",
)
def test_nobody_else_becomes_root(
    others_rules: list[Rule],
    delegated: list[dict[str, str]],
    rehearsed: dict[str, Any],
    listed: Rows,
    administrators: set[str],
    evidence: Evidence,
) -> None:
    """Who is no administrator has no rule but the inventory's, and none leads to root, nor to who
    has root within reach. Sudo itself was asked for everybody whom a rule could be for."""
    declared = {(one["who"], one["as"], one["command"]) for one in delegated}
    helpers = {name for who, _, _ in declared for name in meant_by(as_named(who), listed)}
    evidence.measured("rules", [rule.said for rule in others_rules])
    evidence.measured("may_use_sudo", rehearsed["may use sudo"])
    mighty = administrators.union(
        (row[0] for row in listed["passwd"] if row[2] == "0"),
        *(meant_by({"usergroup": group}, listed) for group in MIGHTY_GROUPS),
    )
    inside = meant_by({"usergroup": "sudo"}, listed) - administrators
    wrong = [f"{name} is in the group sudo" for name in sorted(inside)]
    wrong += [
        f"{rule.who} may act as {target}"
        for rule in others_rules
        for target in rule.targets
        if target in mighty or not re.fullmatch(r"[a-z_][a-z0-9_-]*", target)
    ]
    wrong += [
        f"{rule.said} is declared nowhere"
        for rule in others_rules
        if {(rule.who, target, rule.command.removesuffix(' ""')) for target in rule.targets}
        - declared
    ]
    allowed = set(rehearsed["may use sudo"])
    wrong += [f"sudo has a rule for {name}" for name in sorted(allowed - administrators - helpers)]
    assert not wrong, "; ".join(wrong)


def as_named(who: str) -> dict[str, str]:
    """The other way round: an account or a group as sudo's parser tells it."""
    return {"usergroup": who[1:]} if who.startswith("%") else {"username": who}


@control(
    "accounts_sudo_commands_exact",
    sabotage="sudoers_line 'games ALL=(nobody) /usr/bin/id'",
    says="/usr/bin/id with any arguments",
    also=("accounts_sudo_only_declared",),
)
def test_helpers_commands_are_exact(
    others_rules: list[Rule], listed: Rows, ask: Ask, evidence: Evidence
) -> None:
    """Each is one program with just these arguments, and nobody but root can put another one in its
    place, or change the script or the settings that it is told to read."""
    wrong = [f"{rule.who}: {why}" for rule in others_rules if (why := loose(rule))]
    evidence.measured("commands", [f"{rule.who}: {rule.command}" for rule in others_rules])
    paths = sorted(
        {path for rule in others_rules for path in re.findall(r"(?:^|[ =])(/[^ ]+)", rule.command)}
    )
    if paths:
        real = ask(f"readlink -m -- {shlex.join(paths)}").splitlines()
        shells = {shell for (shell,) in listed["shells"]}
        wrong += [
            f"{path} is a shell" for path, end in zip(paths, real, strict=True) if end in shells
        ]
        wrong += changeable({*paths, *real}, ask)
    assert not wrong, "; ".join(wrong)


def loose(rule: Rule) -> str:
    """What makes a rule more than one command with its arguments."""
    program, _, arguments = rule.command.partition(" ")
    if rule.negated:
        return f"everything but {rule.command}"
    if not program.startswith("/") or program.endswith("/"):
        return f"{rule.command} is no single program"
    if re.search(r"[*?^\[\]!]", rule.command):
        return f"{rule.command} has a wildcard"
    return "" if arguments else f"{program} with any arguments"


def changeable(paths: set[str], ask: Ask) -> list[str]:
    """Which of these, or of the folders that they lie in, somebody else than root can write to."""
    everything = {str(one) for path in paths for one in (path, *PurePosixPath(path).parents)}
    text = ask(f"stat -L -c '%a %u %n' -- {shlex.join(sorted(everything))} 2>/dev/null || :")
    rows = [line.split(" ", 2) for line in text.splitlines()]
    missing = everything - {name for _, _, name in rows}
    return [f"{name} isn't there" for name in sorted(missing & paths)] + [
        f"{name} can be changed by others ({mode})"
        for mode, owner, name in rows
        if int(mode, 8) & 0o022 or owner != "0"
    ]


@control(
    "accounts_sudo_delegations_work",
    sabotage="forget_helpers",
    says="can't run",
)
def test_helpers_run_their_command_and_no_other(
    rehearsed: dict[str, Any], evidence: Evidence
) -> None:
    """Each ran it, at a terminal and with a password, and it ran as who was meant; with another
    argument or none, as root, or for a shell sudo refused him."""
    told = rehearsed["delegated"]
    evidence.measured("delegated", told)
    if not told:
        not_applicable(
            "nothing is delegated; sudo has rules for " + ", ".join(rehearsed["may use sudo"])
        )
    wrong = [
        f"{one['who']} can't run {one['command']}: {one['said']}" for one in told if not one["runs"]
    ]
    wrong += [
        f"{one['who']} may also: {', '.join(one['besides'])}" for one in told if one["besides"]
    ]
    assert not wrong, "; ".join(wrong)


@control(
    "accounts_sudo_delegations_reviewed",
    sabotage="sed -i 's/^# until [0-9-]* /# until 2020-01-01 /' /etc/sudoers.d/zz-tameng",
    says="2020-01-01",
)
def test_no_delegation_is_past_its_review(
    ask: Ask, delegated: list[dict[str, str]], evidence: Evidence
) -> None:
    """Each rule that sudo reads tells the day by which somebody must have looked at it again."""
    if not delegated:
        not_applicable(f"nothing is delegated to anybody on {ask('hostname').strip()}")
    today = ask("date -u +%F").strip()
    text = ask("cat /etc/sudoers.d/zz-tameng", exits=(0, 1))
    rules = re.findall(r"^# until (\S+) (.+)\n(\S+) ALL = ", text, re.MULTILINE)
    evidence.measured("delegations", [f"{who} {day} {note}" for day, note, who in rules])
    assert len(rules) >= len(delegated), "not every delegation is there with its day"
    late = [f"{who} ({day}, {note})" for day, note, who in rules if day < today]
    assert not late, f"to be reviewed: {', '.join(late)}"
