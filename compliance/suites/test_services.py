"""Services and packages, judged by what runs, listens, is installed, and is shown at a log-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.suite import Ask, Evidence, broken, control, not_applicable

Public = Callable[[str], Any]
MAIL = {25, 465, 587}
OTHER_SERVERS = "services_sockets_declared"
LAW = "Undang-Undang Nomor 11 Tahun 2008"


def listening(ask: Ask) -> list[tuple[str, str, int, str]]:
    """(protocol, address, port, process) of every socket that waits for somebody."""
    found = []
    for line in ask("ss -Htulpn").splitlines():
        protocol, _, _, _, local, _, *process = line.split(None, 6)
        address, _, port = local.rpartition(":")
        name = process[0].split('"')[1] if process and '"' in process[0] else "the kernel"
        found.append((protocol, address.strip("[]").partition("%")[0], int(port), name))
    return found


def inside(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


@control(
    "services_sockets_declared",
    sabotage="stand_in rsync.service 873",
    says="python3 listens on tcp 0.0.0.0:873",
    also=("services_no_file_servers",),
)
def test_every_socket_is_declared(
    ask: Ask, public: Public, open_ports: set[tuple[str, int]], evidence: Evidence
) -> None:
    """What the firewall lets in may listen, and what the inventory names besides; all on loopback
    that is declared for loopback stays there."""
    everywhere = set(open_ports)
    local = set()
    for extra in public("services_sockets") or []:
        ports = {(extra["protocol"], port) for port in extra["ports"]}
        local |= ports
        everywhere |= ports if extra.get("everywhere") else set()
    sockets = listening(ask)
    evidence.measured("sockets", [f"{pr} {ad}:{po} {name}" for pr, ad, po, name in sockets])
    strange = [
        f"{name} listens on {protocol} {address}:{port}"
        for protocol, address, port, name in sockets
        if (protocol, port) not in everywhere
        and not (inside(address) and (protocol, port) in local)
    ]
    assert not strange, f"{', '.join(strange)}: not in the inventory"


def idle(ask: Ask, public: Public, evidence: Evidence, **kinds: str) -> None:
    """No unit of these kinds runs or would start, but for the kinds that this host is for. Where it
    is for all of them there is nothing to ask."""
    needed = set(public("services_needed") or [])
    kind_of = {unit: kind for kind, names in kinds.items() for unit in names.split()}
    said = ask(f"systemctl show -p LoadState,ActiveState,UnitFileState {' '.join(kind_of)}")
    wrong = []
    for (unit, kind), block in zip(kind_of.items(), said.strip().split("\n\n"), strict=True):
        state = dict(line.split("=", 1) for line in block.splitlines())
        evidence.measured(unit, f"{state['LoadState']} {state['ActiveState']}")
        if kind in needed:
            continue
        if state["ActiveState"] not in ("inactive", "failed"):
            wrong.append(f"{unit} is {state['ActiveState']}")
        elif state["UnitFileState"].startswith("enabled"):
            wrong.append(f"{unit} starts with the machine")
    if needed >= set(kind_of.values()):
        not_applicable(f"this host is for it: {', '.join(sorted(needed))}")
    assert not wrong, f"{', '.join(wrong)}: this host is not for it"


@control(
    "services_no_discovery",
    sabotage="stand_in avahi-daemon.service",
    says="avahi-daemon.service is active",
)
def test_nothing_offers_itself(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Nothing mounts, announces or brokers services by itself."""
    idle(
        ask,
        public,
        evidence,
        autofs="autofs.service",
        discovery="avahi-daemon.socket avahi-daemon.service",
        rpcbind="rpcbind.socket rpcbind.service",
    )


