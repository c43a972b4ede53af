"""The SSH server, judged by what sshd makes of its files and by what the running one offers."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
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
HOST_KEYS = {"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"}
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


@control(
    "ssh_no_exceptions",
    sabotage="except_sshd 'Address 127.0.0.1' PasswordAuthentication yes",
    says="passwordauthentication yes",
    also=("ssh_keys_only",),  # the handshake comes from there
)
def test_nobody_is_an_exception(ask: Ask, public: Callable[[str], Any], evidence: Evidence) -> None:
    """sshd is asked for root, the operator and anybody, from here, the operator's place and
    elsewhere: a Match block of somebody else's would show."""
    near = str(ip_network(public("operator_sources")[0])[1])
    users = ("root", str(public("ansible_user")), "nobody")
    places = ("192.0.2.1", "127.0.0.1", near)
    text = ask(
        f'for u in {" ".join(users)}; do for a in {" ".join(places)}; do echo "= $u from $a";'
        " sshd -T -C user=$u,host=example.invalid,addr=$a; done; done"
    )
    cases: dict[str, set[str]] = {}
    for block in text.split("= ")[1:]:
        case, _, lines = block.partition("\n")
        cases[case] = set(lines.splitlines())
    usual = cases[f"nobody from {places[0]}"]
    odd = {case: sorted(lines - usual) for case, lines in cases.items() if lines - usual}
    evidence.measured("cases", list(cases))
    evidence.measured("exceptions", odd)
    assert not odd, "; ".join(f"{case}: {', '.join(lines)}" for case, lines in odd.items())


@control("ssh_no_gssapi", sabotage="set_sshd GSSAPIAuthentication yes", says="GSSAPI")
def test_no_gssapi(sshd: dict[str, str], evidence: Evidence) -> None:
    """Nobody here has a Kerberos ticket; the code that would read one is not reached."""
    found = {key: sshd.get(key, "no") for key in ("gssapiauthentication", "kerberosauthentication")}
    evidence.measured("settings", found)
    assert set(found.values()) == {"no"}, f"GSSAPI or Kerberos is on: {found}"


@control(
    "ssh_no_trusted_hosts",
    sabotage="set_sshd HostbasedAuthentication yes",
    says="hostbasedauthentication is yes",
)
def test_no_host_is_trusted(sshd: dict[str, str], evidence: Evidence) -> None:
    """Who comes from a known machine is still somebody to be asked."""
    wanted = {"hostbasedauthentication": "no", "ignorerhosts": "yes"}
    found = {key: sshd[key] for key in wanted}
    evidence.measured("settings", found)
    wrong = [f"{key} is {found[key]}" for key in wanted if found[key] != wanted[key]]
    assert not wrong, ", ".join(wrong)


@control("ssh_sessions_limited", sabotage="set_sshd MaxSessions 100", says="MaxSessions is 100")
def test_sessions_are_limited(sshd: dict[str, str], evidence: Evidence) -> None:
    """At most 10 sessions over one connection (CIS)."""
    evidence.measured("maxsessions", int(sshd["maxsessions"]))
    assert int(sshd["maxsessions"]) <= 10, f"MaxSessions is {sshd['maxsessions']}"


@control(
    "ssh_no_user_environment",
    sabotage="set_sshd PermitUserEnvironment yes",
    says="PermitUserEnvironment is yes",
)
def test_users_bring_no_environment(sshd: dict[str, str], evidence: Evidence) -> None:
    """A variable such as LD_PRELOAD gets around whatever the shell is limited to."""
    evidence.measured("permituserenvironment", sshd["permituserenvironment"])
    given = sshd["permituserenvironment"]
    assert given == "no", f"PermitUserEnvironment is {given}"


