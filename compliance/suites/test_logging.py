"""The log: what the running journald, the senders and the log server's gate do."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

RIVALS = ["rsyslog", "syslog-ng", "inetutils-syslogd", "busybox-syslogd"]
RECEIVERS = [
    f"systemd-journal-{what}.{kind}"
    for what in ("remote", "gatewayd")
    for kind in ("socket", "service")
]
UNITS = {"M": 2**20, "G": 2**30, "T": 2**40}
USAGE = "ec387f577b844b8fa948f33cad9a75e6"  # journald's own word on its bounds, each time it starts
STATE = "/var/lib/private/systemd/journal-upload/state"
FOLDER = "/etc/tameng/log"
PORT = 19532
# Written by a group or open to others; but for what login programs share, and what apt opens anew
# each time: which packages came when is no secret, dpkg tells everybody.
WIDE = (
    "find /var/log -xdev -type f -perm /0037 ! -path '/var/log/journal/*'"
    " ! -path '/var/log/apt/*' ! -name 'wtmp*' ! -name 'btmp*' ! -name 'lastlog*'"
)
Public = Callable[[str], Any]


def size(said: str) -> int:
    """``512M`` in bytes."""
    return int(said[:-1]) * UNITS[said[-1]]


@pytest.fixture
def journal_file(ask: Ask) -> str:
    """The file that the running journald writes the system's log into; empty without one."""
    return ask(
        "find /proc/$(systemctl show -p MainPID --value systemd-journald.service)/fd"
        " -lname '*/system.journal' -exec readlink {} + 2>/dev/null || true"
    ).strip()


@pytest.fixture
def journald(ask: Ask) -> dict[str, str]:
    """journald's settings after all files that it reads; the last word counts."""
    text = ask("systemd-analyze cat-config systemd/journald.conf")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


@pytest.fixture
def sender(ask: Ask, public: Public, target: Any) -> None:
    """For what only a host does that sends its log elsewhere."""
    if not public("logging_server"):
        if "log_servers" not in target.groups:
            broken("the inventory names no log server for this host (logging_server)")
        listening = ask(f"ss -Hltn 'sport = :{PORT}'").splitlines()
        not_applicable(f"it is the log server itself ({len(listening)} sockets on port {PORT})")


@control(
    "logging_journal_running",
    sabotage="systemctl stop systemd-journald-dev-log.socket systemd-journald.socket"
    " systemd-journald.service",
    says="systemd-journald.service is inactive",
    also=("logging_persistent", "logging_compressed", "logging_nothing_waits"),
)
def test_journald_runs(ask: Ask, evidence: Evidence) -> None:
    """It runs, and something was written lately (this very log-in, at the least)."""
    state = ask("systemctl is-active systemd-journald.service", exits=(0, 3, 4)).strip()
    evidence.measured("unit", state)
    assert state == "active", f"systemd-journald.service is {state}"
    newest, now = ask("journalctl -q -n 1 -o short-unix | cut -d' ' -f1; date +%s").split()
    age = float(now) - float(newest)
    evidence.measured("newest_entry_seconds", round(age))
    assert age < 900, f"nothing was written for {age:.0f} s"


@control(
    "logging_persistent",
    sabotage="outbid journald.conf.d systemd-journald.service '[Journal]' Storage=volatile",
    says="/run/log/journal",
)
def test_journal_is_on_disk(journal_file: str, evidence: Evidence) -> None:
    """The file that journald holds open lies on the disk."""
    evidence.measured("file", journal_file)
    assert journal_file.startswith("/var/log/journal/"), (
        f"journald writes to {journal_file or 'no file'}"
    )