@control(
    "services_no_name_servers",
    sabotage="stand_in dnsmasq.service",
    says="dnsmasq.service is active",
)
def test_no_name_servers(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Nobody else hands out addresses, names or accounts in the court's network."""
    idle(
        ask,
        public,
        evidence,
        dhcp="isc-dhcp-server.service isc-dhcp-server6.service kea-dhcp4-server.service"
        " kea-dhcp6-server.service",
        dns="named.service bind9.service unbound.service dnsmasq.service",
        ldap="slapd.service",
        nis="ypserv.service nis.service",
    )


@control(
    "services_no_file_servers",
    sabotage="stand_in vsftpd.service",
    says="vsftpd.service is active",
)
def test_no_file_servers(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Files are not handed out by a machine that isn't for it."""
    idle(
        ask,
        public,
        evidence,
        ftp="vsftpd.service proftpd.service pure-ftpd.service",
        nfs="nfs-server.service nfs-kernel-server.service",
        rsync="rsync.service",
        file_sharing="smbd.service nmbd.service samba-ad-dc.service",
        tftp="tftpd-hpa.service atftpd.service",
    )


@control("services_no_relays", sabotage="stand_in snmpd.service", says="snmpd.service is active")
def test_no_relays(ask: Ask, public: Public, evidence: Evidence) -> None:
    """No mailboxes, no proxy, no SNMP."""
    idle(
        ask,
        public,
        evidence,
        mail_access="dovecot.socket dovecot.service cyrus-imapd.service",
        proxy="squid.service",
        snmp="snmpd.service",
    )


@control("services_no_mail", sabotage="stand_in postfix.service", says="postfix.service is active")
def test_no_mail_server(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Nothing takes mail or sends it on, so no account waits for any."""
    units = "exim4.service nullmailer.service opensmtpd.service postfix.service sendmail.service"
    idle(ask, public, evidence, mail=units)


@control(
    "services_web_where_declared",
    sabotage="stand_in nginx.service",
    says="nginx.service is active",
)
def test_web_servers(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Web servers run where the court's applications are."""
    idle(ask, public, evidence, web="apache2.service nginx.service lighttpd.service")


@control("services_no_printing", sabotage="stand_in cups.service", says="cups.service is active")
def test_no_print_server(ask: Ask, public: Public, evidence: Evidence) -> None:
    """Printing belongs to desks."""
    idle(ask, public, evidence, print="cups.socket cups.service cups-browsed.service")


@control(
    "services_console_closed",
    sabotage="systemctl unmask -q debug-shell.service",
    says="debug-shell.service can be started",
)
def test_console_gives_nothing_away(ask: Ask, evidence: Evidence) -> None:
    """No root shell without a log-in waits on another console."""
    state = ask("systemctl show debug-shell.service -p LoadState --value").strip()
    evidence.measured("debug-shell.service", state)
    assert state == "masked", "debug-shell.service can be started"


@control(
    "services_mail_local",
    sabotage="stand_in exim4.service 25",
    says="python3 takes mail on 0.0.0.0:25",
    also=(OTHER_SERVERS, "services_no_mail"),
)
def test_mail_is_local(ask: Ask, evidence: Evidence) -> None:
    """Who takes mail, takes it from this machine only."""
    sockets = [(ad, po, name) for pr, ad, po, name in listening(ask) if pr == "tcp" and po in MAIL]
    evidence.measured("mail_sockets", sockets)
    open_to_all = [f"{name} takes mail on {ad}:{po}" for ad, po, name in sockets if not inside(ad)]
    assert not open_to_all, ", ".join(open_to_all)


def absent(packages: set[str], evidence: Evidence, names: str) -> None:
    """None of these packages is installed, whole or in part."""
    there = sorted(packages & set(names.split()))
    evidence.measured("installed", there)
    assert not there, f"installed: {', '.join(there)}"


@control("services_no_clear_text", sabotage="fake_package telnet", says="installed: telnet")
def test_no_clear_text_clients(packages: set[str], evidence: Evidence) -> None:
    """Who has no telnet sends no password by it."""
    absent(
        packages,
        evidence,
        "telnet telnet-ssl inetutils-telnet rsh-client rsh-redone-client talk inetutils-talk"
        " nis yp-tools ypbind-mt ldap-utils ftp tnftp inetutils-ftp",
    )


@control("services_no_outdated", sabotage="fake_package xinetd", says="installed: xinetd")
def test_no_servers_of_another_time(packages: set[str], evidence: Evidence) -> None:
    """Nor is there a server for it, nor one that starts others."""
    absent(
        packages,
        evidence,
        "telnetd telnetd-ssl inetutils-telnetd rsh-server rsh-redone-server talkd inetutils-talkd"
        " ypserv xinetd openbsd-inetd inetutils-inetd rlinetd atftpd",
    )


@control("services_no_desktop", sabotage="fake_package gdm3", says="installed: gdm3")
def test_servers_have_no_desktop(packages: set[str], evidence: Evidence) -> None:
    """A server is worked on over SSH."""
    absent(packages, evidence, "gdm3 lightdm sddm xserver-xorg-core xserver-common xwayland")


@control("services_no_unwanted", sabotage="fake_package nmap", says="installed: nmap")
def test_no_unwanted_packages(packages: set[str], public: Public, evidence: Evidence) -> None:
    """What the court doesn't want to lie about."""
    absent(packages, evidence, " ".join(public("services_unwanted_packages")))


@control(
    "services_packages_whole",
    sabotage="fake_package unfinished --unpack",
    says="not whole: unfinished",
)
def test_packages_are_whole(ask: Ask, evidence: Evidence) -> None:
    """No package was left half installed."""
    said = ask("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'")
    whole = {"installed", "config-files", "not-installed"}
    parts = [line.split() for line in said.splitlines()]
    broken_ones = sorted(name for name, status in parts if status not in whole)
    evidence.measured("packages", len(parts))
    assert not broken_ones, f"not whole: {', '.join(broken_ones)}"


@control(
    "services_cron_runs",
    sabotage="systemctl disable -q --now cron.service",
    says="cron.service is not active",
)
def test_cron_runs(ask: Ask, evidence: Evidence) -> None:
    """What Debian's packages do each night depends on it."""
    state = ask("systemctl show cron.service -p ActiveState -p UnitFileState --value").split()
    evidence.measured("unit", state)
    assert "active" in state, "cron.service is not active"
    assert "enabled" in state, "cron.service doesn't start with the machine"


@control(
    "services_cron_closed",
    sabotage="chmod 0755 /etc/cron.d && chmod 0644 /etc/crontab",
    says="open to others: /etc/cron.d",
)
def test_cron_files_are_closed(ask: Ask, evidence: Evidence) -> None:
    """Nobody but root sees or adds what root runs by the clock."""
    places = "/etc/crontab /etc/cron.d " + " ".join(
        f"/etc/cron.{often}" for often in ("hourly", "daily", "weekly", "monthly", "yearly")
    )
    said = ask(f"find {places} -maxdepth 0 -printf '%p %m %u %g\\n'", exits=(0, 1))
    evidence.measured("places", said.splitlines())
    there = [line.split() for line in said.splitlines()]
    wide = [p for p, mode, *who in there if int(mode, 8) & 0o77 or who != ["root", "root"]]
    assert there, "none of cron's files is there"
    assert not wide, f"open to others: {', '.join(sorted(wide))}"


@control(
    "services_cron_restricted",
    sabotage="echo nobody >>/etc/cron.allow",
    says="nobody may use crontab",
)
def test_cron_is_for_root(host: Any, evidence: Evidence) -> None:
    """Really tried: as an account that isn't listed, and as root."""
    tried = host.run("runuser -u nobody -- crontab -l")
    evidence.measured("as_nobody", tried.stderr.strip())
    if "not found" in tried.stderr:
        broken("there is no crontab")
    assert "not allowed" in tried.stderr, "nobody may use crontab"
    root = host.run("crontab -l")
    assert "not allowed" not in root.stderr, "root may not use crontab"


@control("services_no_at", sabotage="fake_package at", says="installed: at")
def test_nobody_uses_at(packages: set[str], host: Any, evidence: Evidence) -> None:
    """It isn't there at all: what runs later, runs by cron or systemd, where it is seen."""
    absent(packages, evidence, "at")
    assert host.run("command -v at").rc, "there is a program called at"


def banner(text: str, evidence: Evidence, ask: Ask) -> None:
    """It warns, names the law, and says nothing of the system."""
    evidence.measured("shown", text.strip()[:400])
    told = [word for word in ("Debian", "GNU", ask("uname -r").strip()) if word in text]
    assert not told, f"it names the system: {', '.join(told)}"
    assert LAW in text, "the warning is not shown"


def written_by_root(ask: Ask, path: str) -> None:
    mode, owner, group = ask(f"stat -c '%a %U %G' {path}").split()
    assert not int(mode, 8) & 0o133, f"{path} has mode {mode}"
    assert (owner, group) == ("root", "root"), f"{path} belongs to {owner}:{group}"


@control(
    "services_banner_console",
    sabotage="echo 'Debian GNU/Linux \\n \\l' >/etc/issue",
    says="it names the system: Debian",
)
def test_banner_at_the_console(ask: Ask, evidence: Evidence) -> None:
    """What the log-in prompt really prints."""
    banner(ask("script -qec 'agetty --show-issue' /dev/null"), evidence, ask)
    written_by_root(ask, "/etc/issue")


@control(
    "services_banner_network",
    sabotage="chmod 0664 /etc/issue.net",
    says="/etc/issue.net has mode 664",
)
def test_banner_over_the_network(ask: Ask, evidence: Evidence) -> None:
    """What services print that read issue.net; SSH has its own control."""
    banner(ask("cat /etc/issue.net"), evidence, ask)
    written_by_root(ask, "/etc/issue.net")


@control(
    "services_banner_session",
    sabotage="chmod 0755 /etc/update-motd.d/10-uname",
    says="it names the system",
)
def test_banner_after_login(ask: Ask, evidence: Evidence) -> None:
    """What PAM prints after a log-in: the scripts' words, and motd."""
    banner(ask("run-parts --lsbsysinit /etc/update-motd.d && cat /etc/motd"), evidence, ask)
    written_by_root(ask, "/etc/motd")
