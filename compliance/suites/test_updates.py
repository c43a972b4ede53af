"""Updates, judged by apt's effective configuration and by what systemd will do next."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from compliance.suite import Ask, Evidence, broken, control

Public = Callable[[str], Any]
TIMERS = ["apt-daily.timer", "apt-daily-upgrade.timer"]
DAY = dt.timedelta(hours=26)  # a day and what timers add to it
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
YES = {"1", "true", "yes", "on", "always"}  # apt.conf(5)


@control(
    "updates_automatic",
    sabotage="set_apt 'APT::Periodic::Unattended-Upgrade \"0\";'",
    says="Unattended-Upgrade",
)
def test_updates_are_automatic(apt: dict[str, list[str]], ask: Ask, evidence: Evidence) -> None:
    """The three switches that apt's daily job reads, and the program that it then starts."""
    names = ["Enable", "Update-Package-Lists", "Unattended-Upgrade"]
    switches = {name: apt.get(f"APT::Periodic::{name}", ["0"])[-1] for name in names}
    evidence.measured("periodic", switches)
    program = ask("command -v unattended-upgrade", exits=(0, 1, 127)).strip()
    assert program, "unattended-upgrades is not installed"
    off = [name for name, value in switches.items() if value == "0"]
    assert not off, f"switched off: {', '.join(off)}"


@control(
    "updates_security_origin",
    sabotage="set_apt '#clear Unattended-Upgrade::Origins-Pattern;'",
    says="left out",
)
def test_security_archive_is_included(
    apt: dict[str, list[str]], ask: Ask, evidence: Evidence
) -> None:
    """The pattern names the security archive, and this machine really has its lists."""
    patterns = apt.get("Unattended-Upgrade::Origins-Pattern", [])
    evidence.measured("origins", patterns)
    known = [ln.strip() for ln in ask("apt-cache policy").splitlines() if "l=Debian-Security" in ln]
    evidence.measured("security_lists", len(known))
    assert any("Debian-Security" in p for p in patterns), "the security archive is left out"
    assert known, "apt has no lists of the security archive"


@control(
    "updates_timers_active",
    sabotage="systemctl disable -q --now apt-daily-upgrade.timer",
    says="apt-daily-upgrade.timer is not active",
    also=("updates_in_window",),
)
def test_timers_are_active(ask: Ask, evidence: Evidence) -> None:
    """Both of Debian's timers run and start with the machine."""
    for timer in TIMERS:
        state = ask(f"systemctl show {timer} -p ActiveState -p UnitFileState --value").split()
        evidence.measured(timer, state)
        assert "active" in state, f"{timer} is not active"
        assert "enabled" in state, f"{timer} doesn't start with the machine"


@control(
    "updates_in_window",
    sabotage="move_timer apt-daily-upgrade.timer 20:00",
    says="outside the window",
)
def test_next_upgrade_is_in_the_window(ask: Ask, public: Public, evidence: Evidence) -> None:
    """When systemd will start the next upgrade."""
    when = _next(ask, "apt-daily-upgrade.timer", public)
    evidence.measured("next", when.isoformat() if when else None)
    assert when, "no next upgrade is planned"
    assert _in_window(when, public), (
        f"the next upgrade is planned for {when:%a %d %b %H:%M}, outside the window"
    )


@control(
    "updates_reboot_in_window",
    sabotage="set_apt 'Unattended-Upgrade::Automatic-Reboot \"true\";'",
    says="restarts the machine by itself",
)
def test_reboot_is_in_the_window(
    apt: dict[str, list[str]], ask: Ask, public: Public, evidence: Evidence
) -> None:
    """unattended-upgrades itself never restarts (it knows no weekdays); our timer does, or not."""
    own = apt.get("Unattended-Upgrade::Automatic-Reboot", ["false"])[-1]
    evidence.measured("unattended_upgrades_reboots", own)
    assert own.lower() not in YES, "unattended-upgrades restarts the machine by itself"
    when = _next(ask, "tameng-reboot.timer", public)
    evidence.measured("next", when.isoformat() if when else None)
    if public("updates_automatic_reboot"):
        assert when, "no restart is planned, and the inventory wants them"
        assert _in_window(when, public), (
            f"a restart is planned for {when:%a %H:%M}, outside the window"
        )
    else:
        assert not when, f"a restart is planned for {when:%a %H:%M}, and the inventory wants none"


