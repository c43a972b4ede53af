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
# What is installed of a package, and what apt would install.
POLICY = re.compile(r"^(\S+):\n  Installed: (.*)\n  Candidate: (.*)$", re.MULTILINE)
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
    assert targets, "apt has no package index"
    assert not untrusted, f"not signed: {', '.join(untrusted)}"
    assert not options, f"{', '.join(options)} lets unsigned packages pass"


@control(
    "updates_waiting_known",
    sabotage="rm -f /var/lib/tameng/updates-waiting.json",
    says="no list",
    also=("updates_security_prompt", "updates_restart_listed"),
)
def test_what_waits_is_listed(ask: Ask, host: Any, evidence: Evidence) -> None:
    """The list is at most a day old and says what apt itself says now."""
    listed = _listed(host)
    ages = {k: _age(listed[k]) for k in ("generated", "lists_updated") if listed[k]}
    names = sorted(package["name"] for package in listed["packages"])
    security = [p["name"] for p in listed["packages"] if p["security"]]
    evidence.measured("waiting", len(names))
    evidence.measured("security", security)
    # apt's own view, at a tenth of what simulating the upgrade costs.
    policies = ask("apt-cache policy $(dpkg-query -W -f '${binary:Package}\\n')")
    actual = sorted(
        name
        for name, installed, candidate in POLICY.findall(policies)
        if installed not in ("(none)", candidate)
    )
    assert len(ages) == 2, "apt's lists were never fetched"
    old = [name for name, age in ages.items() if age > DAY]
    assert not old, f"more than a day old: {', '.join(old)}"
    assert names == actual, f"{len(names)} updates are listed, apt knows {len(actual)}"


@control(
    "updates_security_prompt",
    sabotage="old_security_hole libexpat1",
    says="libexpat1",
    also=("updates_services_current",),  # it takes the library from under what runs
)
def test_security_updates_do_not_wait(host: Any, public: Public, evidence: Evidence) -> None:
    """None has waited for longer than the inventory allows, since this machine first saw it; those
    held back with a reason apart."""
    listed = _listed(host)
    held = {one["name"] for one in public("updates_held")}
    days = {
        p["name"]: _age(p["since"]).days
        for p in listed["packages"]
        if p["security"] and p["name"] not in held
    }
    evidence.measured("days", days)
    late = [name for name, waited in days.items() if waited > public("updates_security_days")]
    assert not late, f"security updates wait for too long: {', '.join(late)}"


@control("updates_restart_listed", sabotage="unlisted_restart", says="doesn't say so")
def test_needed_restart_is_known(ask: Ask, host: Any, public: Public, evidence: Evidence) -> None:
    """A package that asked for a restart, or a kernel newer than the running one, is on the list,
    and not for too long."""
    listed = _listed(host)
    since = listed.get("reboot_since")
    evidence.measured("listed_since", since)
    asked = host.run("cat /run/reboot-required.pkgs /run/reboot-required").stdout.split("\n")[0]
    newest = host.run("ls -tc /boot/vmlinuz-* 2>/dev/null").stdout.split("\n")[0]
    container = ask("systemd-detect-virt --container", exits=(0, 1)).strip() != "none"
    running = ask("uname -r").strip()
    evidence.measured("running", running)
    needed = "a package" if host.run("test -e /run/reboot-required").rc == 0 else ""
    if newest and not container and newest != f"/boot/vmlinuz-{running}":
        needed = newest
    evidence.measured("needed_by", asked or needed)
    assert bool(needed) == bool(since), f"a restart is needed ({needed}), the list doesn't say so"
    if since:
        waited = _age(since).days
        assert waited <= public("updates_reboot_days"), f"a restart is put off for {waited} days"


@control(
    "updates_services_current", sabotage="replace_library_under apt_pkg", says="unattended-upgrades"
)
def test_services_run_what_is_installed(ask: Ask, evidence: Evidence) -> None:
    """No service's process maps a library or program that was deleted under it."""
    lines = ask(
        "grep -lsE ' r-xp .* /usr/[^ ]+ \\(deleted\\)$' /proc/[0-9]*/maps |"
        " sed 's/maps$/cgroup/' | xargs -r cat 2>/dev/null || true"
    ).splitlines()
    names = {line.rpartition("/")[2] for line in lines if line.startswith("0::/system.slice/")}
    # What no one can start anew without ending people's sessions waits for the restart.
    later = {n for n in names if re.match(r"dbus|systemd-logind|user@|gdm|display-manager", n)}
    evidence.measured("until_restart", sorted(later))
    stale = sorted(names - later)
    evidence.measured("stale", stale)
    assert not stale, f"runs replaced code: {', '.join(stale)}"