@control(
    "ssh_uses_pam",
    # Without PAM sshd itself refuses a locked account, as the operator's is: '*' is none.
    sabotage="usermod -p '*' tameng; set_sshd UsePAM no",
    says="UsePAM is no",
)
def test_pam_is_asked(sshd: dict[str, str], evidence: Evidence) -> None:
    """Without PAM an expired account comes in, and umask and limits don't hold."""
    evidence.measured("usepam", sshd["usepam"])
    assert sshd["usepam"] == "yes", f"UsePAM is {sshd['usepam']}"


@control("ssh_strict_modes", sabotage="set_sshd StrictModes no", says="StrictModes is no")
def test_keys_that_others_can_write_are_refused(sshd: dict[str, str], evidence: Evidence) -> None:
    """Who can write another's list of keys could come in as him."""
    evidence.measured("strictmodes", sshd["strictmodes"])
    assert sshd["strictmodes"] == "yes", f"StrictModes is {sshd['strictmodes']}"


@control(
    "ssh_keys_from_one_place",
    sabotage="set_sshd AuthorizedKeysFile '.ssh/authorized_keys /srv/keys'",
    says="/srv/keys",
)
def test_keys_come_from_one_place(sshd: dict[str, str], evidence: Evidence) -> None:
    """From the user's own file; no second file and no program brings others."""
    places = sshd["authorizedkeysfile"].split()
    places += [
        v for k in ("authorizedkeyscommand", "trustedusercakeys") if (v := sshd[k]) != "none"
    ]
    evidence.measured("places", places)
    assert places == [".ssh/authorized_keys"], f"keys are taken from {', '.join(places)}"


@control("ssh_short_keys_refused", sabotage="set_sshd RequiredRSASize 1024", says="1024 bits")
def test_short_keys_are_refused(sshd: dict[str, str], evidence: Evidence) -> None:
    """A user's RSA key has at least 3072 bits, as the host's own."""
    bits = int(sshd["requiredrsasize"])
    evidence.measured("bits", bits)
    assert bits >= 3072, f"an RSA key of {bits} bits is taken"


@control(
    "ssh_host_keys_strong",
    sabotage="set_sshd HostKeyAlgorithms ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
    says="ssh-rsa",
)
def test_host_keys(ssh_offer: dict[str, Any], evidence: Evidence) -> None:
    """What the running daemon signs with: no SHA-1, no NIST curve."""
    evidence.measured("host_keys", ssh_offer["host_keys"])
    weak = sorted(set(ssh_offer["host_keys"]) - HOST_KEYS)
    assert not weak, f"sshd offers weak host keys: {', '.join(weak)}"


@control(
    "ssh_settings_private", sabotage="chmod 0644 /etc/ssh/sshd_config", says="sshd_config (644"
)
def test_settings_are_root_s(ask: Ask, evidence: Evidence) -> None:
    """What sshd reads tells who may come in; only root reads and writes it."""
    lines = ask(
        "stat -c '%a:%U:%G %n' /etc/ssh/sshd_config $(find /etc/ssh/sshd_config.d -name '*.conf')"
    ).splitlines()
    modes = {name: mode for mode, _, name in (line.partition(" ") for line in lines)}
    evidence.measured("modes", modes)
    wrong = [f"{name} ({mode})" for name, mode in modes.items() if mode != "600:root:root"]
    assert not wrong, f"open: {', '.join(wrong)}"


@control(
    "ssh_public_keys_unwritable",
    sabotage="chmod 0666 /etc/ssh/ssh_host_ed25519_key.pub",
    says="ssh_host_ed25519_key.pub (666",
    also=("files_settings_closed", "files_world_writable"),
)
def test_public_host_keys_are_root_s(ask: Ask, evidence: Evidence) -> None:
    """What is handed to others as our key must be our key."""
    lines = ask("stat -c '%a:%U:%G %n' /etc/ssh/ssh_host_*_key.pub").splitlines()
    modes = {name: mode for mode, _, name in (line.partition(" ") for line in lines)}
    evidence.measured("modes", modes)
    wrong = [f"{name} ({mode})" for name, mode in modes.items() if mode != "644:root:root"]
    assert not wrong, f"open: {', '.join(wrong)}"
