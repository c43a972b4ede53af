"""Tameng, role antivirus: questions to the running engine (clamd), over its socket."""

import array
import os
import signal
import socket
import struct
import time

SOCKET = "/run/tameng-antivirus/engine"
LONGEST = 60  # a file's limit in the engine is 10 s
QUICK = 5


class NoAnswer(Exception):
    """The engine is away, busy for too long, or couldn't look."""


def ask(command, fd=None, patience=QUICK):
    """The engine's answer to a command; a file is handed over open, so no path is trusted."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(patience)
            line.connect(SOCKET)
            line.sendall(b"z" + command.encode() + b"\0")
            if fd is not None:
                handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
                line.sendmsg([b"\0"], handed)
            told = b""
            while part := line.recv(4096):
                told += part
    except OSError as problem:
        raise NoAnswer(str(problem)) from problem
    return told.rstrip(b"\0\n").decode(errors="replace")


def look(fd, patience=LONGEST):
    """What is malicious in an open file; empty if nothing is."""
    told = ask("FILDES", fd, patience).rpartition(": ")[2]
    if told.endswith(" FOUND"):
        return told.removesuffix(" FOUND").removesuffix(".UNOFFICIAL")
    if told != "OK":
        raise NoAnswer(told or "it hung up")
    return ""


def version():
    """{engine, official}: when ClamAV's own signatures are from, None where they aren't loaded."""
    name, _, rest = ask("VERSION").partition("/")
    _, _, made = rest.partition("/")
    when = time.mktime(time.strptime(made, "%a %b %d %H:%M:%S %Y")) if made else None
    return {"engine": name, "official": when}


def end_if_stuck():
    """Whoever opens a guarded file waits for the engine, and its client waits for ever: one that
    lives and doesn't answer is ended, by the number of its process that the kernel tells of its
    socket. systemd begins it anew, and meanwhile nobody waits."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(QUICK)
            line.connect(SOCKET)
            told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            try:
                line.sendall(b"zPING\0")
                if line.recv(16):
                    return
            except TimeoutError:
                pid = struct.unpack("3i", told)[0]
                print(f"the engine ({pid}) doesn't answer, and is ended", flush=True)
                os.kill(pid, signal.SIGKILL)
    except OSError:
        return  # away: then nobody waits


def answers():
    try:
        return ask("PING") == "PONG"
    except NoAnswer:
        return False
