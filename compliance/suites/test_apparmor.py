"""AppArmor, asked of the kernel that enforces it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

pytestmark = pytest.mark.usefixtures("own_kernel")
SWITCH = "/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined"


@pytest.fixture
def confined(ask: Ask) -> dict[str, Any]:
    """What the kernel says: {profiles: {name: mode}}."""
    text = ask("aa-status --json", exits=(0, 1, 2))  # off; on, without a profile
    try:
        found: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
    except ValueError as exc:
        broken(f"aa-status can't be read: {exc}")
    return {"profiles": found.get("profiles", {})}


@control("apparmor_on", sabotage="aa-teardown", says="no profile", also=("apparmor_enforcing",))
def test_apparmor_is_on(confined: dict[str, Any], host: Any, ask: Ask, evidence: Evidence) -> None:
    """The kernel enforces AppArmor, has profiles, and gets them again when it starts."""
    enabled = host.run("cat /sys/module/apparmor/parameters/enabled").stdout.strip()
    evidence.measured("kernel", enabled)
    evidence.measured("profiles", len(confined["profiles"]))
    starts = ask("systemctl is-enabled apparmor.service", exits=(0, 1, 4)).strip()
    assert enabled == "Y", "the kernel runs without AppArmor"
    assert confined["profiles"], "no profile is loaded"
    assert starts == "enabled", "no profile would be loaded at the next start"


@control(
    "apparmor_enforcing",
    sabotage="only_complain /etc/apparmor.d/usr.sbin.chronyd",
    says="/usr/sbin/chronyd (complain)",
)
def test_profiles_enforce(
    confined: dict[str, Any], public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Every loaded profile enforces, but for those that the inventory excepts with a reason."""
    modes = confined["profiles"]
    excepted = {one["name"] for one in public("apparmor_complaining") or []}
    evidence.measured("profiles", len(modes))
    evidence.measured("excepted", sorted(excepted & set(modes)))
    weak = [
        f"{name} ({mode})"
        for name, mode in sorted(modes.items())
        if mode not in ("enforce", "kill") and name.partition("//")[0] not in excepted
    ]
    assert modes, "no profile is loaded"
    assert not weak, f"not enforcing: {', '.join(weak[:5])}"


@control(
    "apparmor_unconfined_restricted",
    sabotage="echo 0 >/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined",
    says="is 0",
)
def test_unconfined_is_restricted(ask: Ask, host: Any, evidence: Evidence) -> None:
    """An unconfined program can't change into a profile that gives it more (CIS)."""
    if host.run(f"test -e {SWITCH}").rc:
        not_applicable(f"the kernel {ask('uname -r').strip()} has no such switch")
    value = ask(f"cat {SWITCH}").strip()
    evidence.measured("apparmor_restrict_unprivileged_unconfined", value)
    assert value == "1", f"apparmor_restrict_unprivileged_unconfined is {value}"
