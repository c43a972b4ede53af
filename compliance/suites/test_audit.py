"""The kernel's audit: the rules that it has loaded, the daemon that keeps its records, and who
could change either. What the kernel has is asked of the kernel, so not in a container."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

BOTH = ("b64", "b32")
PEOPLE = frozenset({"auid>=1000", "auid!=-1"})  # not what the machine does by itself
# fmt: off
IDENTITY = ["/etc/group", "/etc/passwd", "/etc/shadow", "/etc/gshadow", "/etc/security/opasswd",
            "/etc/nsswitch.conf", "/etc/pam.conf", "/etc/pam.d"]
NETWORK = ["/etc/issue", "/etc/issue.net", "/etc/hosts", "/etc/hostname", "/etc/networks",
           "/etc/network"]
NETWORK_OPTIONAL = ["/etc/NetworkManager", "/etc/netplan", "/etc/systemd/network"]
RIGHTS_TOOLS = ["/usr/bin/chcon", "/usr/bin/setfacl", "/usr/bin/chacl", "/usr/sbin/usermod"]
TOOLS = [f"/usr/sbin/{n}" for n in ("auditctl", "auditd", "augenrules", "aureport", "ausearch")]
OPENING = ["creat", "open", "openat", "truncate", "ftruncate"]
ATTRIBUTES = [f"{p}{verb}xattr" for verb in ("set", "remove") for p in ("", "l", "f")]
# fmt: on


@dataclass(frozen=True)
class Rule:
    """One loaded rule. ``path`` is a file's or a folder's; ``fields`` are all other conditions."""

    arch: str = ""
    calls: frozenset[str] = frozenset()
    path: str = ""
    perm: str = ""
    fields: frozenset[str] = frozenset()

    @classmethod
    def read(cls, line: str) -> Rule | None:
        """A line of ``auditctl -l``; None for what isn't recorded by it."""
        words = shlex.split(line)
        options = list(zip(words[::2], words[1::2], strict=False))
        if ("-a", "always,exit") not in options and words[:1] != ["-w"]:
            return None
        found: dict[str, str] = {k: v for k, v in options if k in ("-S", "-w", "-p")}
        fields = {v for k, v in options if k in ("-F", "-C")}
        named = dict(f.split("=", 1) for f in fields if re.match(r"(arch|path|dir|perm|key)=", f))
        return cls(
            arch=named.get("arch", ""),
            calls=frozenset(found.get("-S", "").split(",")),
            path=named.get("path") or named.get("dir") or found.get("-w", ""),
            perm=named.get("perm") or found.get("-p", ""),
            fields=frozenset(f for f in fields if f.split("=", 1)[0] not in named),
        )


@dataclass(frozen=True)
class Loaded:
    """The rules that the kernel has, and what they leave out."""

    rules: list[Rule] = field(default_factory=list)

    def unwatched(self, paths: Iterable[str], perm: str = "wa") -> list[str]:
        """Those of the paths that are not watched in both ways that a program can ask by."""

        def watched(path: str, arch: str) -> bool:
            return any(
                rule.path == path
                and rule.arch in (arch, "")
                and set(perm) <= set(rule.perm)
                and rule.fields <= PEOPLE
                for rule in self.rules
            )

        return [path for path in paths if not all(watched(path, arch) for arch in BOTH)]

    def unrecorded(self, calls: Iterable[str], *fields: str) -> list[str]:
        """Those of the calls that are not recorded for people; ``fields`` may narrow it."""

        def recorded(call: str, arch: str) -> bool:
            return any(
                call in rule.calls and rule.arch == arch and not rule.path
                and rule.fields - PEOPLE == set(fields)
                for rule in self.rules
            )  # fmt: skip

        return [call for call in calls if not all(recorded(call, arch) for arch in BOTH)]


@pytest.fixture
def loaded(own_kernel: None, ask: Ask) -> Loaded:  # noqa: ARG001  # asked before, not used
    """The kernel's rules."""
    rules = [Rule.read(line) for line in ask("auditctl -l").splitlines()]
    return Loaded([rule for rule in rules if rule])


