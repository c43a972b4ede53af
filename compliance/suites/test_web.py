"""The web server, judged by what it answers to a browser and to OpenSSL on its own machine."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

Public = Callable[[str], Any]
Browse = Callable[..., dict[str, dict[str, Any]]]
Handshake = Callable[[str], str]
FOLDER = "/etc/tameng/web"
OLD = ["tls1", "tls1_1"]
NEW = ["tls1_2", "tls1_3"]
HALF_A_YEAR = 182 * 86400
DAYS_LEFT = 30
# Whatever encrypts without proving at the same time that nothing was changed, or without a key of
# the moment.
WEAK_CIPHERS = "ALL:!AESGCM:!AESCCM:!CHACHA20:!ARIAGCM:@SECLEVEL=0"
# A page, what isn't there, and what is refused.
ALL_KINDS = ["/", "/nothing-is-here.png", "/xmlrpc.php"]
FOLDERS = ["/wp-content/languages/", "/wp-content/uploads/", "/wp-includes/"]


@pytest.fixture
def handshake(ask: Ask, public: Public) -> Handshake:
    """What OpenSSL says of a handshake with these options."""

    def tried(options: str) -> str:
        said = ask(
            f"timeout 10 openssl s_client -brief -connect 127.0.0.1:443"
            f" -servername {public('web_server_name')} {options} </dev/null 2>&1",
            exits=(0, 1, 124),
        )
        if "no protocols available" in said or "no cipher match" in said:
            broken(f"this machine's OpenSSL can't ask: {options}")
        return said

    return tried


def found(pattern: str, said: str) -> str:
    """What OpenSSL's line of that name holds; empty without one."""
    line = re.search(rf"^{pattern}: (.*)$", said, re.MULTILINE)
    return line[1] if line else ""


@control(
    "web_tls_only",
    sabotage="set_site '/Redirect permanent/d'",
    says="without TLS it answers",
)
def test_without_tls_there_is_nothing(browse: Browse, public: Public, evidence: Evidence) -> None:
    """Port 80 only leads to the same place over TLS, whatever was asked for."""
    for path, told in browse("/", "/wp-login.php?x=1", tls=False).items():
        leads_to = told["headers"].get("location")
        evidence.measured(path, [told["status"], leads_to])
        assert told["status"] == 301, f"without TLS it answers {path} with {told['status']}"
        assert leads_to == f"https://{public('web_server_name')}{path}", f"it leads to {leads_to}"


@control("web_protocols", sabotage="old_protocols", says="it speaks TLSv1", also=("web_ciphers",))
def test_old_protocols_are_refused(handshake: Handshake, evidence: Evidence) -> None:
    """TLS 1.2 and 1.3 are spoken, and nothing older."""
    new = {name: found("Protocol version", handshake(f"-{name}")) for name in NEW}
    evidence.measured("new", new)
    assert all(new.values()), "it speaks neither TLS 1.2 nor 1.3, or one of them only"
    old = {
        name: found("Protocol version", handshake(f"-{name} -cipher ALL:@SECLEVEL=0"))
        for name in OLD
    }
    evidence.measured("old", old)
    spoken = [version for version in old.values() if version]
    assert not spoken, f"it speaks {', '.join(spoken)}"


@control(
    "web_ciphers",
    sabotage="set_site 's/SSLCipherSuite .*/SSLCipherSuite HIGH/'",
    says="it takes ECDHE-ECDSA",
)
def test_weak_ciphers_are_refused(handshake: Handshake, evidence: Evidence) -> None:
    """Offered is everything else than ciphers that encrypt and prove at once."""
    taken = found("Ciphersuite", handshake(f"-tls1_2 -cipher '{WEAK_CIPHERS}'"))
    usual = found("Ciphersuite", handshake("-tls1_2"))
    evidence.measured("usual", usual)
    evidence.measured("weak", taken)
    assert usual, "no handshake over TLS 1.2"
    assert not taken, f"it takes {taken}"


