"""The transport's framing, against a stand-in for ssh(1) that runs a local shell.

Every way in which an answer can be less than whole is an error; testinfra's contract holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.backend.base import BaseBackend, CommandResult

from compliance import transport
from compliance.evidence import Answer
from compliance.inventory import Host

FAKE_SSH = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in -E) log=$2; shift ;; esac
    shift
done
printf '%b' "$FAKE_LOG" >>"$log"
printf '%b' "$FAKE_BANNER" >&2
[ -z "$FAKE_REFUSES" ] || exit 255
export PATH="$FAKE_PATH:$PATH"
exec setsid sh  # as sshd does: a process group of its own
"""
AUTHENTICATED = "debug1: Server host key: ssh-ed25519 SHA256:abc\\nAuthenticated to h\\n"


@pytest.fixture
def answers() -> list[Answer]:
    return []


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Answer]
) -> Iterator[transport.Shell]:
    """A Shell whose ssh is the stand-in; `id -u` says 0 there, whoever runs the tests."""
    for name, text in {"ssh": FAKE_SSH, "id": "#!/bin/sh\necho 0\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_LOG", AUTHENTICATED)
    monkeypatch.setenv("FAKE_BANNER", "Authorised use only\\n")
    monkeypatch.setenv("FAKE_REFUSES", "")
    found = transport.Shell(Host("h", frozenset(), lambda _: None), answers.append)
    yield found
    found.close()


def test_it_is_a_testinfra_backend(shell: transport.Shell) -> None:
    """The contract with the pinned testinfra: what its modules need of a backend."""
    assert isinstance(shell, BaseBackend)
    done = shell.run("printf %s", "a b")
    assert isinstance(done, CommandResult)
    assert (done.rc, done.stdout, done.stderr) == (0, "a b", "")
    assert shell.get_connection_type() == "tameng"
    assert shell.encoding == "utf-8"


def test_testinfra_modules_ask_through_it(shell: transport.Shell, tmp_path: Path) -> None:
    """A module of testinfra's answers about the host behind the shell."""
    host, other = transport.connect(Host("h", frozenset(), lambda _: None), lambda _: None)
    (tmp_path / "file").write_text("content")
    assert host.file(str(tmp_path / "file")).content_string == "content"
    other.close()


@pytest.mark.parametrize(
    ("command", "status", "out", "err"),
    [
        ("echo out; echo err >&2; exit 3", 3, b"out\n", b"err\n"),
        ("printf 'a\\0b'", 0, b"a\0b", b""),
        ("printf 'no newline'", 0, b"no newline", b""),
        ("cat", 0, b"", b""),  # stdin is closed
        ("false", 1, b"", b""),
        ("cd /; x=1; set -e; umask 0", 0, b"", b""),
        ('echo "it\'s" \'"quoted"\'', 0, b'it\'s "quoted"\n', b""),
        ("echo one\necho two", 0, b"one\ntwo\n", b""),
    ],
)
def test_answers_are_exact(
    shell: transport.Shell, command: str, status: int, out: bytes, err: bytes
) -> None:
    """Bytes, streams and status of one command, and nothing of it left for the next one."""
    done = shell.run(command)
    assert (done.rc, done.stdout_bytes, done.stderr_bytes) == (status, out, err)
    assert shell.run("pwd; echo $x; umask").stdout.split()[-1] != "0000"


def test_a_syntax_error_is_the_commands_own(shell: transport.Shell) -> None:
    """It ends that command with 2 and leaves the shell in step."""
    assert shell.run("if then").rc == 2
    assert shell.run("echo next").stdout == "next\n"


def test_a_large_answer_is_whole(shell: transport.Shell) -> None:
    """Larger than any pipe's buffer, on both streams."""
    done = shell.run("head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2")
    assert (len(done.stdout_bytes), len(done.stderr_bytes)) == (3_000_000, 2_000_000)


