"""Desks, judged by what a user's own programs are told: gsettings, as nobody in particular.

The lab has no GNOME, GDM or browser: dconf and the schemas are real, what reads them is not there.
What a browser makes of its policy is judged by the files that it reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

LOCK = {
    "org.gnome.desktop.session idle-delay",
    "org.gnome.desktop.screensaver lock-enabled",
    "org.gnome.desktop.screensaver lock-delay",
}
MEDIA = {
    "org.gnome.desktop.media-handling automount",
    "org.gnome.desktop.media-handling automount-open",
    "org.gnome.desktop.media-handling autorun-never",
}
AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups env -i HOME=/nonexistent"
GREETER = ["banner-message-enable", "banner-message-text", "disable-user-list"]
# Groups from which root can be had.
AS_GOOD_AS_ROOT = "sudo adm disk shadow lxd docker libvirt incus-admin"


@pytest.fixture
def settings(ask: Ask) -> dict[str, tuple[str, bool]]:
    """{key: (value, whether the user may change it)} as a user's program gets it."""
    script = "; ".join(
        f'echo "{key}|$(gsettings get {key} 2>/dev/null)|$(gsettings writable {key} 2>/dev/null)"'
        for key in sorted(LOCK | MEDIA)
    )
    lines = ask(f"{AS_NOBODY} PATH=/usr/bin:/bin sh -c '{script}'").splitlines()
    found = {
        key: (value, writable == "true") for key, value, writable in (ln.split("|") for ln in lines)
    }
    if missing := [key for key, (value, _) in found.items() if not value]:
        broken(f"gsettings knows no {', '.join(missing)}")
    return found


@pytest.fixture
def greeter(ask: Ask) -> dict[str, str]:
    """What GDM's log-in screen is told."""
    script = "; ".join(
        f'echo "{key}|$(dconf read /org/gnome/login-screen/{key} 2>/dev/null)"' for key in GREETER
    )
    lines = ask(f"{AS_NOBODY} PATH=/usr/bin:/bin DCONF_PROFILE=gdm sh -c '{script}'").splitlines()
    return dict(line.split("|", 1) for line in lines)


Settings = dict[str, tuple[str, bool]]


@control(
    "desktop_screen_locks",
    sabotage="set_dconf local org/gnome/desktop/session idle-delay 'uint32 0'",
    says="locks after 0 s",
)
def test_screen_locks(settings: Settings, evidence: Evidence) -> None:
    """After at most a quarter of an hour, at once, with the password (CIS)."""
    values = {key: settings[key][0] for key in LOCK}
    evidence.measured("settings", values)
    idle = int(values["org.gnome.desktop.session idle-delay"].split()[-1])
    delay = int(values["org.gnome.desktop.screensaver lock-delay"].split()[-1])
    assert 0 < idle <= 900, f"the screen locks after {idle} s (0 is never)"
    assert delay <= 5, f"the lock comes {delay} s after the dark screen"
    assert values["org.gnome.desktop.screensaver lock-enabled"] == "true", "the lock is off"


@control("desktop_lock_fixed", sabotage="unlock_dconf idle-delay", says="session idle-delay")
def test_lock_is_fixed(settings: Settings, evidence: Evidence) -> None:
    """No user can change one of its settings."""
    free = sorted(key for key in LOCK if settings[key][1])
    evidence.measured("writable", free)
    assert not free, f"the user may change {', '.join(free)}"


@control(
    "desktop_no_automount",
    sabotage="set_dconf local org/gnome/desktop/media-handling automount true",
    says="automount is true",
)
def test_media_stay_closed(settings: Settings, evidence: Evidence) -> None:
    """Nothing is mounted, opened or started because it was plugged in."""
    values = {key.split()[1]: settings[key][0] for key in sorted(MEDIA)}
    evidence.measured("settings", values)
    wanted = {"automount": "false", "automount-open": "false", "autorun-never": "true"}
    wrong = [f"{key} is {values[key]}" for key, value in wanted.items() if values[key] != value]
    assert not wrong, ", ".join(wrong)


@control("desktop_automount_fixed", sabotage="unlock_dconf autorun-never", says="autorun-never")
def test_media_settings_are_fixed(settings: Settings, evidence: Evidence) -> None:
    """No user can change one of these settings."""
    free = sorted(key for key in MEDIA if settings[key][1])
    evidence.measured("writable", free)
    assert not free, f"the user may change {', '.join(free)}"