@control(
    "updates_sources_signed",
    sabotage="set_apt 'APT::Get::AllowUnauthenticated \"true\";'",
    says="AllowUnauthenticated",
)
def test_sources_are_signed(apt: dict[str, list[str]], ask: Ask, evidence: Evidence) -> None:
    """apt trusts each index by a signature, and no option lets an unsigned one pass."""
    targets = ask(
        "apt-get indextargets --format '$(TRUSTED) $(CODENAME)' 'Created-By: Packages'"
    ).splitlines()
    untrusted = sorted({line for line in targets if not line.startswith("yes ")})
    evidence.measured("indexes", len(targets))
    options = [
        name
        for name in (
            "APT::Get::AllowUnauthenticated",
            "Acquire::AllowInsecureRepositories",
            "Acquire::AllowDowngradeToInsecureRepositories",
        )
        if apt.get(name, ["false"])[-1].lower() in YES
    ]
    evidence.measured("options", options)
    # apt calls a source trusted by exemption just as it calls a signed one: only the files tell.
    exempt = ask("cat /etc/apt/sources.list /etc/apt/sources.list.d/*", exits=(0, 1))
    assert targets, "apt has no package index"
    assert not untrusted, f"not signed: {', '.join(untrusted)}"
    assert not options, f"{', '.join(options)} lets unsigned packages pass"
    found = re.search(r"^[^#]*\btrusted\s*[=:]\s*yes", exempt, re.MULTILINE | re.IGNORECASE)
    assert not found, f"exempt from signatures: {found and found[0].strip()}"


@control(
    "updates_waiting_known", sabotage="rm -f /var/lib/tameng/updates-waiting.json", says="no list"
)
def test_what_waits_is_listed(ask: Ask, host: Any, evidence: Evidence) -> None:
    """The list is at most a day old and says what apt itself says now."""
    done = host.run("cat /var/lib/tameng/updates-waiting.json")
    assert done.rc == 0, "there is no list of waiting updates"
    try:
        listed = json.loads(done.stdout)
        ages = {k: _age(listed[k]) for k in ("generated", "lists_updated") if listed[k]}
        names = sorted(package["name"] for package in listed["packages"])
        security = [p["name"] for p in listed["packages"] if p["security"]]
    except (ValueError, KeyError, TypeError) as exc:
        broken(f"the list can't be read: {exc}")
    evidence.measured("waiting", len(names))
    evidence.measured("security", security)
    # apt's own view, at a third of what simulating the upgrade costs.
    actual = sorted(re.findall(r"^([^/\s]+)/", ask("apt list --upgradable"), re.MULTILINE))
    assert len(ages) == 2, "apt's lists were never fetched"
    old = [name for name, age in ages.items() if age > DAY]
    assert not old, f"more than a day old: {', '.join(old)}"
    assert names == actual, f"{len(names)} updates are listed, apt knows {len(actual)}"


def _age(moment: str) -> dt.timedelta:
    return dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)


def _next(ask: Ask, timer: str, public: Public) -> dt.datetime | None:
    """When systemd starts the timer's service next, in the court's time; None for never."""
    shown = ask(f"TZ=UTC systemctl show {timer} -p NextElapseUSecRealtime --value").strip()
    if not shown.endswith(" UTC"):
        return None
    when = dt.datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
    return when.astimezone(ZoneInfo(public("time_zone")))


def _in_window(when: dt.datetime, public: Public) -> bool:
    """Whether the moment lies in the window, which may reach past midnight."""
    window = public("updates_window")
    hour, minute = (int(part) for part in window["start"].split(":"))
    for day in (when.date(), when.date() - dt.timedelta(days=1)):
        start = dt.datetime.combine(day, dt.time(hour, minute), when.tzinfo)
        wanted = WEEKDAYS[day.weekday()] in window["weekdays"]
        if wanted and start <= when <= start + dt.timedelta(minutes=window["minutes"]):
            return True
    return False
