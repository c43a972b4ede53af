"""File systems and permissions, judged by the kernel's mounts and by what lies on the disk."""
# ruff: noqa: S108  the folders for temporary files are what is asked about

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.suite import Ask, Evidence, control

CLOSED = ("nodev", "nosuid", "noexec")
Mounts = dict[str, list[str]]
Found = dict[str, list[str]]
AT_BOOT = "tameng-mounts.service"


def mounted(mounts: Mounts, evidence: Evidence, path: str, *flags: str) -> None:
    """The path is a mount of its own, and the kernel enforces these flags on it."""
    has = mounts.get(path)
    evidence.measured(path, has)
    assert has is not None, f"{path} is no mount of its own"
    missing = [flag for flag in flags if flag not in has]
    assert not missing, f"{path} is mounted without {', '.join(missing)}"


@control(
    "files_tmp_mount", sabotage="remount /tmp exec,suid", says="/tmp is mounted without nosuid"
)
def test_tmp(mounts: Mounts, evidence: Evidence) -> None:
    """Where everybody writes, nothing is started."""
    mounted(mounts, evidence, "/tmp", *CLOSED)


@control("files_shm_mount", sabotage="remount /dev/shm exec", says="/dev/shm is mounted without")
def test_shared_memory(mounts: Mounts, evidence: Evidence) -> None:
    """Nor in memory."""
    mounted(mounts, evidence, "/dev/shm", *CLOSED)


@control("files_home_mount", sabotage="umount -l /home", says="/home is no mount of its own")
def test_home(mounts: Mounts, evidence: Evidence) -> None:
    """Users' files are data."""
    mounted(mounts, evidence, "/home", *CLOSED)


@control("files_var_mount", sabotage="remount /var dev,suid", says="/var is mounted without nodev")
def test_var(mounts: Mounts, evidence: Evidence) -> None:
    """Without noexec: dpkg runs the scripts of packages from there."""
    mounted(mounts, evidence, "/var", "nodev", "nosuid")


@control("files_var_tmp_mount", sabotage="umount -l /var/tmp", says="/var/tmp is no mount")
def test_var_tmp(mounts: Mounts, evidence: Evidence) -> None:
    """As /tmp."""
    mounted(mounts, evidence, "/var/tmp", *CLOSED)


@control("files_log_mount", sabotage="remount /var/log exec", says="without noexec")
def test_logs(mounts: Mounts, evidence: Evidence) -> None:
    """Logs are text."""
    mounted(mounts, evidence, "/var/log", *CLOSED)


@control("files_audit_log_mount", sabotage="remount /var/log/audit exec", says="without noexec")
def test_audit_logs(mounts: Mounts, evidence: Evidence) -> None:
    """The audit's records, too."""
    mounted(mounts, evidence, "/var/log/audit", *CLOSED)


@control("files_served_mounts", sabotage="umount -l /srv", says="/srv is no mount of its own")
def test_served_data(mounts: Mounts, evidence: Evidence) -> None:
    """What is served, and what comes from outside the distribution."""
    for path in ("/srv", "/opt"):
        mounted(mounts, evidence, path, "nodev", "nosuid")


@control(
    "files_mounts_at_boot",
    sabotage=f"systemctl disable -q {AT_BOOT}",
    says="won't be set at the next start",
)
def test_mounts_are_made_at_boot(ask: Ask, evidence: Evidence) -> None:
    """systemd would set the flags before anything else uses the file systems."""
    needs = ask("systemctl list-dependencies --plain local-fs.target").split()
    state = ask(f"systemctl show {AT_BOOT} -p LoadState -p Before")
    evidence.measured("needed_by_local_fs", AT_BOOT in needs)
    assert AT_BOOT in needs, "the flags of the mounts won't be set at the next start"
    assert "LoadState=loaded" in state, f"{AT_BOOT} can't be started"
    assert "local-fs.target" in state, f"{AT_BOOT} comes after the file systems are in use"


def closed(ask: Ask, evidence: Evidence, allowed: dict[str, tuple[int, str]]) -> None:
    """None of these files has another owner, another group or more rights than allowed."""
    said = ask(f"stat -c '%n %a %U %G' {' '.join(allowed)}", exits=(0, 1))
    there = {name: rest for name, *rest in map(str.split, said.splitlines())}
    evidence.measured("files", {name: " ".join(rest) for name, rest in there.items()})
    wrong = []
    for name, (mode, owner, group) in there.items():
        most, who = allowed[name]
        if int(mode, 8) & ~most or f"{owner}:{group}" not in ("root:root", who):
            wrong.append(f"{name} is {mode} {owner}:{group}")
    assert there, "none of these files is there"
    assert not wrong, ", ".join(wrong)


