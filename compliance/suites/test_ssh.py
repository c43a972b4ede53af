"""The SSH server, judged by what sshd makes of its files and by what the running one offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.suite import Ask, Evidence, control

# Algorithms without a known weakness in OpenSSH 9.2 (Debian 12) and 10.0 (Debian 13).
CIPHERS = {
    "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com",
    "aes256-ctr", "aes192-ctr", "aes128-ctr",
}  # fmt: skip
MACS = {"hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com"}
POST_QUANTUM = {
    "mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com",
}  # fmt: skip
KEX = POST_QUANTUM | {
    "curve25519-sha256", "curve25519-sha256@libssh.org",
    "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha256",
}  # fmt: skip
# What a server adds to the list to announce protocol extensions; no key exchange.
MARKERS = {"kex-strict-s-v00@openssh.com", "ext-info-s"}


@control(
    "ssh_no_empty_passwords",
    sabotage="set_sshd PermitEmptyPasswords yes",
    says="PermitEmptyPasswords is yes",
)
def test_empty_passwords_are_refused(sshd: dict[str, str], evidence: Evidence) -> None:
    """An account with a blank password must not be a way in."""
    evidence.measured("permitemptypasswords", sshd["permitemptypasswords"])
    assert sshd["permitemptypasswords"] == "no", "PermitEmptyPasswords is yes"


@control(
    "ssh_keys_only",
    sabotage="set_sshd AuthenticationMethods any PasswordAuthentication yes",
    says="password",
)
def test_only_keys_are_offered(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """The running daemon must not even offer to take a password."""
    evidence.measured("methods", ssh_offer["methods"])
    assert ssh_offer["methods"] == ["publickey"], f"sshd offers {', '.join(ssh_offer['methods'])}"


@control(
    "ssh_no_root_login", sabotage="precede_sshd PermitRootLogin yes", says="PermitRootLogin is yes"
)
def test_root_is_refused(sshd: dict[str, str], evidence: Evidence) -> None:
    """Root's own log-in hides who it was."""
    evidence.measured("permitrootlogin", sshd["permitrootlogin"])
    assert sshd["permitrootlogin"] == "no", f"PermitRootLogin is {sshd['permitrootlogin']}"


@control(
    "ssh_groups_as_declared", sabotage="set_sshd AllowGroups 'ssh-users users'", says="'users'"
)
def test_only_declared_groups(
    sshd: dict[str, str], public: Callable[[str], Any], evidence: Evidence
) -> None:
    """Only the groups that the inventory names may log in."""
    allowed = sshd.get("allowgroups", "").split()
    evidence.measured("allowgroups", allowed)
    declared = public("ssh_server_allow_groups")
    assert sorted(allowed) == sorted(declared), f"AllowGroups is {allowed}, declared {declared}"


@control("ssh_few_tries", sabotage="set_sshd MaxAuthTries 20", says="MaxAuthTries is 20")
def test_few_tries(sshd: dict[str, str], evidence: Evidence) -> None:
    """At most 4 tries a connection (CIS)."""
    evidence.measured("maxauthtries", int(sshd["maxauthtries"]))
    assert int(sshd["maxauthtries"]) <= 4, f"MaxAuthTries is {sshd['maxauthtries']}"


@control("ssh_short_grace", sabotage="set_sshd LoginGraceTime 600", says="LoginGraceTime is 600 s")
def test_short_grace(sshd: dict[str, str], evidence: Evidence) -> None:
    """Between 1 and 60 seconds to log in (CIS); 0 would mean for ever."""
    seconds = int(sshd["logingracetime"])
    evidence.measured("logingracetime", seconds)
    assert 1 <= seconds <= 60, f"LoginGraceTime is {seconds} s"


@control("ssh_starts_limited", sabotage="set_sshd MaxStartups 500", says="MaxStartups is 500")
def test_unfinished_logins_are_limited(sshd: dict[str, str], evidence: Evidence) -> None:
    """At most 10:30:60 connections that have not logged in (CIS)."""
    start, rate, full = (int(n) for n in sshd["maxstartups"].split(":"))
    evidence.measured("maxstartups", sshd["maxstartups"])
    within = start <= 10 and rate >= 30 and full <= 60
    assert within, f"MaxStartups is {sshd['maxstartups']}"