@control(
    "logging_compressed",
    sabotage="outbid journald.conf.d systemd-journald.service '[Journal]' Compress=no"
    " && journalctl --rotate",
    says="isn't compressed",
)
def test_journal_is_compressed(ask: Ask, journal_file: str, evidence: Evidence) -> None:
    """The header of the open file says how its entries are kept."""
    assert journal_file, "journald has no file open"
    header = ask("journalctl --header --file=%s", journal_file)
    flags = re.search(r"^Incompatible flags:(.*)$", header, re.MULTILINE)
    if not flags:
        broken(f"the header of {journal_file} names no flags")
    evidence.measured("flags", flags[1].split())
    assert "COMPRESSED" in flags[1], f"{journal_file} isn't compressed"


@control(
    "logging_bounded",
    sabotage="outbid journald.conf.d systemd-journald.service '[Journal]' SystemMaxUse=3G",
    says="the journal may take 3072 MiB",
)
def test_journal_is_bounded(
    ask: Ask, journald: dict[str, str], public: Public, evidence: Evidence
) -> None:
    """The bound that the running daemon told when it started; its settings, where that entry was
    dropped since."""
    told = ask(
        f"journalctl -q -b -n 1 -o json --output-fields=MAX_USE,JOURNAL_NAME MESSAGE_ID={USAGE}"
        " _PID=$(systemctl show -p MainPID --value systemd-journald.service)"
        " JOURNAL_PATH=/var/log/journal/$(cat /etc/machine-id)",
        exits=(0, 1),
    )
    declared = size(public("logging_max_use"))
    bound = int(json.loads(told)["MAX_USE"]) if told else size(journald.get("SystemMaxUse", "0M"))
    kept = journald.get("MaxRetentionSec", "for ever")
    used = int(ask("du -s --block-size=1 /var/log/journal/$(cat /etc/machine-id)").split()[0])
    evidence.measured("bound_bytes", bound)
    evidence.measured("used_bytes", used)
    evidence.measured("retention", kept)
    assert bound == declared, (
        f"the journal may take {bound >> 20} MiB, the inventory says {declared >> 20} MiB"
    )
    assert used <= declared * 1.1, f"the journal takes {used >> 20} MiB of {declared >> 20} MiB"
    assert kept == f"{public('logging_retention_days')}day", f"entries are kept {kept}"


@control(
    "logging_no_syslog_copy",
    sabotage="outbid journald.conf.d systemd-journald.service '[Journal]' ForwardToSyslog=yes",
    says="ForwardToSyslog is yes",
)
def test_nothing_is_forwarded_to_syslog(journald: dict[str, str], evidence: Evidence) -> None:
    """Debian's own default is yes, for a daemon that we don't run."""
    forward = journald.get("ForwardToSyslog", "yes")
    evidence.measured("forward_to_syslog", forward)
    assert forward == "no", f"ForwardToSyslog is {forward}"


@control("logging_single_daemon", sabotage="stand_in rsyslog.service", says="rsyslog runs")
def test_one_logger_only(ask: Ask, evidence: Evidence) -> None:
    """No other logger runs."""
    states = ask(f"systemctl is-active {' '.join(RIVALS)}", exits=(0, 3, 4)).split()
    evidence.measured("rivals", dict(zip(RIVALS, states, strict=True)))
    running = [name for name, state in zip(RIVALS, states, strict=True) if state == "active"]
    assert not running, f"{', '.join(running)} runs beside journald"


@control(
    "logging_files_private",
    sabotage="touch /var/log/cases.log && chmod 0666 /var/log/cases.log",
    says="/var/log/cases.log",
    also=("files_world_writable",),
)
def test_log_files_are_private(ask: Ask, evidence: Evidence) -> None:
    """No file below /var/log is open to others or written by a group, and none of the journal's is
    open to others."""
    wide = ask(f"{WIDE}; find /var/log/journal -type f -perm /0007").splitlines()
    evidence.measured("open_to_others", wide)
    assert not wide, f"open to others: {', '.join(wide)}"