@control("updates_held_declared", sabotage="apt-mark hold -q less", says="held back: less")
def test_only_declared_packages_are_held(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Each package held back stands in the inventory, with its reason."""
    lines = ask("dpkg-query -W -f '${db:Status-Want} ${Package}\n'").splitlines()
    held = {line.removeprefix("hold ") for line in lines if line.startswith("hold ")}
    evidence.measured("held", sorted(held))
    strange = sorted(held - {one["name"] for one in public("updates_held")})
    assert not strange, f"held back: {', '.join(strange)}, and the inventory doesn't say why"


@control(
    "updates_sources_declared",
    sabotage="echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    " file:/srv/foreign ./' >/etc/apt/sources.list.d/foreign.list",
    says="file:/srv/foreign",
)
def test_sources_are_declared(ask: Ask, public: Public, evidence: Evidence) -> None:
    """apt uses no index but those whose signed origin and label the inventory names."""
    declared = {(one["origin"], one["label"]) for one in public("updates_sources")}
    asked = "apt-get indextargets {} --format '$(SOURCESENTRY)|{}|$(REPO_URI)'"
    asked += " 'Created-By: Packages'"
    fetched = ask(asked.format("", "$(ORIGIN)|$(LABEL)")).splitlines()
    configured = ask(asked.format("--no-release-info", "")).splitlines()
    known = {ln.split("|")[0]: tuple(ln.split("|")[1:3]) for ln in fetched}
    evidence.measured("origins", sorted({"/".join(origin) for origin in known.values()}))
    strange = sorted(
        {ln.split("|")[-1] for ln in configured if known.get(ln.split("|")[0]) not in declared}
    )
    assert configured, "apt has no source"
    assert not strange, f"not in the inventory: {', '.join(strange)}"


@control("updates_sources_own_key", sabotage="edit_sources 's/ *signed-by=[^] ]*//'", says="no key")
def test_sources_have_their_own_key(ask: Ask, evidence: Evidence) -> None:
    """Each source names the key that must have signed its index; only the files tell."""
    sources = _sources(ask)
    evidence.measured("sources", len(sources))
    bare = [one for one in sources if not re.search(r"\bsigned-by\s*[=:]", one, re.IGNORECASE)]
    assert sources, "apt has no source"
    assert not bare, f"no key is named: {bare[0].splitlines()[0]}"


@control(
    "updates_no_exempt_source",
    sabotage="edit_sources 's/ *signed-by=/trusted=yes &/'",
    says="trusted=yes",
)
def test_no_source_is_exempt(ask: Ask, evidence: Evidence) -> None:
    """apt calls a source trusted by exemption just as it calls a signed one: only files tell."""
    exempt = [
        found[0]
        for one in _sources(ask)
        if (found := re.search(r"\btrusted\s*[=:]\s*yes", one, re.I))
    ]
    evidence.measured("exempt", exempt)
    assert not exempt, f"exempt from signatures: {exempt[0]}"


@control(
    "updates_sources_protected",
    sabotage="chmod 0777 /etc/apt/sources.list.d",
    says="/etc/apt/sources.list.d",
    also=("files_settings_closed", "files_sticky"),
)
def test_sources_are_protected(ask: Ask, evidence: Evidence) -> None:
    """Nobody but root writes sources, keys and logins of archives, nor reads those logins."""
    places = "sources.list sources.list.d trusted.gpg.d auth.conf.d"
    paths = " ".join(f"/etc/apt/{name}" for name in places.split())
    lines = ask(f"find -L {paths} /usr/share/keyrings -printf '%m %U %G %y %p\\n'").splitlines()
    found = [line.split(" ", 4) for line in lines]
    evidence.measured("paths", len(found))
    open_ = [
        path
        for mode, user, group, kind, path in found
        if int(mode, 8) & (0o027 if kind == "f" and "auth.conf.d" in path else 0o022)
        or (user, group) != ("0", "0")
    ]
    assert not open_, f"open to others than root: {', '.join(open_[:5])}"


@control(
    "updates_no_weak_dependencies",
    sabotage="set_apt 'APT::Install-Recommends \"true\";'",
    says="Install-Recommends",
)
def test_weak_dependencies_stay_out(apt: dict[str, list[str]], evidence: Evidence) -> None:
    """apt installs what is asked for and needed, not what is only recommended."""
    names = ["APT::Install-Recommends", "APT::Install-Suggests"]
    values = {name: apt.get(name, ["unset"])[-1] for name in names}
    evidence.measured("options", values)
    weak = [name for name, value in values.items() if value not in ("0", "false", "no")]
    assert not weak, f"{', '.join(weak)} lets in what nobody asked for"


def _sources(ask: Ask) -> list[str]:
    """Every source that is switched on: a line, or a stanza."""
    lines = ask("cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list", exits=(0, 1))
    stanzas = ask("cat /etc/apt/sources.list.d/*.sources", exits=(0, 1))
    off = re.compile(r"^Enabled:\s*no", re.MULTILINE | re.IGNORECASE)
    return [line for line in lines.splitlines() if line.lstrip().startswith("deb")] + [
        stanza
        for stanza in re.split(r"\n\s*\n", stanzas)
        if "URIs:" in stanza and not off.search(stanza)
    ]


def _listed(host: Any) -> dict[str, Any]:
    """The machine's own list of what waits."""
    done = host.run("cat /var/lib/tameng/updates-waiting.json")
    assert done.rc == 0, "there is no list of waiting updates"
    try:
        found: dict[str, Any] = json.loads(done.stdout)
        wanted = {"generated", "lists_updated", "packages"}
        return found if wanted <= set(found) else broken(f"the list has no {wanted - set(found)}")
    except (ValueError, TypeError) as exc:
        broken(f"the list can't be read: {exc}")


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
