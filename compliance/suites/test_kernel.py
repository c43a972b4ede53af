"""The kernel, judged by the values it runs with, by what the next start will set, and by trying."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, control

Judge = Callable[..., None]
V4, V6 = "net.ipv4.conf.*", "net.ipv6.conf.*"


@pytest.fixture
def judge(ask: Ask, evidence: Evidence) -> Judge:
    """Hold settings against the running kernel and against what the next start sets.

    A ``*`` stands for every interface, those to come included. IPv6 may be missing as a whole.
    """
    # Some settings may not be read by anybody; sysctl says so and goes on.
    running = dict(
        line.split(" = ", 1)
        for line in ask("sysctl -a", exits=(0, 1, 255)).splitlines()
        if " = " in line
    )
    planned: dict[str, str] = {}
    for line in ask("/usr/lib/systemd/systemd-sysctl --cat-config").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.lstrip().startswith(("#", ";")):
            key = key.strip().lstrip("-").replace("/", ".")
            planned.pop(key, None)  # the order is that of the last words
            planned[key] = value

    def next_start(key: str) -> str | None:
        """As systemd-sysctl: a key's own line beats a pattern; of several, the last."""
        if key in planned:
            return planned[key]
        fitting = [p for p in planned if "*" in p and fnmatch.fnmatchcase(key, p)]
        return planned[fitting[-1]] if fitting else None

    def hold(wanted: dict[str, str]) -> None:
        measured, wrong = {}, []
        for pattern, value in wanted.items():
            keys = fnmatch.filter(running, pattern)
            if not keys and not pattern.startswith("net.ipv6."):
                wrong.append(f"this kernel doesn't know {pattern}")
            for key in keys:
                now, later = running[key].split(), next_start(key)
                measured[key] = " ".join(now)
                if now != value.split():
                    wrong.append(f"{key} is {' '.join(now)}")
                elif later is None or later.split() != value.split():
                    wrong.append(f"the next start sets {key} to {(later or 'its default').strip()}")
        evidence.measured("settings", measured)
        assert not wrong, "; ".join(wrong)

    return hold


def every(family: str, *names: str, value: str = "0") -> dict[str, str]:
    """These settings of every interface."""
    return {f"net.{family}.conf.*.{name}": value for name in names}


# --- the network: a container has these settings of its own ---------------------------------


@control(
    "kernel_forwards_as_declared",
    sabotage="sysctl -qw net.ipv6.conf.all.forwarding=1",
    says="net.ipv6.conf.all.forwarding is 1",
)
def test_forwarding(judge: Judge, public: Callable[[str], Any]) -> None:
    """Only a declared router passes packets on, and only of the declared protocols."""
    v4, v6 = (str(int(family in public("kernel_forwards"))) for family in ("ipv4", "ipv6"))
    judge(
        {
            "net.ipv4.ip_forward": v4,
            **every("ipv4", "forwarding", value=v4),
            **every("ipv6", "forwarding", value=v6),
        }
    )


@control(
    "kernel_no_redirects_sent",
    sabotage="sysctl -qw net.ipv4.conf.all.send_redirects=1",
    says="net.ipv4.conf.all.send_redirects is 1",
)
def test_redirects_sent(judge: Judge) -> None:
    """It shows nobody another way."""
    judge(every("ipv4", "send_redirects"))


@control(
    "kernel_no_redirects_taken",
    sabotage="sysctl -qw net.ipv4.conf.default.secure_redirects=1"
    " net.ipv6.conf.lo.accept_redirects=1",
    says="net.ipv6.conf.lo.accept_redirects is 1",
)
def test_redirects_taken(judge: Judge) -> None:
    """Nobody shows it another way, not even a router that it knows."""
    judge(
        every("ipv4", "accept_redirects", "secure_redirects", "shared_media")
        | every("ipv6", "accept_redirects")
    )


@control(
    "kernel_no_source_routing",
    sabotage="sysctl -qw net.ipv4.conf.all.accept_source_route=1",
    says="net.ipv4.conf.all.accept_source_route is 1",
)
def test_source_routing(judge: Judge) -> None:
    """A sender doesn't choose the way through our networks."""
    judge(every("ipv4", "accept_source_route") | every("ipv6", "accept_source_route"))