@control(
    "logging_forwarded",
    sabotage="systemctl disable -q --now systemd-journal-upload.service",
    says="systemd-journal-upload.service is inactive",
)
@pytest.mark.usefixtures("sender")
def test_log_is_forwarded(ask: Ask, public: Public, evidence: Evidence) -> None:
    """The sender runs, or tries again as the log server is away; it starts with the machine, and
    sends to the declared log server."""
    show = "systemctl show systemd-journal-upload.service -p ActiveState -p UnitFileState --value"
    active, enabled = ask(show).split()
    text = ask("systemd-analyze cat-config systemd/journal-upload.conf")
    urls = re.findall(r"^URL=(.*)$", text, re.MULTILINE) or [""]
    evidence.measured("unit", [active, enabled])
    evidence.measured("url", urls[-1])
    assert active in ("active", "activating"), f"systemd-journal-upload.service is {active}"
    assert enabled == "enabled", "systemd-journal-upload.service doesn't start with the machine"
    declared = f"https://{public('logging_server')}:{PORT}"
    assert urls[-1] == declared, f"the log goes to {urls[-1]}, declared is {declared}"


@control(
    "logging_nothing_waits",
    sabotage="strand_log",
    says="waits since",
    also=("logging_forwarded",),
)
@pytest.mark.usefixtures("sender")
def test_nothing_waits(ask: Ask, evidence: Evidence) -> None:
    """What is older than three minutes is behind the cursor that the sender keeps. A sender that
    was just started is given fifteen seconds."""
    cursor = ask(f"sed -n 's/^LAST_CURSOR=//p' {STATE} 2>/dev/null || true").strip()
    assert cursor, "nothing was ever sent"
    waits = f"journalctl -q --after-cursor={shlex.quote(cursor)} --until=-3min -n 1 -o short-unix"
    waiting = ask(f"{waits} | cut -d' ' -f1").strip()
    if waiting:
        again = waits.replace(shlex.quote(cursor), f'"$(sed -n s/^LAST_CURSOR=//p {STATE})"')
        waiting = ask(
            f"for n in 1 2 3 4 5; do sleep 3; w=$({again} | cut -d' ' -f1); [ -n \"$w\" ] || break;"
            ' done; echo "$w"'
        ).strip()
    evidence.measured("waits_since", waiting)
    since = dt.datetime.fromtimestamp(float(waiting or 0), dt.UTC)
    assert not waiting, f"an entry waits since {since:%Y-%m-%d %H:%M} UTC"


@control(
    "logging_server_genuine",
    sabotage=f"self_signed {FOLDER}/authority.crt {FOLDER}/host.key Tameng 3650",
    says="the log server doesn't prove itself",
    also=("logging_certificate_valid",),
)
def test_log_server_proves_itself(ask: Ask, public: Public, evidence: Evidence) -> None:
    """A handshake with it, trusting the court's own authority alone."""
    server = public("logging_server") or public("ansible_host")
    kind = "ip" if re.fullmatch(r"[\d.]+", server) else "hostname"
    said = ask(
        f"timeout 10 openssl s_client -brief -connect {server}:{PORT} -verify_{kind} {server}"
        f" -CAfile {FOLDER}/authority.crt -verify_return_error </dev/null 2>&1",
        exits=(0, 1, 124),
    )
    protocol = re.search(r"^Protocol version: (\S+)$", said, re.MULTILINE)
    reason = re.search(r"error:num=\d+:(.*)|(Connection refused|timed out)", said)
    evidence.measured("protocol", protocol[1] if protocol else None)
    why = reason[0].rpartition(":")[2] if reason else "no handshake"
    assert "Verification: OK" in said, f"the log server doesn't prove itself: {why}"
    assert protocol, "the handshake names no protocol"
    assert protocol[1] == "TLSv1.3", f"the log server speaks {protocol[1]}"