@pytest.fixture
def there(ask: Ask) -> Callable[[Iterable[str]], list[str]]:
    """Which of some paths this host has."""

    def which(paths: Iterable[str]) -> list[str]:
        return ask(f"ls -d {' '.join(paths)} 2>/dev/null || true").split()

    return which


@pytest.fixture
def auditd(ask: Ask) -> dict[str, str]:
    """auditd's settings; it reads one file, and no other."""
    lines = ask("cat /etc/audit/auditd.conf").splitlines()
    return {
        key.strip(): value.strip() for key, eq, value in (ln.partition("=") for ln in lines) if eq
    }


@control(
    "audit_running",
    sabotage="systemctl kill -s TERM auditd.service; sleep 5",
    says="auditd.service is inactive",
)
@pytest.mark.usefixtures("own_kernel")
def test_auditd_runs(ask: Ask, evidence: Evidence) -> None:
    """It runs, starts with the machine, and is the one whom the kernel tells; it loses nothing."""
    show = "systemctl show auditd.service -p ActiveState -p UnitFileState -p MainPID --value"
    pid, active, enabled = ask(show).split()
    status = dict(ln.split(None, 1) for ln in ask("auditctl -s").splitlines())
    evidence.measured("unit", [active, enabled])
    evidence.measured("lost", status["lost"])
    assert active == "active", f"auditd.service is {active}"
    assert enabled == "enabled", "auditd.service doesn't start with the machine"
    assert status["pid"] == pid, f"the kernel tells process {status['pid']}, auditd is {pid}"


@control("audit_enabled", sabotage="auditctl -e 0", says="auditing is off")
@pytest.mark.usefixtures("own_kernel")
def test_auditing_is_on(ask: Ask, public: Callable[[str], Any], evidence: Evidence) -> None:
    """On, and locked where the inventory says so; with room for what comes at once."""
    status = dict(ln.split(None, 1) for ln in ask("auditctl -s").splitlines())
    evidence.measured("status", status)
    assert status["enabled"] != "0", "auditing is off"
    wanted = "2" if public("auditd_immutable") else "1"
    assert status["enabled"] == wanted, "the rules aren't locked"
    assert int(status["backlog_limit"]) >= 8192, f"backlog_limit is {status['backlog_limit']}"


@control(
    "audit_rules_loaded",
    sabotage="auditctl -a always,exit -F arch=b64 -S getpgid -F key=stranger",
    says="restart",
)
@pytest.mark.usefixtures("own_kernel")
def test_rules_are_those_on_disk(ask: Ask, evidence: Evidence) -> None:
    """As many are loaded as are written, and the written ones are compiled from their parts."""
    compiled = ask("augenrules --check 2>&1").strip()
    written = int(ask("grep -c '^-[aw] ' /etc/audit/audit.rules", exits=(0, 1)))
    loaded = int(ask("auditctl -l | grep -c '^-[aw] '", exits=(0, 1)))
    evidence.measured("written", written)
    evidence.measured("loaded", loaded)
    assert "No change" in compiled, "audit.rules is older than the files that it is made of"
    assert written == loaded, f"{loaded} rules are loaded, {written} are written: needs a restart"


@control(
    "audit_rules_load_on",
    sabotage="sed -i '/^-c$/d' /etc/audit/rules.d/10-tameng.rules && augenrules",
    says="a rule that fails ends the loading",
)
def test_rules_load_past_an_error(ask: Ask, evidence: Evidence) -> None:
    """auditctl is told so at the head of what it reads at the start."""
    head = ask("grep -n -m 1 -E '^-(c|a|w)' /etc/audit/audit.rules", exits=(0, 1)).strip()
    evidence.measured("first", head)
    assert head.endswith(":-c"), "a rule that fails ends the loading of all rules after it"