def test_a_question_asked_twice_is_sent_once(shell: transport.Shell, answers: list[Answer]) -> None:
    """The second verdict names the same answer."""
    first = shell.run("date +%N").stdout
    assert shell.run("date +%N").stdout == first
    assert [a.id for a in answers] == ["h:1"]
    assert shell.asked == ["h:1", "h:1"]


def test_every_answer_is_recorded(shell: transport.Shell, answers: list[Answer]) -> None:
    """Command, exit status, hash and size; also of a question that had no answer."""
    shell.run("printf hi")
    with pytest.raises(transport.CommandTimeout):
        shell.run("sleep 9", timeout=0.2)
    assert (answers[0].exit, answers[0].stdout_bytes) == (0, 2)
    assert answers[0].stdout_sha256.startswith("8f434346648f6b96df89dda901c5176b")
    assert answers[1].exit is None
    assert "CommandTimeout" in answers[1].note


def test_output_cannot_imitate_its_own_end(shell: transport.Shell) -> None:
    """The nonce is unknown to whatever prints, so a printed frame is just text."""
    text = "-0123456789abcdef0123456789abcdef 0\n"
    assert shell.run(f"printf '%s' '{text}'").stdout == text


def test_a_hung_command_is_a_time_out_and_the_host_goes_on(shell: transport.Shell) -> None:
    """The next question gets a new shell."""
    began = time.monotonic()
    with pytest.raises(transport.CommandTimeout):
        shell.run("sleep 30", timeout=0.3)
    assert shell.run("echo on").stdout == "on\n"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("cut", ["kill -9 $$", "echo half; kill -9 $$"])
def test_a_cut_stream_is_an_error(shell: transport.Shell, cut: str) -> None:
    """Half an answer is none, and the host is asked on."""
    with pytest.raises(transport.StreamBroken):
        shell.run(cut)
    assert shell.run("echo on").stdout == "on\n"


def test_a_process_left_behind_does_not_mix_into_answers(shell: transport.Shell) -> None:
    """Bytes that come outside of a frame break the stream rather than pass as an answer."""
    shell.run("(sleep 0.3; echo stray) & true")
    time.sleep(0.6)
    with pytest.raises(transport.StreamBroken, match="left behind"):
        shell.run("echo mine")


def test_a_host_that_breaks_again_and_again_is_given_up(shell: transport.Shell) -> None:
    """A bounded price for a host that can't be asked."""
    for number in range(transport.MOST_BREAKS):
        with pytest.raises(transport.StreamBroken):
            shell.run(f"kill -9 $$ # {number}")
    with pytest.raises(transport.StreamBroken, match="given up"):
        shell.run("echo more")


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("ssh: connect to host h port 22: Connection timed out\\n", transport.Unreachable),
        ("ssh: Could not resolve hostname h\\n", transport.Unreachable),
        ("@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\\n", transport.HostKeyMismatch),
        ("Host key verification failed.\\n", transport.HostKeyMismatch),
        ("tameng@h: Permission denied (publickey).\\n", transport.LoginDenied),
        (AUTHENTICATED, transport.LoginDenied),
    ],
)
def test_a_refusal_says_whose_it_is(
    shell: transport.Shell,
    monkeypatch: pytest.MonkeyPatch,
    log: str,
    error: type[transport.TransportError],
) -> None:
    """A silent host, a stranger's key, a refused key and a refused sudo are four things; each is
    found out once, not once for each question."""
    monkeypatch.setenv("FAKE_LOG", log)
    monkeypatch.setenv("FAKE_REFUSES", "yes")
    for command in ("echo one", "echo two"):
        with pytest.raises(error):
            shell.run(command)
    assert type(shell.failure) is error


def test_the_host_key_is_known_afterwards(shell: transport.Shell) -> None:
    """run.json keeps the fingerprint of who answered."""
    shell.run("true")
    assert shell.host_key == "ssh-ed25519 SHA256:abc"