@control(
    "logging_certificate_valid",
    sabotage=f"self_signed {FOLDER}/host.crt {FOLDER}/host.key $(hostname) 365",
    says="not signed by the court's own authority",
)
def test_own_certificate_is_valid(ask: Ask, target: Any, evidence: Evidence) -> None:
    """Signed by the authority, for this host's name and key, and good for thirty days more."""
    facts = ask(
        f"cd {FOLDER} || exit; openssl x509 -in host.crt -noout -enddate -subject;"
        " openssl verify -CAfile authority.crt host.crt >/dev/null 2>&1 && echo signed;"
        ' [ "$(openssl x509 -in host.crt -noout -pubkey)" ='
        ' "$(openssl pkey -in host.key -pubout)" ] && echo fits; true'
    ).splitlines()
    ends = next((line.partition("=")[2] for line in facts if line.startswith("notAfter")), "")
    if not ends:
        broken("the host has no log certificate")
    left = dt.datetime.strptime(ends, "%b %d %H:%M:%S %Y %Z").replace(
        tzinfo=dt.UTC
    ) - dt.datetime.now(dt.UTC)
    evidence.measured("days_left", left.days)
    evidence.measured("facts", facts)
    assert "signed" in facts, "the certificate is not signed by the court's own authority"
    assert f"subject=CN = {target.name}" in facts or f"subject=CN={target.name}" in facts, (
        f"the certificate is another host's: {facts[1]}"
    )
    assert "fits" in facts, "the certificate doesn't belong to the host's key"
    assert left.days >= 30, f"the certificate ends in {left.days} days"


@control(
    "logging_key_private",
    sabotage=f"chmod 0644 {FOLDER}/host.key",
    says="anybody may read the key",
)
def test_key_is_private(host: Any, ask: Ask, evidence: Evidence) -> None:
    """Somebody without rights tries to read it."""
    mode = ask(f"stat -c '%a %U:%G' {FOLDER}/host.key").strip()
    tried = host.run(
        f"setpriv --reuid=65534 --regid=65534 --clear-groups head -c 1 {FOLDER}/host.key"
    )
    evidence.measured("mode", mode)
    assert tried.rc != 0, f"anybody may read the key ({mode})"
    assert mode == "600 root:root", f"the key's mode is {mode}"


@control(
    "logging_receives_nothing",
    sabotage="systemctl unmask -q systemd-journal-gatewayd.socket systemd-journal-gatewayd.service"
    " && systemctl start systemd-journal-gatewayd.socket",
    says="systemd-journal-gatewayd.socket is active",
)
def test_no_open_receiver(ask: Ask, evidence: Evidence) -> None:
    """Neither systemd's receiver nor its server runs."""
    states = ask(f"systemctl is-active {' '.join(RECEIVERS)}", exits=(0, 3, 4)).split()
    evidence.measured("units", dict(zip(RECEIVERS, states, strict=True)))
    running = [name for name, state in zip(RECEIVERS, states, strict=True) if state == "active"]
    assert not running, f"{', '.join(running)} is active"


@control("logging_strangers_refused", sabotage="open_gate", says="a stranger's log is taken in")
def test_strangers_are_refused(ask: Ask, evidence: Evidence) -> None:
    """Somebody without a certificate offers an empty log; the gate must not let it pass."""
    answer = ask(
        "printf 'POST /upload HTTP/1.1\\r\\nHost: log\\r\\nContent-Length: 0\\r\\n"
        "Connection: close\\r\\n\\r\\n' | timeout 10 openssl s_client -quiet"
        f" -connect 127.0.0.1:{PORT} 2>/dev/null | head -n 1",
    ).strip()
    if not answer.startswith("HTTP/1.1 "):
        broken(f"the gate doesn't answer: {answer!r}")
    evidence.measured("answer", answer)
    assert answer.split()[1] in ("400", "403"), f"a stranger's log is taken in: {answer}"


