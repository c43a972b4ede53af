"""Integrity: what AIDE covers, asked of AIDE itself, and what its last check found."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

AIDE = "aide --config=/etc/aide/aide.conf"
AUDIT_TOOLS = ["auditctl", "auditd", "ausearch", "aureport", "autrace", "augenrules"]
# One of each kind that must be sealed; a path need not be there for AIDE to say what it would do.
SYSTEM = [
    "/boot/vmlinuz",
    "/etc/passwd",
    "/etc/ssh/sshd_config",
    "/root/.ssh/authorized_keys",
    "/usr/bin/sudo",
    "/usr/lib/systemd/systemd",
    "/usr/local/bin/anything",
    "/usr/sbin/sshd",
]


@pytest.fixture
def last_check(host: Any) -> dict[str, Any]:
    """The result of the last check; empty when there is none."""
    done = host.run("cat /var/lib/tameng/integrity.json")
    if done.rc:
        return {}
    try:
        found: dict[str, Any] = json.loads(done.stdout)
        dt.datetime.fromisoformat(found["checked"])
        return found | {key: dict(found[key]) for key in ("unexplained", "altered")}
    except (ValueError, KeyError, TypeError) as exc:
        broken(f"the last result can't be read: {exc}")


@control(
    "integrity_sealed",
    sabotage="chmod 0666 /var/lib/aide/aide.db",
    says="-rw-rw-rw-",
    also=("files_world_writable",),
)
def test_files_are_sealed(host: Any, evidence: Evidence) -> None:
    """The seals are there, and nobody but root can read or write them; their digest goes into our
    signed evidence, off the machine."""
    done = host.run("stat -c '%A %U %s' /var/lib/aide /var/lib/aide/aide.db")
    lines = done.stdout.splitlines()
    assert done.rc == 0, "the files are not sealed (the first sealing may still be running)"
    evidence.measured("seals", lines)
    evidence.measured("sha256", host.run("sha256sum /var/lib/aide/aide.db").stdout[:64])
    assert int(lines[1].split()[2]) > 0, "the database of seals is empty"
    for line in lines:
        assert re.match(r".r.{2}-{6} root ", line), f"open to others than root: {line}"


@control(
    "integrity_scheduled",
    sabotage="systemctl disable -q --now dailyaidecheck.timer",
    says="dailyaidecheck.timer is not active",
)
def test_check_is_scheduled(ask: Ask, evidence: Evidence) -> None:
    """systemd will start the check within a day, and starts its timer with the machine."""
    names = ("ActiveState", "UnitFileState", "NextElapseUSecRealtime")
    answer = ask(f"TZ=UTC systemctl show dailyaidecheck.timer -p {' -p '.join(names)}")
    said = dict(line.split("=", 1) for line in answer.splitlines())
    evidence.measured("timer", said)
    assert said["ActiveState"] == "active", "dailyaidecheck.timer is not active"
    assert said["UnitFileState"] == "enabled", "dailyaidecheck.timer doesn't start with the machine"
    shown = said["NextElapseUSecRealtime"]
    when = dt.datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
    left = when - dt.datetime.now(dt.UTC)
    assert left < dt.timedelta(hours=26), f"the next check is {left} away"


@control("integrity_checked", sabotage="age_last_check", says="was checked on 2020-01-01")
def test_files_were_checked(last_check: dict[str, Any], evidence: Evidence) -> None:
    """The last check came to an end within a day, and what the timer adds to it."""
    assert last_check, "no check has come to an end yet"
    checked = last_check["checked"]
    evidence.measured("checked", checked)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(checked)
    assert age < dt.timedelta(hours=26), f"was checked on {checked[:10]} last"


@control(
    "integrity_covers_system",
    sabotage="aide_first '!/usr/sbin'",
    says="/usr/sbin/sshd",
    also=("integrity_covers_audit_tools",),
)
def test_system_is_covered(ask: Ask, evidence: Evidence) -> None:
    """AIDE itself says of one file of each kind that it seals content, owner and mode."""
    rules = _rules(ask, SYSTEM)
    bare = [path for path, rule in rules.items() if not {"sha512", "p", "u", "g"} <= rule]
    evidence.measured("not_sealed", bare)
    assert not bare, f"not sealed: {', '.join(bare)}"


@control(
    "integrity_covers_audit_tools",
    sabotage="aide_first '/usr/sbin/auditctl p+u+g'",
    says="/usr/sbin/auditctl",
)
def test_audit_tools_are_covered(ask: Ask, evidence: Evidence) -> None:
    """The audit tools are held against all that AIDE knows of a file (CIS)."""
    rules = _rules(ask, [f"/usr/sbin/{name}" for name in AUDIT_TOOLS])
    wanted = {"p", "i", "n", "u", "g", "s", "b", "acl", "xattrs", "sha512"}
    weak = {path: sorted(wanted - rule) for path, rule in rules.items() if wanted - rule}
    evidence.measured("missing", weak)
    assert not weak, f"not wholly sealed: {', '.join(weak)}"


@control(
    "integrity_files_unchanged",
    sabotage="tamper 'chmod 0700 /usr/bin/less'",
    says="/usr/bin/less (changed)",
)
def test_nothing_changed_without_a_reason(last_check: dict[str, Any], evidence: Evidence) -> None:
    """No sealed file changed, but by a package's installation or a role's run."""
    assert last_check, "no check has come to an end yet"
    found = last_check["unexplained"]
    evidence.measured("unexplained", found)
    evidence.measured("explained", len(last_check["differences"]) - len(found))
    evidence.measured("accepted", last_check["accepted"])
    # Programs first: a changed setting is more often a hand that forgot to say why.
    order = sorted(found, key=lambda path: (path.startswith("/etc/"), path))
    named = ", ".join(f"{path} ({found[path]})" for path in order[:5])
    assert not found, f"{len(found)} changed without a known reason: {named}"


@control(
    "integrity_packages_intact",
    sabotage="tamper 'echo >>/usr/bin/lesskey'",
    says="/usr/bin/lesskey",
    also=("integrity_files_unchanged",),
)
def test_packages_are_intact(last_check: dict[str, Any], evidence: Evidence) -> None:
    """Every file is what its package brought, by the package's checksums; settings apart."""
    assert last_check, "no check has come to an end yet"
    altered = last_check["altered"]
    evidence.measured("altered", altered)
    assert not altered, f"{len(altered)} aren't what was installed: {', '.join(list(altered)[:5])}"


def _rules(ask: Ask, paths: list[str]) -> dict[str, set[str]]:
    """What AIDE would seal of each path; nothing where no rule takes it in."""
    tries = "; ".join(f"{AIDE} --path-check=f:{path}" for path in paths)
    # [x] f:/usr/bin/sudo: selective rule: '/usr (none) p+u+g' (/etc/aide/aide.conf:20: ...)
    line = re.compile(r"^\[[xX]\] f[: ]'?([^':]+).*?: '\S+ \S+ (\S+)'", re.MULTILINE)
    found = line.findall(ask(tries, exits=(0, 1)))
    rules = {path: set(attributes.split("+")) for path, attributes in found}
    return {path: rules.get(path, set()) for path in paths}
