"""Tameng, role antivirus: questions to the running engine (clamd), over its socket."""

import array
import socket
import time

SOCKET = "/run/tameng-antivirus/engine"
LONGEST = 60  # a file's limit in the engine is 20 s
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


def look(fd):
    """What is malicious in an open file; empty if nothing is."""
    told = ask("FILDES", fd, LONGEST).rpartition(": ")[2]
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


def answers():
    try:
        return ask("PING") == "PONG"
    except NoAnswer:
        return False