@control(
    "desktop_greeter_warns",
    sabotage="set_dconf gdm org/gnome/login-screen banner-message-enable false",
    says="no warning",
)
def test_greeter_warns(greeter: dict[str, str], evidence: Evidence) -> None:
    """The log-in screen shows a text, and it is not empty."""
    evidence.measured("greeter", greeter)
    shown = greeter["banner-message-enable"] == "true"
    assert shown, "the log-in screen shows no warning"
    assert len(greeter["banner-message-text"]) > 10, "the warning has no text"


@control(
    "desktop_greeter_hides_users",
    sabotage="set_dconf gdm org/gnome/login-screen disable-user-list false",
    says="lists its users",
)
def test_greeter_hides_users(greeter: dict[str, str], evidence: Evidence) -> None:
    """The log-in screen asks for a name, and offers none."""
    evidence.measured("disable-user-list", greeter["disable-user-list"])
    assert greeter["disable-user-list"] == "true", "the log-in screen lists its users"


@control(
    "desktop_no_remote_greeter",
    sabotage="mkdir -p /etc/gdm3; printf '[xdmcp]\\nEnable=true\\n' >/etc/gdm3/daemon.conf",
    says="XDMCP",
)
def test_greeter_is_local(ask: Ask, host: Any, evidence: Evidence) -> None:
    """Nobody serves XDMCP, and GDM wouldn't at its next start."""
    sockets = ask("ss -Hlun 'sport = :177'").splitlines()
    said = host.run(
        "sed -n '/^\\[xdmcp\\]/,/^\\[/p' /etc/gdm3/daemon.conf /etc/gdm3/custom.conf 2>/dev/null"
    ).stdout
    on = re.search(r"^Enable\s*=\s*true", said, re.MULTILINE | re.IGNORECASE)
    evidence.measured("sockets", len(sockets))
    assert not sockets, "somebody serves log-in screens by XDMCP"
    assert not on, "GDM is set to serve XDMCP"