@control(
    "kernel_source_addresses_checked",
    sabotage="sysctl -qw net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.route_localnet=1",
    says="net.ipv4.conf.default.rp_filter is 0",
)
def test_source_addresses(judge: Judge) -> None:
    """A packet must come from where the answer would go."""
    judge(every("ipv4", "rp_filter", value="1") | every("ipv4", "accept_local", "route_localnet"))


@control(
    "kernel_strange_packets_logged",
    sabotage="sysctl -qw net.ipv4.conf.all.log_martians=0",
    says="net.ipv4.conf.all.log_martians is 0",
)
def test_martians(judge: Judge) -> None:
    """Packets with impossible addresses leave a trace."""
    judge(every("ipv4", "log_martians", value="1"))


@control(
    "kernel_icmp_guarded",
    sabotage="sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0",
    says="net.ipv4.icmp_echo_ignore_broadcasts is 0",
)
def test_icmp(judge: Judge) -> None:
    """It answers no call to everybody, and lets false error messages fill no log."""
    judge(
        {
            "net.ipv4.icmp_echo_ignore_broadcasts": "1",
            "net.ipv4.icmp_ignore_bogus_error_responses": "1",
        }
    )


@control(
    "kernel_syn_cookies",
    sabotage="sysctl -qw net.ipv4.tcp_syncookies=0",
    says="net.ipv4.tcp_syncookies is 0",
)
def test_syn_cookies(judge: Judge) -> None:
    """A flood of half-open connections doesn't shut out the others."""
    judge({"net.ipv4.tcp_syncookies": "1"})


@control(
    "kernel_no_router_advertisements",
    sabotage="sysctl -qw net.ipv6.conf.default.accept_ra=1",
    says="net.ipv6.conf.default.accept_ra is 1",
)
def test_router_advertisements(judge: Judge) -> None:
    """Nobody on the wire makes himself its IPv6 router or gives it an address."""
    judge(
        every(
            "ipv6",
            *("accept_ra", "accept_ra_defrtr", "accept_ra_pinfo", "accept_ra_rtr_pref"),
            *("autoconf", "router_solicitations"),
        )
        | every("ipv6", "max_addresses", value="1")
    )


@control(
    "kernel_arp_guarded",
    sabotage="sysctl -qw net.ipv4.conf.all.drop_gratuitous_arp=0 net.ipv4.tcp_rfc1337=0",
    says="net.ipv4.conf.all.drop_gratuitous_arp is 0",
)
def test_arp(judge: Judge) -> None:
    """It answers for its own addresses only, believes no announcement that it didn't ask for, and
    forgets no connection early."""
    judge(
        every("ipv4", "arp_filter", "drop_gratuitous_arp", value="1")
        | every("ipv4", "arp_ignore", value="2")
        | {"net.ipv4.tcp_rfc1337": "1", "net.ipv4.ip_local_port_range": "32768 65535"}
    )


# --- what only a kernel of one's own has ----------------------------------------------------