@control(
    "web_certificate_genuine",
    sabotage="foreign_certificate 365",
    says="doesn't prove itself",
)
def test_its_certificate_is_the_courts(
    handshake: Handshake, public: Public, evidence: Evidence
) -> None:
    """A handshake that trusts the court's own authority alone, for the website's name."""
    name = public("web_server_name")
    said = handshake(f"-verify_hostname {name} -CAfile {FOLDER}/authority.crt -verify_return_error")
    reason = re.search(r"error:num=\d+:(.*)|(Connection refused|timed out)", said)
    evidence.measured("verification", found("Verification", said))
    why = reason[0].rpartition(":")[2] if reason else "no handshake"
    assert "Verification: OK" in said, f"the website doesn't prove itself: {why}"


@control(
    "web_certificate_lasting",
    sabotage="foreign_certificate 5",
    says="ends in",
    also=("web_certificate_genuine",),
)
def test_its_certificate_lasts(ask: Ask, public: Public, evidence: Evidence) -> None:
    """The one that it shows, not the one on the disk, is good for thirty days more."""
    shown = ask(
        f"timeout 10 openssl s_client -connect 127.0.0.1:443 -servername"
        f" {public('web_server_name')} </dev/null 2>/dev/null | openssl x509 -noout -enddate",
    ).partition("=")[2]
    ends = dt.datetime.strptime(shown.strip(), "%b %d %H:%M:%S %Y %Z").replace(tzinfo=dt.UTC)
    left = ends - dt.datetime.now(dt.UTC)
    evidence.measured("days_left", left.days)
    assert left.days >= DAYS_LEFT, f"the website's certificate ends in {left.days} days"


@control(
    "web_key_private",
    sabotage=f"chmod 0644 {FOLDER}/host.key",
    says="may read the key",
)
def test_its_key_is_private(host: Any, ask: Ask, evidence: Evidence) -> None:
    """Somebody without rights tries to read it, and so do the web server's own programs."""
    mode = ask(f"stat -c '%a %U:%G' {FOLDER}/host.key").strip()
    evidence.measured("mode", mode)
    for who in ("nobody", "www-data"):
        tried = host.run(f"runuser -u {who} -- head -c 1 {FOLDER}/host.key")
        assert tried.rc != 0, f"{who} may read the key ({mode})"


@control(
    "web_headers",
    sabotage="set_site '/Strict-Transport-Security/d'",
    says="lacks Strict-Transport-Security",
)
def test_browsers_are_told_what_to_refuse(browse: Browse, evidence: Evidence) -> None:
    """On a page, on what isn't there, and on what is refused."""
    for path, told in browse(*ALL_KINDS).items():
        headers = told["headers"]
        age = re.search(r"max-age=(\d+)", headers.get("strict-transport-security", ""))
        good = {
            "Strict-Transport-Security": bool(age and int(age[1]) >= HALF_A_YEAR),
            "X-Content-Type-Options": headers.get("x-content-type-options") == "nosniff",
            "X-Frame-Options": headers.get("x-frame-options") in ("DENY", "SAMEORIGIN"),
            "Content-Security-Policy": "frame-ancestors"
            in headers.get("content-security-policy", ""),
            "Referrer-Policy": "referrer-policy" in headers,
        }
        evidence.measured(path, good)
        missing = [name for name, there in good.items() if not there]
        assert not missing, f"{path} lacks {', '.join(missing)}"


@control(
    "web_no_version",
    sabotage="set_site 's/^ServerTokens .*/ServerTokens Full/'",
    says="it calls itself Apache/2",
)
def test_it_gives_nothing_away(browse: Browse, evidence: Evidence) -> None:
    """Neither its version nor that of what runs in it; and it sends no request back."""
    for path, told in browse(*ALL_KINDS).items():
        headers = told["headers"]
        named, powered = headers.get("server", ""), headers.get("x-powered-by", "")
        evidence.measured(path, [named, powered])
        assert named in ("", "Apache"), f"it calls itself {named}"
        assert not powered, f"it says that it is powered by {powered}"
    trace = browse("/", method="TRACE")["/"]["status"]
    evidence.measured("trace", trace)
    assert trace == 405, f"it answers TRACE with {trace}"


@control("web_no_listing", sabotage="list_folders", says="/wp-content/languages/ is listed")
def test_folders_are_not_listed(browse: Browse, evidence: Evidence) -> None:
    """A folder without a page shows nothing of what lies in it."""
    for path, told in browse(*FOLDERS).items():
        evidence.measured(path, told["status"])
        assert "Index of /" not in told["text"], f"{path} is listed"
