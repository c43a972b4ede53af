"""The settings of the daemon that keeps the audit records, and who could change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, control

TOOLS = [f"/usr/sbin/{n}" for n in ("auditctl", "auditd", "augenrules", "aureport", "ausearch")]


@pytest.fixture
def auditd(ask: Ask) -> dict[str, str]:
    """auditd's settings; it reads one file, and no other."""
    lines = ask("cat /etc/audit/auditd.conf").splitlines()
    return {
        key.strip(): value.strip() for key, eq, value in (ln.partition("=") for ln in lines) if eq
    }


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
