"""The clock, judged by what the time daemon and the kernel answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from compliance.suite import Ask, Evidence, broken, control

LARGEST_OFFSET = 1.0  # seconds: enough to put two machines' log lines in order by hand
RIVALS = ["systemd-timesyncd.service", "ntpsec.service", "ntp.service", "openntpd.service"]


@control(
    "time_daemon_running",
    sabotage="systemctl disable -q --now chrony.service",
    says="chrony.service is not active",
    also=(
        "time_synchronised",
        "time_sources_as_declared",
        "time_unprivileged",
        "time_served_as_declared",
    ),
)
def test_daemon_runs(ask: Ask, host: Any, evidence: Evidence) -> None:
    """It runs, starts with the machine, and answers."""
    state = ask("systemctl show chrony.service -p ActiveState -p UnitFileState --value").split()
    answers = host.run("chronyc -c tracking").rc == 0
    evidence.measured("unit", state)
    evidence.measured("answers", answers)
    assert "active" in state, "chrony.service is not active"
    assert "enabled" in state, "chrony.service doesn't start with the machine"
    assert answers, "chronyd doesn't answer"


@control(
    "time_synchronised",
    sabotage="set_chrony_source 198.51.100.9",
    says="not synchronised",
    also=("time_sources_as_declared",),
)
def test_clock_is_synchronised(host: Any, evidence: Evidence) -> None:
    """A daemon that was just started is given ten seconds to find its sources."""
    done = host.run("chronyc -c tracking")
    if "Not synchronised" in done.stdout:
        done = host.run("chronyc waitsync 10 0 0 1 >/dev/null; chronyc -c tracking")
    assert done.rc == 0, "chronyd doesn't answer"
    fields = done.stdout.strip().split(",")
    if len(fields) != 14:
        broken(f"`chronyc -c tracking` has {len(fields)} fields instead of 14")
    offset, leap = abs(float(fields[4])), fields[13]
    evidence.measured("stratum", int(fields[2]))
    evidence.measured("offset_seconds", offset)
    evidence.measured("leap", leap)
    assert leap != "Not synchronised", "the clock is not synchronised with any source"
    assert offset <= LARGEST_OFFSET, f"the clock is off by {offset:.3f} s"


@control(
    "time_sources_as_declared", sabotage="add_chrony 'server 198.51.100.9'", says="198.51.100.9"
)
def test_sources_are_declared(host: Any, public: Callable[[str], Any], evidence: Evidence) -> None:
    """The sources that the running daemon uses, by the names it was given."""
    done = host.run("chronyc -c -N sources")
    assert done.rc == 0, "chronyd doesn't answer"
    used = sorted({line.split(",")[2] for line in done.stdout.splitlines()})
    declared = sorted(source["address"] for source in public("time_sync_sources"))
    evidence.measured("sources", used)
    assert used == declared, f"chronyd uses {used}, declared {declared}"


@control(
    "time_single_daemon",
    sabotage="stand_in openntpd.service",
    says="openntpd.service",
    also=(
        "time_daemon_running",
        "time_synchronised",
        "time_sources_as_declared",
        "time_unprivileged",
    ),
)
def test_one_daemon_only(ask: Ask, evidence: Evidence) -> None:
    """No other time daemon runs or would start."""
    states = ask(f"systemctl is-active {' '.join(RIVALS)}", exits=(0, 3, 4)).split()
    running = [name for name, state in zip(RIVALS, states, strict=True) if state == "active"]
    evidence.measured("rivals", dict(zip(RIVALS, states, strict=True)))
    assert not running, f"{', '.join(running)} runs beside chrony"


@control(
    "time_zone_of_court",
    sabotage="ln -sfn /usr/share/zoneinfo/UTC /etc/localtime",
    says="UTC +0000",
    also=("updates_in_window", "updates_reboot_in_window"),  # timers follow the zone
)
def test_zone(ask: Ask, public: Callable[[str], Any], evidence: Evidence) -> None:
    """The name and the offset that the machine prints are those of the court's zone."""
    printed = ask("date '+%Z %z'").strip()
    wanted = dt.datetime.now(ZoneInfo(public("time_zone"))).strftime("%Z %z")
    evidence.measured("zone", printed)
    assert printed == wanted, f"the machine's zone is {printed}, the court's {wanted}"


@control(
    "time_served_as_declared",
    sabotage="add_chrony 'port 123' 'allow 198.51.100.0/24'",
    says="NTP port is open",
    also=("services_sockets_declared",),
)
def test_time_is_served_as_declared(
    ask: Ask, host: Any, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Only a declared time server has the NTP port open, and a stranger gets no time from it."""
    served = bool(public("time_sync_serve_to"))
    sockets = ask("ss -Hlun 'sport = :123'").splitlines()
    evidence.measured("ntp_sockets", len(sockets))
    if not served:
        assert not sockets, "the NTP port is open, and the inventory declares no clients"
        return
    assert sockets, "the inventory declares clients, and the NTP port is closed"
    stranger = host.run("chronyc accheck 198.51.100.1").stdout.strip()
    evidence.measured("stranger", stranger)
    assert stranger.startswith("209"), f"a stranger gets time: {stranger}"


@control(
    "time_unprivileged",
    sabotage="add_chrony 'user root'",
    says="runs as root",
    # As another user it won't take questions by a socket in a folder of its own user's.
    also=("time_daemon_running", "time_synchronised", "time_sources_as_declared"),
)
def test_daemon_is_unprivileged(ask: Ask, host: Any, evidence: Evidence) -> None:
    """The process that reads packets belongs to a user of its own."""
    process = ask("systemctl show chrony.service -p MainPID --value").strip()
    user = host.run("ps -o user= -p %s", process).stdout.strip()
    evidence.measured("user", user)
    assert user == "_chrony", f"chronyd runs as {user or 'nobody: it does not run'}"