@control(
    "audit_in_journal",
    sabotage="systemctl disable -q --now systemd-journald-audit.socket",
    says="systemd-journald-audit.socket is inactive",
)
@pytest.mark.usefixtures("own_kernel")
def test_records_are_in_the_journal(ask: Ask, evidence: Evidence) -> None:
    """The journal has heard of this very log-in from the kernel."""
    state = ask("systemctl is-active systemd-journald-audit.socket", exits=(0, 3, 4)).strip()
    evidence.measured("socket", state)
    assert state == "active", f"systemd-journald-audit.socket is {state}"
    said = ask("journalctl -q -n 1 -o short-unix _TRANSPORT=audit | cut -d' ' -f1; date +%s")
    newest, *now = said.split()
    assert now, "no record of the kernel is in the journal"
    age = float(now[0]) - float(newest)
    evidence.measured("newest_seconds", round(age))
    assert age < 900, f"the journal's newest record of the kernel is {age:.0f} s old"


@control(
    "audit_log_size",
    sabotage="set_auditd max_log_file 2",
    says="max_log_file is 2",
)
def test_size_of_a_file(
    auditd: dict[str, str], public: Callable[[str], Any], evidence: Evidence
) -> None:
    """As the inventory says."""
    evidence.measured("max_log_file", auditd.get("max_log_file"))
    declared = str(public("auditd_max_log_file"))
    assert auditd.get("max_log_file") == declared, f"max_log_file is {auditd.get('max_log_file')}"


@control(
    "audit_log_kept",
    sabotage="set_auditd max_log_file_action ROTATE",
    says="max_log_file_action is ROTATE",
)
def test_records_are_kept(
    ask: Ask, auditd: dict[str, str], public: Callable[[str], Any], evidence: Evidence
) -> None:
    """auditd writes over nothing; what is dropped is older than the declared days."""
    action = auditd.get("max_log_file_action", "")
    timer = ask("systemctl is-active tameng-audit-retention.timer", exits=(0, 3, 4)).strip()
    drops = ask("systemctl show -p ExecStart --value tameng-audit-retention.service")
    evidence.measured("max_log_file_action", action)
    evidence.measured("retention_timer", timer)
    assert action.lower() == "keep_logs", f"max_log_file_action is {action}"
    assert timer == "active", "nothing drops what is older than the court keeps it"
    days = public("auditd_retention_days")
    assert f"-mtime +{days} " in drops, f"records aren't dropped after {days} days"


@control(
    "audit_space_warned",
    sabotage="set_auditd space_left_action IGNORE",
    says="space_left_action is IGNORE",
)
def test_little_space_is_told(ask: Ask, auditd: dict[str, str], evidence: Evidence) -> None:
    """auditd calls a program that only root can change; the machine never halts for it."""
    told = auditd.get("space_left_action", "")
    actions = {
        key: auditd.get(key, "").lower()
        for key in ("admin_space_left_action", "disk_full_action", "disk_error_action")
    }
    evidence.measured("space_left_action", told)
    evidence.measured("actions", actions)
    verb, _, program = told.partition(" ")
    assert verb.lower() == "exec", f"space_left_action is {told}"
    owner = ask("stat -c '%%U %%A' %s", program).strip()
    assert owner == "root -rwxr-xr-x", f"{program} is {owner}"
    assert int(auditd["space_left"]) > int(auditd["admin_space_left"]), "the warning comes too late"
    halting = [key for key, value in actions.items() if value in ("halt", "single")]
    assert not halting, f"the machine halts by {', '.join(halting)}"


@control(
    "audit_sudoers",
    sabotage="auditctl -D -k scope",
    says="/etc/sudoers",
    also=("audit_rules_loaded",),
)
def test_sudoers_are_watched(loaded: Loaded, evidence: Evidence) -> None:
    """The file and its folder."""
    left = loaded.unwatched(["/etc/sudoers", "/etc/sudoers.d"])
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_other_user",
    sabotage="auditctl -D -k user_emulation",
    says="execve",
    also=("audit_rules_loaded",),
)
def test_other_users_acts(loaded: Loaded, evidence: Evidence) -> None:
    """Each program that runs with other rights than its caller's own."""
    for also in ("uid!=euid", "euid!=uid"):
        left = loaded.unrecorded(["execve"], also)
        if not left:
            break
    evidence.measured("not_recorded", left)
    assert not left, "not recorded: execve with the rights of another"