@control("logging_hosts_heard", sabotage="silence_host", says="nothing ever came from")
def test_every_host_is_heard(ask: Ask, public: Public, evidence: Evidence) -> None:
    """What is always on wrote within the last hour; a PC may be switched off over holidays. Who
    just got its way in back is given fifteen seconds."""
    clients = public("log_server_clients")
    allowed = {name: 1 if name in public("log_server_always_on") else 96 for name in clients}
    last = f"for h in {' '.join(map(shlex.quote, clients))}; do" + (
        " f=/var/log/journal/remote/$h.journal;"
        ' echo "$h $(journalctl -q -n 1 -o short-unix --file=$f 2>/dev/null | cut -d" " -f1)"; done'
    )
    heard = _heard(ask(f"date +%s; {last}"))
    if set(heard) != set(clients):
        heard = _heard(ask(f"sleep 15; date +%s; {last}"))
    evidence.measured("hours_ago", {name: round(hours, 2) for name, hours in heard.items()})
    never = [name for name in clients if name not in heard]
    assert not never, f"nothing ever came from {', '.join(never)}"
    silent = [f"{name} ({heard[name]:.0f} h)" for name in clients if heard[name] > allowed[name]]
    assert not silent, f"silent: {', '.join(silent)}"


def _heard(said: str) -> dict[str, float]:
    """Hours since each host's last entry, of those that wrote any."""
    now, *lines = said.splitlines()
    pairs = (line.split() for line in lines)
    return {pair[0]: (float(now) - float(pair[1])) / 3600 for pair in pairs if len(pair) == 2}


@control(
    "logging_ways_in_declared",
    sabotage="systemctl enable -q --now tameng-log@visitor.socket",
    says="visitor",
)
def test_only_declared_hosts_have_a_way_in(ask: Ask, public: Public, evidence: Evidence) -> None:
    """The sockets behind the gate are those of the inventory's hosts."""
    shown = ask("systemctl list-units --plain --no-legend --state=active 'tameng-log@*.socket'")
    names = {line.split()[0].removeprefix("tameng-log@")[:-7] for line in shown.splitlines()}
    declared = set(public("log_server_clients"))
    evidence.measured("ways_in", sorted(names))
    assert names == declared, (
        f"not declared: {sorted(names - declared)}, without a way in: {sorted(declared - names)}"
    )


@control(
    "logging_server_bounded",
    sabotage="systemctl disable -q --now tameng-log-bounds.timer",
    says="tameng-log-bounds.timer is inactive",
)
def test_log_server_is_bounded(ask: Ask, public: Public, evidence: Evidence) -> None:
    """The bound is applied each hour, is the declared one, and holds."""
    timer = ask("systemctl is-active tameng-log-bounds.timer", exits=(0, 3, 4)).strip()
    applied = ask("systemctl show -p ExecStart --value tameng-log-bounds.service")
    used = int(ask("du -s --block-size=1 /var/log/journal/remote").split()[0])
    declared, days = public("log_server_max_use"), public("log_server_retention_days")
    evidence.measured("used_bytes", used)
    assert timer == "active", f"tameng-log-bounds.timer is {timer}"
    for word in (f"--vacuum-size={declared}", f"--vacuum-time={days}d"):
        assert word in applied.split(), f"the hourly run lacks {word}"
    assert used <= size(declared) * 1.1, f"the logs take {used >> 20} MiB of {declared}"


@control(
    "logging_gate_unprivileged",
    sabotage="outbid system/tameng-log-gate.service.d tameng-log-gate.service"
    " '[Service]' User=www-data",
    says="www-data",
)
def test_gate_is_unprivileged(ask: Ask, evidence: Evidence) -> None:
    """The processes that strangers talk to belong to a user that owns nothing else."""
    group = "/sys/fs/cgroup$(systemctl show -p ControlGroup --value tameng-log-gate.service)"
    users = set(ask(f"ps -o user:32= -p $(paste -sd, {group}/cgroup.procs)", exits=(0, 1)).split())
    evidence.measured("users", sorted(users))
    assert users == {"tameng-log"}, f"the gate runs as {', '.join(sorted(users)) or 'nobody'}"
