"""The way of a certificate: the host asks, the operator's machine signs, the host is content."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "roles/certificate/files"
NAMES = "DNS:www.court.internal"


class Court:
    """A host's folder, the operator's, and what goes between them."""

    def __init__(self, top: Path) -> None:
        self.host, self.operator = top / "host/tameng/web", top / "operator"

    def held(self) -> str:
        files = [self.operator / "authority.crt", self.operator / "web/app.crt"]
        return "".join(file.read_text() for file in files if file.exists())

    def request(self, days: int = 60, names: str = NAMES) -> str:
        return _run("certificate_request", self.held(), str(self.host), str(days), names)

    def sign(self, request: str, use: str = "serverAuth", passphrase: str = "") -> None:
        words = (str(self.operator), "web", "app", use, "180", NAMES)
        _run("sign", request, *words, AUTHORITY_PASSPHRASE=passphrase)


def _run(script: str, said: str, *words: str, **environment: str) -> str:
    command = ["sh", "-c", (SCRIPTS / script).read_text(), "sh", *words]
    done = subprocess.run(
        command, input=said, env={"PATH": "/usr/sbin:/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def court(tmp_path: Path) -> Court:
    (tmp_path / "host").mkdir()
    return Court(tmp_path)


def test_who_has_a_certificate_that_serves_asks_for_none(court: Court) -> None:
    """And who hasn't gets one that fits his own key."""
    court.sign(court.request())
    assert court.request() == ""


@pytest.mark.parametrize("why", ["too few days", "another name", "no authority"])
def test_what_no_longer_serves_is_asked_for_again(court: Court, why: str) -> None:
    """With the same key."""
    court.sign(court.request())
    key = (court.host / "host.key").read_bytes()
    if why == "no authority":
        for file in ("authority.key", "authority.crt"):
            (court.operator / file).unlink()
    days, name = (181 if why == "too few days" else 60), ("x" if why == "another name" else "")
    assert "CERTIFICATE REQUEST" in court.request(days, NAMES + name)
    assert (court.host / "host.key").read_bytes() == key


def test_the_folders_are_open_and_the_key_is_not(court: Court) -> None:
    """Other roles have their files in the folder above."""
    court.request()
    modes = [path.stat().st_mode & 0o777 for path in (court.host.parent, court.host)]
    assert modes == [0o755, 0o755]
    assert (court.host / "host.key").stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_for_one_use(court: Court) -> None:
    """A website's doesn't let anybody send logs."""
    court.sign(court.request())
    verify = ["openssl", "verify", "-CAfile", str(court.operator / "authority.crt")]
    own = str(court.operator / "web/app.crt")
    proves = {
        purpose: subprocess.run(
            [*verify, "-purpose", purpose, own], capture_output=True, check=False
        ).returncode
        == 0
        for purpose in ("sslserver", "sslclient")
    }
    assert proves == {"sslserver": True, "sslclient": False}


def test_a_passphrase_protects_the_authority(court: Court) -> None:
    court.sign(court.request(), "serverAuth", "of-the-vault")
    assert "ENCRYPTED" in (court.operator / "authority.key").read_text()
    with pytest.raises(AssertionError):
        court.sign(court.request(days=181), "serverAuth", "another")