@control(
    "audit_sudo_log",
    sabotage="auditctl -D -k sudo_log_file",
    says="/var/log/sudo.log",
    also=("audit_rules_loaded",),
)
def test_sudo_log_is_watched(loaded: Loaded, evidence: Evidence) -> None:
    """sudo's own log file."""
    left = loaded.unwatched(["/var/log/sudo.log"])
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_clock",
    sabotage="auditctl -D -k time-change",
    says="adjtimex",
    also=("audit_rules_loaded",),
)
def test_clock_is_watched(loaded: Loaded, evidence: Evidence) -> None:
    """Each call that sets the clock, and the time zone."""
    left = loaded.unrecorded(["adjtimex", "settimeofday"])
    left += loaded.unrecorded(["clock_settime"], "a0=0x0")
    left += loaded.unwatched(["/etc/localtime"])
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_network",
    sabotage="auditctl -D -k system-locale",
    says="sethostname",
    also=("audit_rules_loaded",),
)
def test_network_is_watched(
    loaded: Loaded, there: Callable[[Iterable[str]], list[str]], evidence: Evidence
) -> None:
    """The host's name, its banners, its network's files."""
    left = loaded.unrecorded(["sethostname", "setdomainname"])
    left += loaded.unwatched([*NETWORK, *there(NETWORK_OPTIONAL)])
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_privileged",
    sabotage="auditctl -D -k privileged",
    says="/usr/bin/sudo",
    also=("audit_rules_loaded",),
)
def test_privileged_programs(loaded: Loaded, ask: Ask, evidence: Evidence) -> None:
    """Every program that this host has with another's rights."""
    programs = ask("find /usr /opt -xdev -type f -perm /6000 ! -path '/usr/share/*'").split()
    if "/usr/bin/sudo" not in programs:
        broken("find names no program with another's rights, not even sudo")
    left = loaded.unwatched(programs, perm="x")
    evidence.measured("programs", len(programs))
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_refused",
    sabotage="auditctl -D -k access",
    says="openat (EACCES)",
    also=("audit_rules_loaded",),
)
def test_refused_access(loaded: Loaded, evidence: Evidence) -> None:
    """Each way to open or cut a file, refused for either reason."""
    left = [
        f"{call} ({why})"
        for why in ("EACCES", "EPERM")
        for call in loaded.unrecorded(OPENING, f"exit=-{why}")
    ]
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_identity",
    sabotage="auditctl -D -k identity",
    says="/etc/passwd",
    also=("audit_rules_loaded",),
)
def test_identity_is_watched(loaded: Loaded, evidence: Evidence) -> None:
    """Accounts, groups, passwords, and what decides over them."""
    left = loaded.unwatched(IDENTITY)
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_permissions",
    sabotage="auditctl -D -k perm_mod",
    says="chmod",
    also=("audit_rules_loaded",),
)
def test_permissions(loaded: Loaded, evidence: Evidence) -> None:
    """Modes, owners, attributes."""
    calls = ["chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", *ATTRIBUTES]
    left = loaded.unrecorded(calls)
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_mounts",
    sabotage="auditctl -D -k mounts",
    says="mount",
    also=("audit_rules_loaded",),
)
def test_mounts(loaded: Loaded, evidence: Evidence) -> None:
    """What people mount."""
    left = loaded.unrecorded(["mount"])
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_sessions",
    sabotage="auditctl -D -k session",
    says="/var/log/wtmp",
    also=("audit_rules_loaded",),
)
def test_sessions(loaded: Loaded, evidence: Evidence) -> None:
    """The files that say who is and was logged in."""
    left = loaded.unwatched(["/var/run/utmp", "/var/log/wtmp", "/var/log/btmp"])
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_logins",
    sabotage="auditctl -D -k logins",
    says="/var/run/faillock",
    also=("audit_rules_loaded",),
)
def test_logins(loaded: Loaded, evidence: Evidence) -> None:
    """The files that say who logged in last, and who failed."""
    left = loaded.unwatched(["/var/log/lastlog", "/var/run/faillock"])
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_deletions",
    sabotage="auditctl -D -k delete",
    says="unlink",
    also=("audit_rules_loaded",),
)
def test_deletions(loaded: Loaded, evidence: Evidence) -> None:
    """Each way to make a file vanish under its name."""
    left = loaded.unrecorded(["unlink", "unlinkat", "rename", "renameat", "renameat2"])
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_confinement",
    sabotage="auditctl -D -k MAC-policy",
    says="/etc/apparmor.d",
    also=("audit_rules_loaded",),
)
def test_confinement(
    loaded: Loaded, there: Callable[[Iterable[str]], list[str]], evidence: Evidence
) -> None:
    """AppArmor's settings and profiles."""
    folders = there(["/etc/apparmor", "/etc/apparmor.d"])
    if not folders:
        broken("this host has no settings of AppArmor")
    left = loaded.unwatched(folders)
    evidence.measured("not_watched", left)
    assert not left, f"not watched: {', '.join(left)}"