@control(
    "kernel_addresses_random",
    sabotage="sysctl -qw kernel.randomize_va_space=0",
    says="kernel.randomize_va_space is 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_aslr(judge: Judge) -> None:
    """Where a program's parts lie can't be guessed, and nothing lies at the bottom."""
    judge({"kernel.randomize_va_space": "2", "vm.mmap_min_addr": "65536"})


@control(
    "kernel_addresses_hidden",
    sabotage="sysctl -qw kernel.kptr_restrict=0",
    says="kernel.kptr_restrict is 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_addresses_hidden(judge: Judge) -> None:
    """The kernel doesn't tell where its own parts lie."""
    judge({"kernel.kptr_restrict": "2", "kernel.dmesg_restrict": "1"})


@control(
    "kernel_ptrace_restricted",
    sabotage="sysctl -qw kernel.yama.ptrace_scope=0",
    says="kernel.yama.ptrace_scope is 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_ptrace(judge: Judge) -> None:
    """A program doesn't read the memory of another of the same user."""
    judge({"kernel.yama.ptrace_scope": "1"})


@control(
    "kernel_links_protected",
    sabotage="sysctl -qw fs.protected_symlinks=0",
    says="fs.protected_symlinks is 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_links(judge: Judge) -> None:
    """Links, pipes and files that somebody left in /tmp are no trap."""
    judge(
        {"fs.protected_hardlinks": "1", "fs.protected_symlinks": "1"}
        | {"fs.protected_fifos": "2", "fs.protected_regular": "2"}
    )


@control(
    "kernel_no_memory_images",
    sabotage="sysctl -qw fs.suid_dumpable=1",
    says="fs.suid_dumpable is 1",
)
@pytest.mark.usefixtures("own_kernel")
def test_memory_images(judge: Judge) -> None:
    """The memory of a program that crashed is written nowhere."""
    judge({"fs.suid_dumpable": "0", "kernel.core_pattern": "|/bin/false"})


@control(
    "kernel_developers_tools_closed",
    sabotage="sysctl -qw kernel.perf_event_paranoid=1 net.core.bpf_jit_harden=0",
    says="kernel.perf_event_paranoid is 1",
)
@pytest.mark.usefixtures("own_kernel")
def test_developers_tools(judge: Judge) -> None:
    """Only root runs programs in the kernel or measures others."""
    judge(
        {
            "kernel.unprivileged_bpf_disabled": "1",
            "net.core.bpf_jit_harden": "2",
            "kernel.perf_event_paranoid": "3",
            "kernel.perf_cpu_time_max_percent": "1",
            "kernel.perf_event_max_sample_rate": "1",
            "vm.unprivileged_userfaultfd": "0",
            "dev.tty.ldisc_autoload": "0",
        }
    )


@control(
    "kernel_no_kexec",
    # The running value can't be lowered: somebody prepares the next start.
    sabotage="boot_setting kernel.kexec_load_disabled 0",
    says="the next start sets kernel.kexec_load_disabled to 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_kexec(judge: Judge) -> None:
    """The kernel isn't exchanged for another one while it runs."""
    judge({"kernel.kexec_load_disabled": "1"})


@control(
    "kernel_stops_when_confused",
    sabotage="sysctl -qw kernel.panic_on_oops=0 kernel.sysrq=1",
    says="kernel.panic_on_oops is 0",
)
@pytest.mark.usefixtures("own_kernel")
def test_stops(judge: Judge) -> None:
    """A kernel that has lost its way goes no further, but starts anew; keys command nothing."""
    judge(
        {"kernel.panic_on_oops": "1", "kernel.panic": "10"}
        | {"kernel.sysrq": "0", "kernel.pid_max": "65536"}
    )


@control(
    "kernel_no_user_namespaces",
    sabotage="sysctl -qw kernel.unprivileged_userns_clone=1",
    says="nobody makes user namespaces",
)
@pytest.mark.usefixtures("own_kernel")
def test_user_namespaces(host: Any, evidence: Evidence) -> None:
    """A user without rights tries to make one."""
    made = host.run("runuser -u nobody -- unshare --user true").rc == 0
    evidence.measured("made", made)
    assert not made, "the user nobody makes user namespaces"


# --- modules ----------------------------------------------------------------------------------


@pytest.fixture
def refused(ask: Ask, public: Callable[[str], Any], evidence: Evidence) -> Callable[..., None]:
    """Hold that modprobe would refuse these modules, and that none of them is loaded."""

    def hold(*modules: str) -> None:
        wanted = [name for name in modules if name not in public("kernel_modules_needed")]
        script = 'for m in "$@"; do modprobe -n -v "$m" 2>&1 | sed "s/^/$m: /"; done'
        answer = ask(f"sh -c '{script}' - {' '.join(wanted)}")
        # A module's last line is about itself, those before about what it needs. Without any it is
        # part of the kernel, or loaded already. One that this kernel hasn't got is no matter.
        said = dict(line.split(": ", 1) for line in answer.splitlines())
        shut = ("install /bin/false", "not found in directory")
        free = [name for name in wanted if not any(word in said.get(name, "") for word in shut)]
        loaded = {ln.split()[0].replace("_", "-") for ln in ask("cat /proc/modules").splitlines()}
        wrong = sorted({*free, *loaded.intersection(wanted)})
        evidence.measured("modules", wanted)
        evidence.measured("loadable", wrong)
        assert not wrong, f"can be loaded: {', '.join(wrong)}"

    return hold


@control(
    "kernel_no_rare_file_systems",
    sabotage="allow_module udf",
    says="can be loaded: udf",
)
@pytest.mark.usefixtures("own_kernel")
def test_file_systems(refused: Callable[..., None]) -> None:
    """A prepared disk image finds nobody who reads it."""
    refused("cramfs", "freevxfs", "hfs", "hfsplus", "jffs2", "overlay", "squashfs", "udf")


@control(
    "kernel_no_rare_protocols",
    sabotage="precede_module sctp",
    says="can be loaded: sctp",
)
@pytest.mark.usefixtures("own_kernel")
def test_protocols(refused: Callable[..., None]) -> None:
    """Any user can have a protocol's module loaded by asking for a socket."""
    refused("atm", "can", "dccp", "rds", "sctp", "tipc")


@control("kernel_no_firewire", sabotage="allow_module firewire-core", says="firewire-core")
@pytest.mark.usefixtures("own_kernel")
def test_firewire(refused: Callable[..., None]) -> None:
    """A cable doesn't read the memory."""
    refused("firewire-core")


@control(
    "kernel_no_usb_storage",
    sabotage="allow_module usb-storage; modprobe usb-storage",
    says="can be loaded: usb-storage",
)
@pytest.mark.usefixtures("own_kernel")
def test_usb_storage(refused: Callable[..., None]) -> None:
    """Nothing is carried out of the server room on a stick, or into it."""
    refused("usb-storage")


@control("kernel_no_radio", sabotage="allow_module bluetooth", says="can be loaded: bluetooth")
@pytest.mark.usefixtures("own_kernel")
def test_radio(ask: Ask, refused: Callable[..., None], evidence: Evidence) -> None:
    """A server has no way through the wall."""
    found = ask("find /sys/class/net/*/wireless /sys/class/bluetooth/* -maxdepth 0", exits=(0, 1))
    evidence.measured("interfaces", found.split())
    assert not found, f"there is a radio: {found.split()[0]}"
    refused("cfg80211", "bluetooth")


# --- sessions and packages --------------------------------------------------------------------


@control(
    "kernel_no_core_files",
    sabotage="sed -i s/0/unlimited/ /etc/security/limits.d/zz-tameng.conf",
    says="may write a core file",
)
def test_core_files(ask: Ask, evidence: Evidence) -> None:
    """A new session can't allow itself core files, and systemd-coredump would keep none."""
    # From where there is no limit yet; this very session has one already.
    session = "su -s /bin/sh -c 'ulimit -Hc' nobody"
    limit = ask(f"systemd-run --quiet --pipe -p LimitCORE=infinity {session}").strip()
    evidence.measured("hard_limit", limit)
    assert limit == "0", f"a session may write a core file (limit: {limit})"
    text = ask("cat /etc/systemd/coredump.conf /etc/systemd/coredump.conf.d/*.conf", exits=(0, 1))
    said = dict(ln.split("=", 1) for ln in text.splitlines() if "=" in ln and ln[0] not in "#;")
    evidence.measured("coredump", said)
    kept = said.get("Storage") != "none" or said.get("ProcessSizeMax") != "0"
    assert not kept, "systemd-coredump would keep memory images"


@control("kernel_no_prelink", sabotage="fake_package prelink", says="prelink is installed")
def test_prelink(ask: Ask, evidence: Evidence) -> None:
    """Programs stay as their packages brought them, and crashes are reported to nobody outside."""
    form = "${Package} ${db:Status-Status}\\n"
    listed = ask(f"dpkg-query -W -f '{form}' prelink 'apport*'", exits=(0, 1))
    there = [line.split()[0] for line in listed.splitlines() if line.endswith(" installed")]
    evidence.measured("installed", there)
    assert not there, f"{', '.join(there)} is installed"
