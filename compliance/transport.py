"""Ask a host many questions through one privileged shell that stays open.

The single place that knows testinfra's insides: ``Shell`` is a ``BaseBackend``
(tests/unit/compliance/test_transport.py holds the contract). Protocol, over ``ssh -T``:

    sent      a line of shell that prints ``+nonce`` on both streams, evaluates the command in a
              subshell with stdin closed, then prints ``-nonce exit`` on both streams
    received  on stdout and stderr: ``+nonce``, the command's own bytes, ``-nonce exit``

The nonce is fresh for each question, so no output can imitate its end. No temporary file: a full
disk changes no answer. Bytes outside a frame, or a stream that ends within one, are errors.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import testinfra.host
from testinfra.backend import base

from compliance.evidence import Answer, now
from compliance.inventory import Host

CONNECT_SECONDS = 5
COMMAND_SECONDS = 20.0
# After so many breaks (hung commands, cut streams) the host is given up for the run.
MOST_BREAKS = 3
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOGIN = f"exec sudo -n -- /usr/bin/env -i LC_ALL=C HOME=/root PATH={_PATH} /bin/sh"
_SSH = [
    "ssh", "-T", "-v", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
    "-o", "UpdateHostKeys=no", "-o", f"ConnectTimeout={CONNECT_SECONDS}",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2", "-o", "ControlPath=none",
    "-o", "ForwardAgent=no", "-o", "ClearAllForwardings=yes",
]  # fmt: skip


class TransportError(Exception):
    """The question could not be put or its answer not be had; never the host's own answer."""


class Unreachable(TransportError):
    """Nobody answered at the host's address."""


class HostKeyMismatch(TransportError):
    """Somebody answered, but not with the pinned key."""


class LoginDenied(TransportError):
    """The host refused the operator's key, or sudo refused the operator."""


class CommandTimeout(TransportError):
    """The command did not end in time; it has been ended on the host."""


class StreamBroken(TransportError):
    """The connection ended or went out of step in the middle of an answer."""