@control(
    "desktop_administrators_declared",
    sabotage="gpasswd -a games sudo",
    says="not in the inventory: games",
    also=("accounts_sudo_only_declared", "accounts_sudo_commands_exact"),
)
def test_administrators_are_declared(
    ask: Ask, host: Any, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Nobody else is in a group as good as root, or may do everything by sudo."""
    declared = set(public("desktop_administrators"))
    groups = host.run(f"getent group {AS_GOOD_AS_ROOT}").stdout.splitlines()
    found = {
        member: f"{member} ({line.split(':')[0]})"
        for line in groups
        for member in line.split(":")[3].split(",")
        if member
    }
    people = ask("getent passwd | awk -F: '$3 >= 1000 && $3 < 60000 { print $1 }'").split()
    for name in set(people) - declared:
        said = host.run("sudo -n -l -U %s", name).stdout
        if re.search(r"\(\s*(ALL|root)\b.*\)\s.*\bALL$", said, re.MULTILINE):
            found[name] = f"{name} (sudo rules)"
    evidence.measured("administrators", sorted(found))
    strange = sorted(how for name, how in found.items() if name not in declared)
    assert not strange, f"not in the inventory: {', '.join(strange)}"


@control(
    "desktop_firefox_managed",
    sabotage='sed -i \'s/"blocked"/"allowed"/\' /etc/firefox/policies/policies.json',
    says="any extension",
)
def test_firefox_is_managed(host: Any, evidence: Evidence) -> None:
    """Extensions only as declared, no stored passwords, no resolver past the court's filter."""
    policy = _policy(host, "/etc/firefox/policies/policies.json").get("policies", {})
    evidence.measured("policies", sorted(policy))
    mode = policy.get("ExtensionSettings", {}).get("*", {}).get("installation_mode")
    assert policy, "Firefox has no policy"
    assert mode == "blocked", "Firefox takes any extension"
    assert policy.get("PasswordManagerEnabled") is False, "Firefox stores passwords"
    dns = policy.get("DNSOverHTTPS", {})
    assert dns == {"Enabled": False, "Locked": True}, "Firefox may ask resolvers elsewhere"


@control(
    "desktop_chromium_managed",
    sabotage="echo '{\"PasswordManagerEnabled\": true}' >/etc/chromium/policies/managed/zz.json",
    says="PasswordManagerEnabled",
)
def test_chromium_is_managed(ask: Ask, host: Any, evidence: Evidence) -> None:
    """The same of Chromium, which reads every file of a folder: none may say otherwise."""
    wanted = {
        "ExtensionInstallBlocklist": ["*"],
        "PasswordManagerEnabled": False,
        "DnsOverHttpsMode": "off",
        "SyncDisabled": True,
    }
    files = ask("find /etc/chromium/policies/managed -name '*.json'", exits=(0, 1)).split()
    policies = {path: _policy(host, path) for path in files}
    evidence.measured("files", sorted(policies))
    for key, value in wanted.items():
        said = {path: policy[key] for path, policy in policies.items() if key in policy}
        assert said, f"Chromium has no {key}"
        other = [path for path, one in said.items() if one != value]
        assert not other, f"{key} is otherwise in {', '.join(other)}"


@pytest.fixture
def usb(ask: Ask) -> None:
    """For machines with a USB bus."""
    if not ask("ls -d /sys/bus/usb/devices/usb* 2>/dev/null || true").strip():
        not_applicable("the machine has no USB bus")


@control(
    "desktop_usb_guarded",
    sabotage="sed -i '/^ImplicitPolicyTarget=/s/block/allow/' /etc/usbguard/tameng.conf"
    " && systemctl restart usbguard",
    says="whatever is plugged in is let in",
)
@pytest.mark.usefixtures("own_kernel", "usb")
def test_strange_usb_devices_stay_shut(host: Any, ask: Ask, evidence: Evidence) -> None:
    """The guard runs and refuses what it doesn't know, and the kernel waits for its leave."""
    target = host.run("usbguard get-parameter ImplicitPolicyTarget").stdout.strip()
    waits = ask("cat /sys/bus/usb/devices/usb*/authorized_default").split()
    evidence.measured("implicit_target", target)
    evidence.measured("authorized_default", waits)
    assert target, "no USBGuard answers"
    assert target in ("block", "reject"), f"whatever is plugged in is let in ({target})"
    assert set(waits) == {"0"}, "the kernel lets devices in before they are judged"


@control(
    "desktop_usb_list_named",
    sabotage="usbguard append-rule 'allow with-interface one-of { 08:*:* }'",
    says="allow with-interface",
)
@pytest.mark.usefixtures("own_kernel", "usb")
def test_usb_rules_name_devices(ask: Ask, evidence: Evidence) -> None:
    """No rule in force lets in a kind of device; each names one by its number or its hash."""
    rules = ask("usbguard list-rules").splitlines()
    evidence.measured("rules", len(rules))
    named = re.compile(r' (id [0-9a-f]{4}:[0-9a-f]{4}|hash "[^"]+")')
    loose = [rule for rule in rules if ": allow" in rule and not named.search(rule)]
    assert not loose, f"a rule names no device: {'; '.join(loose)}"


@control(
    "desktop_usb_list_protected",
    sabotage="echo IPCAllowedGroups=plugdev >>/etc/usbguard/tameng.conf"
    " && systemctl restart usbguard",
    says="plugdev",
)
@pytest.mark.usefixtures("own_kernel", "usb")
def test_desk_users_cannot_let_devices_in(host: Any, ask: Ask, evidence: Evidence) -> None:
    """Somebody of the desk's users' group asks the guard, which answers root; it must not listen
    to him."""
    ask("usbguard list-devices")
    group = ask("getent group plugdev").split(":")[2]
    tried = host.run(
        f"setpriv --reuid=65534 --regid={group} --clear-groups usbguard list-devices 2>&1"
    )
    evidence.measured("answer", tried.stdout.strip()[-100:])
    assert tried.rc != 0, "who is in plugdev may let devices in"


def _policy(host: Any, path: str) -> dict[str, Any]:
    """One policy file; empty when it is not there."""
    done = host.run("cat %s", path)
    try:
        found: dict[str, Any] = json.loads(done.stdout) if done.rc == 0 else {}
    except ValueError as exc:
        broken(f"{path} can't be read: {exc}")
    return found