@control(
    "audit_rights_tools",
    sabotage="auditctl -D -k perm_chng && auditctl -D -k usermod",
    says="/usr/sbin/usermod",
    also=("audit_rules_loaded",),
)
def test_rights_tools(
    loaded: Loaded, there: Callable[[Iterable[str]], list[str]], evidence: Evidence
) -> None:
    """Those of them that this host has."""
    left = loaded.unwatched(there(RIGHTS_TOOLS), perm="x")
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_modules",
    sabotage="auditctl -D -k kernel_modules",
    says="finit_module",
    also=("audit_rules_loaded",),
)
def test_modules(loaded: Loaded, evidence: Evidence) -> None:
    """The calls, and the program that makes them."""
    left = loaded.unrecorded(["init_module", "finit_module", "delete_module"])
    left += loaded.unwatched(["/usr/bin/kmod"], perm="x")
    evidence.measured("not_recorded", left)
    assert not left, f"not recorded: {', '.join(left)}"


@control(
    "audit_logs_private",
    sabotage="touch /var/log/audit/audit.log.9 && chmod 0644 /var/log/audit/audit.log.9"
    " && chmod 0755 /var/log/audit",
    says="/var/log/audit",
)
def test_records_are_private(ask: Ask, evidence: Evidence) -> None:
    """The folder and all in it are root's, and open to nobody else."""
    wide = ask(
        "find /var/log/audit -xdev \\( -perm /0027 -o -type f -perm /0137"
        " -o ! -user root -o ! -group root \\) -printf '%p %m %u:%g\\n'"
    ).splitlines()
    evidence.measured("open_to_others", wide)
    assert not wide, f"open to others: {', '.join(wide)}"


@control(
    "audit_settings_private",
    sabotage="chmod 0664 /etc/audit/auditd.conf",
    says="/etc/audit/auditd.conf",
    also=("files_settings_closed",),
)
def test_settings_are_private(ask: Ask, evidence: Evidence) -> None:
    """Settings and rules are root's."""
    wide = ask(
        "find /etc/audit -xdev \\( -perm /0027 -o -type f -perm /0137"
        " -o ! -user root -o ! -group root \\) -printf '%p %m %u:%g\\n'"
    ).splitlines()
    evidence.measured("open_to_others", wide)
    assert not wide, f"open to others: {', '.join(wide)}"


@control(
    "audit_tools_intact",
    sabotage="chmod 0777 /usr/sbin/ausearch",
    says="/usr/sbin/ausearch",
    also=("files_programs_closed", "files_world_writable"),
)
def test_tools_are_root_s(ask: Ask, evidence: Evidence) -> None:
    """Only root can change them."""
    told = ask(f"stat -c '%n %a %u:%g' {' '.join(TOOLS)}").splitlines()
    evidence.measured("tools", told)
    wide = [line for line in told if int(line.split()[1], 8) & 0o22 or line.split()[2] != "0:0"]
    assert not wide, f"others can change {', '.join(wide)}"