@control("ssh_ciphers_strong", sabotage="set_sshd Ciphers +aes256-cbc", says="aes256-cbc")
def test_ciphers(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """What the running daemon offers, not what a file says."""
    evidence.measured("ciphers", ssh_offer["ciphers"])
    weak = sorted(set(ssh_offer["ciphers"]) - CIPHERS)
    assert not weak, f"sshd offers weak ciphers: {', '.join(weak)}"


@control("ssh_macs_strong", sabotage="set_sshd MACs +hmac-sha1", says="hmac-sha1")
def test_macs(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """What the running daemon offers, not what a file says."""
    evidence.measured("macs", ssh_offer["macs"])
    weak = sorted(set(ssh_offer["macs"]) - MACS)
    assert not weak, f"sshd offers weak MACs: {', '.join(weak)}"


@control(
    "ssh_key_exchange_strong",
    sabotage="set_sshd KexAlgorithms +diffie-hellman-group14-sha1",
    says="diffie-hellman-group14-sha1",
)
def test_key_exchange(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """No weak method, and at least one that withstands a quantum computer."""
    offered = set(ssh_offer["kex"]) - MARKERS
    evidence.measured("kex", sorted(offered))
    weak = sorted(offered - KEX)
    assert not weak, f"sshd offers weak key exchanges: {', '.join(weak)}"
    assert offered & POST_QUANTUM, "sshd offers no post-quantum key exchange"


@control("ssh_silent_dropped", sabotage="set_sshd ClientAliveInterval 0", says="after 0 s")
def test_silent_sessions_are_dropped(sshd: dict[str, str], evidence: Evidence) -> None:
    """Interval times count is the longest silence; 0 of either never drops."""
    longest = int(sshd["clientaliveinterval"]) * int(sshd["clientalivecountmax"])
    evidence.measured("longest_silence_seconds", longest)
    assert 0 < longest <= 900, f"a silent session is dropped after {longest} s (0 is never)"


@control(
    "ssh_no_forwarding",
    sabotage="set_sshd DisableForwarding no AllowTcpForwarding yes",
    says="DisableForwarding is no",
)
def test_no_forwarding(sshd: dict[str, str], evidence: Evidence) -> None:
    """DisableForwarding overrules every other forwarding option."""
    evidence.measured("disableforwarding", sshd["disableforwarding"])
    assert sshd["disableforwarding"] == "yes", "DisableForwarding is no"


@control("ssh_warning_shown", sabotage="set_sshd Banner none", says="no warning is shown")
def test_warning_is_shown(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """The client really gets a text, and it doesn't tell a stranger what runs here."""
    banner = ssh_offer["banner"]
    evidence.measured("banner", banner[:200])
    assert "berwenang" in banner, "no warning is shown before log-in"
    told = [word for word in ("Debian", "Linux", "OpenSSH") if word in banner]
    assert not told, f"the warning tells strangers about {', '.join(told)}"


@control("ssh_logins_recorded", sabotage="set_sshd LogLevel ERROR", says="LogLevel is ERROR")
def test_logins_are_recorded(sshd: dict[str, str], evidence: Evidence) -> None:
    """VERBOSE is the level that records the key's fingerprint (sshd_config(5))."""
    evidence.measured("loglevel", sshd["loglevel"])
    assert sshd["loglevel"] == "VERBOSE", f"LogLevel is {sshd['loglevel']}"


@control(
    "ssh_host_keys_private",
    sabotage="chmod 0644 /etc/ssh/ssh_host_ed25519_key",
    says="ssh_host_ed25519_key (644",
)
def test_host_keys_are_private(sshd: dict[str, str], ask: Ask, evidence: Evidence) -> None:
    """Every key that sshd says it uses."""
    keys = sshd["hostkey"].split()
    lines = ask("stat -c '%a:%U:%G %n' -- " + " ".join(keys)).splitlines()
    modes = {name: mode for mode, _, name in (line.partition(" ") for line in lines)}
    evidence.measured("modes", modes)
    open_keys = [f"{key} ({mode})" for key, mode in modes.items() if mode != "600:root:root"]
    assert not open_keys, f"readable by others: {', '.join(open_keys)}"