class Shell(base.BaseBackend):  # type: ignore[misc] # testinfra ships no types
    """One host's shell. Opens at the first question; a question asked twice is sent once.

    ``record`` gets every answer as it comes. ``asked`` collects the ids of the answers that were
    used since somebody last cleared it, remembered ones too.
    """

    NAME = "tameng"

    def __init__(self, target: Host, record: Callable[[Answer], None]) -> None:
        super().__init__(target.name)
        # Read now: templating an inventory is not safe in several threads, asking hosts is.
        self.address = target.address
        self._arguments = target.ssh_arguments
        # An inventory that gives ssh more time than Ansible's ten seconds speaks of a slow machine.
        self._patience = max(1.0, float(target.var("ansible_timeout") or 10) / 10)
        self.asked: list[str] = []
        self.host_key = ""
        self.failure: TransportError | None = None
        self._record = record
        self._process: subprocess.Popen[bytes] | None = None
        self._group = 0
        self._breaks = 0
        self._sent = 0
        self._known: dict[str, tuple[str, base.CommandResult | TransportError]] = {}

    @property
    def encoding(self) -> str:
        """The shell speaks bytes; what is no UTF-8 shows as an escape rather than as an error."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        return data.decode("utf-8", "backslashreplace")

    def run(self, command: str, *args: str, **kwargs: Any) -> base.CommandResult:
        """The answer of the host to ``command``. Raises a TransportError if there is none."""
        line = self.quote(command, *args)
        if line not in self._known:
            self._known[line] = self._ask(
                line, self._patience * float(kwargs.get("timeout", COMMAND_SECONDS))
            )
        number, answer = self._known[line]
        self.asked.append(number)
        if isinstance(answer, TransportError):
            raise _again(answer)
        return answer

    def close(self) -> None:
        """End the connection; the shell on the host ends with it."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream:
                    stream.close()
            self._process = None

    def _ask(self, line: str, seconds: float) -> tuple[str, base.CommandResult | TransportError]:
        self._sent += 1
        number = f"{self.hostname}:{self._sent}"
        at, began = now(), time.monotonic()
        answer: base.CommandResult | TransportError
        try:
            self._open()
            out, err, status = self._exchange(line, seconds)
            answer = self.result(status, line.encode(), out, err)
        except TransportError as exc:
            out, err, status, answer = b"", b"", None, exc
        self._record(
            Answer(
                id=number, host=self.hostname, command=line, exit=status,
                stdout_sha256=hashlib.sha256(out).hexdigest(),
                stderr_sha256=hashlib.sha256(err).hexdigest(), stdout_bytes=len(out),
                at=at, seconds=round(time.monotonic() - began, 4),
                note="" if status is not None else f"{type(answer).__name__}: {answer}",
            )
        )  # fmt: skip
        return number, answer

    def _open(self) -> None:
        if self.failure:
            raise _again(self.failure)
        if self._process:
            return
        if self._breaks >= MOST_BREAKS:
            self.failure = StreamBroken(f"given up after {self._breaks} broken connections")
            raise self.failure
        try:
            self._connect()
        except TransportError as exc:
            self.close()
            self.failure = exc
            raise

    def _connect(self) -> None:
        # A named file: ssh closes every inherited descriptor above stderr when it starts.
        with tempfile.NamedTemporaryFile(prefix="tameng-ssh-") as log:
            self._process = subprocess.Popen(
                [*_SSH, "-E", log.name, *self._arguments,
                 "--", self.address, _LOGIN],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            )  # fmt: skip
            try:
                # ps asks for the process group: what a hung command needs to be ended by.
                out, _, _ = self._exchange(
                    "ps -o pgid= -p $$; id -u", self._patience * 4.0 * CONNECT_SECONDS, first=True
                )
            except TransportError as exc:
                raise self._diagnose(log, exc) from None
            log.seek(0)
            key = re.search(rb"Server host key: (\S+ \S+)", log.read())
            self.host_key = key[1].decode() if key else ""
            group, user = out.split()
            if user != b"0":
                raise LoginDenied(f"sudo gave uid {user.decode()} instead of 0")
            self._group = int(group)

    def _diagnose(self, log: Any, broken: TransportError) -> TransportError:
        """Why ssh ended: its own log says more than its exit status (always 255)."""
        log.seek(0)
        text = log.read().decode(errors="replace")
        where = self.address
        if re.search(r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED", text):
            return HostKeyMismatch(f"{where} does not show the pinned host key")
        if "Permission denied" in text:
            return LoginDenied(f"{where} refuses the operator's key")
        if "Authenticated to" in text:
            if isinstance(broken, StreamBroken):
                return LoginDenied(f"{where} gives no privileged shell: {broken}")
            return broken
        last = [ln for ln in text.splitlines() if not ln.startswith(("debug1:", "OpenSSH"))]
        return Unreachable(last[-1].strip() if last else f"{where}: {broken}")

    def _exchange(
        self, line: str, seconds: float, *, first: bool = False
    ) -> tuple[bytes, bytes, int]:
        process = self._process
        if not (process and process.stdin and process.stdout and process.stderr):
            raise StreamBroken("no connection")
        nonce = secrets.token_hex(16)
        begin, end = f"+{nonce}", f"-{nonce}"
        question = (
            f"echo {begin}; echo {begin} >&2; (eval {shlex.quote(line)}) </dev/null; "
            f"set -- $?; echo {end} $1; echo {end} $1 >&2\n"
        )
        frames = {pipe: _Frame(nonce, first) for pipe in (process.stdout, process.stderr)}
        try:
            process.stdin.write(question.encode())
            self._receive(frames, time.monotonic() + seconds)
        except CommandTimeout:
            self._break()
            self._end_on_host()
            raise
        except (OSError, StreamBroken) as exc:
            # What stands before the frame is not the command's: sudo's or the login's complaint.
            said = [frame.before_begin() for frame in frames.values()]
            self._break()
            raise StreamBroken(": ".join(filter(None, [str(exc), *said]))) from None
        out, err = frames.values()
        return out.content, err.content, out.status

    def _receive(self, frames: dict[Any, _Frame], deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            for stream in frames:
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise CommandTimeout("no answer in time; the command was ended on the host")
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        raise StreamBroken("the connection ended before the answer did")
                    if frames[key.fileobj].feed(chunk):
                        selector.unregister(key.fileobj)

    def _break(self) -> None:
        self._breaks += 1
        self.close()

    def _end_on_host(self) -> None:
        """A command that hangs outlives its connection, so end its process group by a new one."""
        group, self._group = self._group, 0
        if group > 1:
            try:
                self._connect()
                self._exchange(f"kill -s KILL -- -{group}", COMMAND_SECONDS)
            except TransportError as exc:
                # This question has timed out all the same; the next one meets this failure.
                self.close()
                self.failure = exc


def _again(error: TransportError) -> TransportError:
    """The same failure for the next question: one instance raised often grows its traceback."""
    return type(error)(*error.args)


class _Frame:
    """One stream's half of an answer. Before the first one, log-in may print (sshd's banner)."""

    def __init__(self, nonce: str, first: bool) -> None:
        self._first = first
        self.data = b""
        self.content = b""
        self.status = -1
        self._begin = f"+{nonce}\n".encode()
        self._end = re.compile(rf"-{nonce} (\d+)\n".encode())

    def before_begin(self) -> str:
        """What came before the frame, at most 200 characters of it."""
        return self.data.partition(self._begin)[0].decode(errors="replace").strip()[-200:]

    def feed(self, chunk: bytes) -> bool:
        """Take more bytes; True once the answer is whole."""
        # Only what may hold the end is searched again: a large answer stays linear.
        start = max(0, len(self.data) - 64)
        self.data += chunk
        found = self._end.search(self.data, start)
        if not found:
            return False
        before, begin, rest = self.data.partition(self._begin)
        if not begin or (before and not self._first) or found.end() != len(self.data):
            raise StreamBroken("bytes outside the answer: a process left behind still writes")
        self.content = rest[: found.start() - len(before) - len(begin)]
        self.status = int(found[1])
        return True


def connect(target: Host, record: Callable[[Answer], None]) -> tuple[testinfra.host.Host, Shell]:
    """testinfra's Host over a Shell, and the Shell itself."""
    shell = Shell(target, record)
    host = testinfra.host.Host(shell)
    shell.set_host(host)
    return host, shell
