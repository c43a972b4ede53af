"""How a machine starts: what the running kernel was given, and what the next start will give."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from compliance.suite import Ask, Evidence, control

MENU = "/boot/grub/grub.cfg"


@pytest.fixture
def menu(ask: Ask) -> str:
    """GRUB's menu, as it is read at the next start."""
    return ask(f"cat {MENU}")


@pytest.fixture
def given(ask: Ask, menu: str, evidence: Evidence) -> Callable[..., None]:
    """Hold that the running kernel and every entry of the menu were given these arguments."""

    def hold(*wanted: str, never: tuple[str, ...] = ()) -> None:
        running = ask("cat /proc/cmdline").split()
        entries = [line.split() for line in re.findall(r"^\s*linux\s.*$", menu, re.MULTILINE)]
        lacking = [word for word in wanted if word not in running]
        later = [word for word in wanted if not all(word in entry for entry in entries)]
        everything = {*running, *(word for entry in entries for word in entry)}
        evil = sorted(everything.intersection(never))
        evidence.measured("running_lacks", lacking)
        evidence.measured("menu_lacks", later)
        assert entries, "the boot menu starts no Linux"
        assert not evil, f"a protection is switched off: {', '.join(evil)}"
        assert not later, f"an entry of the boot menu lacks {', '.join(later)}"
        assert not lacking, f"the running kernel lacks {', '.join(lacking)}: it needs a restart"

    return hold


@control("boot_menu_password", sabotage="edit_menu '/^password/d'", says="asks for no password")
@pytest.mark.usefixtures("own_kernel")
def test_password(menu: str, evidence: Evidence) -> None:
    """Changing an entry, or starting any but the first, takes a password that is kept as a hash."""
    users = re.findall(r'^set superusers="([^"]+)"', menu, re.MULTILINE)
    kept = re.findall(r"^password_pbkdf2 (\S+) grub\.pbkdf2\.sha512\.(\d+)", menu, re.MULTILINE)
    opened = len(re.findall(r"^\s*(?:menuentry|submenu)\s.*--unrestricted", menu, re.MULTILINE))
    inner = menu.partition("\nsubmenu ")[0].count("--unrestricted")
    evidence.measured("superusers", users)
    evidence.measured("entries_without_password", opened)
    assert users, "the boot menu asks for no password: it has no superuser"
    assert [name for name, _ in kept] == users, "the boot menu asks for no password"
    assert not re.search(r"^password\s", menu, re.MULTILINE), "a password lies open in the menu"
    assert inner == 1, f"{inner} entries of the first menu start without a password"


@control("boot_unattended", sabotage="edit_menu 's/ --unrestricted//'", says="waits for a password")
@pytest.mark.usefixtures("own_kernel")
def test_unattended(menu: str, evidence: Evidence) -> None:
    """After a power cut the machine comes back by itself."""
    first = re.search(r"^menuentry .*$", menu, re.MULTILINE)
    line = first[0] if first else ""
    evidence.measured("first_entry", line)
    assert "--unrestricted" in line, "the machine waits for a password before it starts"


@control("boot_files_private", sabotage=f"chmod 0755 /boot; chmod 0644 {MENU}", says="/boot is 755")
@pytest.mark.usefixtures("own_kernel")
def test_files(ask: Ask, evidence: Evidence) -> None:
    """The menu and the kernel's own map are root's alone."""
    wanted = {"/boot": "700 root root", MENU: "600 root root"}
    there = dict(
        line.split(" ", 1) for line in ask(f"stat -c '%n %a %U %G' /boot {MENU}").splitlines()
    )
    evidence.measured("modes", there)
    wrong = [f"{path} is {mode}" for path, mode in there.items() if mode != wanted[path]]
    assert not wrong, ", ".join(wrong)


@control("boot_audit_from_start", sabotage="edit_menu 's/ audit=1//'", says="lacks audit=1")
@pytest.mark.usefixtures("own_kernel")
def test_audit(given: Callable[..., None]) -> None:
    """Processes that start before auditd are audited, too."""
    given("audit=1", "audit_backlog_limit=8192")


@control("boot_memory_hardened", sabotage="edit_menu 's/ init_on_free=1//'", says="init_on_free=1")
@pytest.mark.usefixtures("own_kernel")
def test_memory(given: Callable[..., None]) -> None:
    """Memory is wiped, and lies where nobody expects it."""
    given(
        *("init_on_alloc=1", "init_on_free=1", "page_alloc.shuffle=1", "slab_nomerge"),
        *("randomize_kstack_offset=on", "vsyscall=none", "rng_core.default_quality=500"),
    )


@control("boot_processor_faults", sabotage="edit_menu 's/ pti=on/ pti=off/'", says="pti=off")
@pytest.mark.usefixtures("own_kernel")
def test_processor_faults(ask: Ask, given: Callable[..., None], evidence: Evidence) -> None:
    """What is known of leaking processors is worked around; the kernel itself says whether."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    faults = [ln.removeprefix(f"{folder}/") for ln in ask(f"grep -H . {folder}/*").splitlines()]
    bare = [line for line in faults if ":Vulnerable" in line]
    evidence.measured("faults", faults)
    given(
        *("pti=on", "l1tf=full,force", "mds=full,nosmt", "spectre_v2=on"),
        *("spec_store_bypass_disable=seccomp", "mitigations=auto,nosmt"),
        never=(
            "mitigations=off",
            "pti=off",
            "nopti",
            "nosmep",
            "nosmap",
            "nospectre",
            "noexec=off",
        ),
    )
    assert not bare, f"no protection: {'; '.join(bare)}"


@control("boot_devices_confined", sabotage="edit_menu 's/ iommu=force//'", says="iommu=force")
@pytest.mark.usefixtures("own_kernel")
def test_iommu(given: Callable[..., None]) -> None:
    """A device reaches its own memory only."""
    given("iommu=force")


@control("boot_kernel_locked_down", sabotage="edit_menu 's/ lockdown=integrity//'", says="lockdown")
@pytest.mark.usefixtures("own_kernel")
def test_lockdown(ask: Ask, given: Callable[..., None], evidence: Evidence) -> None:
    """Root doesn't change the running kernel."""
    state = ask("cat /sys/kernel/security/lockdown").strip()
    evidence.measured("lockdown", state)
    given("lockdown=integrity")
    assert "[none]" not in state, f"lockdown is {state}"


@control(
    "boot_no_restart_by_keys",
    sabotage="systemctl unmask ctrl-alt-del.target",
    says="Ctrl-Alt-Del starts the machine anew",
)
def test_keys(ask: Ask, evidence: Evidence) -> None:
    """Somebody at the keyboard doesn't restart a server unseen."""
    state = ask("systemctl show ctrl-alt-del.target -p LoadState --value").strip()
    evidence.measured("ctrl-alt-del.target", state)
    assert state == "masked", "Ctrl-Alt-Del starts the machine anew"