@control(
    "files_account_lists",
    sabotage="chmod 0664 /etc/group-",
    says="/etc/group- is 664 root:root",
    also=("files_settings_closed",),
)
def test_lists_of_accounts(ask: Ask, evidence: Evidence) -> None:
    """Everybody reads them, root alone writes them; their backups alike."""
    names = ["/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/shells"]
    closed(ask, evidence, dict.fromkeys(names, (0o644, "root:root")))


@control(
    "files_password_hashes",
    sabotage="chmod 0644 /etc/shadow",
    says="/etc/shadow is 644 root:shadow",
)
def test_password_hashes(ask: Ask, evidence: Evidence) -> None:
    """root, and Debian's programs of the group shadow, in which no account is."""
    names = ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"]
    old = ["/etc/security/opasswd", "/etc/security/opasswd.old"]
    hashes = dict.fromkeys(names, (0o640, "root:shadow"))
    closed(ask, evidence, hashes | dict.fromkeys(old, (0o600, "root:root")))


def none_of(found: list[str], evidence: Evidence, what: str) -> None:
    evidence.measured("found", found[:20])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    assert not found, f"{what}: {', '.join(found[:5])}{more}"


@control(
    "files_settings_closed",
    sabotage="chmod 0664 /etc/hosts",
    says="others than root may write: /etc/hosts",
)
def test_settings(found: Found, evidence: Evidence) -> None:
    """Nothing under /etc can be written by a group or by everybody."""
    none_of(found["setting"], evidence, "others than root may write")


@control(
    "files_programs_closed",
    sabotage="chown nobody /usr/bin/less",
    says="others than root may write: /usr/bin/less",
)
def test_programs(found: Found, evidence: Evidence) -> None:
    """All under /usr is root's, and root alone writes it."""
    none_of(found["program"], evidence, "others than root may write")


@control(
    "files_world_writable",
    sabotage="touch /var/lib/open && chmod 0666 /var/lib/open",
    says="anybody may write: /var/lib/open",
)
def test_nothing_is_world_writable(found: Found, evidence: Evidence) -> None:
    """No file on a local disk."""
    none_of(found["open"], evidence, "anybody may write")


@control(
    "files_sticky",
    sabotage="mkdir -p /var/lib/shared && chmod 0777 /var/lib/shared",
    says="/var/lib/shared",
)
def test_shared_folders_are_sticky(found: Found, evidence: Evidence) -> None:
    """Folders that all may write are root's and sticky."""
    none_of(found["loose"], evidence, "anybody may replace others' files")


@control(
    "files_owned",
    sabotage="touch /var/lib/lost && chown 60123:60123 /var/lib/lost",
    says="owned by no known account or group: /var/lib/lost",
)
def test_everything_has_an_owner(found: Found, evidence: Evidence) -> None:
    """Every file's numbers belong to an account and a group."""
    none_of(found["lost"], evidence, "owned by no known account or group")


@control(
    "files_privileged_known",
    sabotage="chmod u+s /usr/bin/newgrp",
    says="runs with more rights and isn't recorded: /usr/bin/newgrp",
)
def test_privileged_programs_are_recorded(
    found: Found, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """The recorded list is the inventory's; what is there besides is new, and named."""
    evidence.measured("privileged", found["privileged"])
    new = sorted(set(found["privileged"]) - set(public("file_systems_privileged")))
    assert not new, f"runs with more rights and isn't recorded: {', '.join(new)}"


@control(
    "files_privileged_few",
    sabotage="dpkg-statoverride --remove /usr/bin/chfn",
    says="an upgrade would give its rights back: /usr/bin/chfn",
)
def test_rights_stay_away_after_upgrades(
    ask: Ask, public: Callable[[str], Any], evidence: Evidence
) -> None:
    """What dpkg would do with the next version of their packages."""
    lines = [line.split() for line in ask("dpkg-statoverride --list").splitlines()]
    kept = {path: mode for _, _, mode, path in lines}
    evidence.measured("overrides", kept)
    # Debian 12 knows some programs by their old path, without /usr.
    back = [
        path
        for path in public("file_systems_unprivileged")
        if "755" not in (kept.get(path), kept.get(path.removeprefix("/usr")))
    ]
    assert not back, f"an upgrade would give its rights back: {', '.join(back)}"
