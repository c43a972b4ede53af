"""``accounts_sudo_delegations``: what a helper may run as another account, and nothing besides.

A rule of sudo is as narrow as its command: a wildcard, a shell or an editor in it is everything
that the other account may. What a person wrote is refused here, before any host is asked.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from inputs.yamlfile import Strict

ROOT = "root"
# Words of a command that mean themselves to sudo, whatever its version.
PLAIN = re.compile(r"[A-Za-z0-9_./@%+,:=-]+")
# What runs whatever it is told, or whatever is typed into it; the version is no part of a name.
OPEN = {
    "shell": "ash bash busybox csh dash fish ksh mksh rbash sh tcsh zsh",
    "editor": "ed emacs ex joe mcedit nano nvim pico sed vi view vim visudo",
    "pager": "less man more most pg",
    "program that starts others": "at awk chroot crontab doas env expect find flock gawk gdb"
    " mawk nice nohup nsenter parallel pkexec runuser screen script setpriv setsid ssh"
    " start-stop-daemon stdbuf strace su sudo sudoedit systemd-run tar timeout tmux unshare watch"
    " xargs",
}
KINDS = {name: kind for kind, names in OPEN.items() for name in names.split()}
INTERPRETERS = {"lua", "node", "perl", "php", "python", "ruby", "tclsh"}

Account = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n\r\\]+$", strip_whitespace=True)]


def check_command(text: str) -> str:
    """A program by its whole path, with all its arguments, blanks between them."""
    words = text.split()
    if not words or not words[0].startswith("/"):
        raise ValueError("expected a program by its whole path, with all its arguments")
    for word in words:
        if not PLAIN.fullmatch(word):
            raise ValueError(f"{word}: no wildcard, negation, quote or other sign of sudo's")
    if words[0].upper() == "ALL" or words[0] != str(PurePosixPath(words[0])) or ".." in words[0]:
        raise ValueError(f"{words[0]}: expected a program by its shortest path")
    name = re.sub(r"[\d.]+$", "", PurePosixPath(words[0]).name)
    if kind := KINDS.get(name):
        raise ValueError(f"{words[0]} is a{'n' * (kind[0] in 'aeiou')} {kind}: it runs anything")
    if name in INTERPRETERS and not (len(words) > 1 and words[1].startswith("/")):
        raise ValueError(f"{words[0]} runs anything: its first argument must be a script's path")
    return " ".join(words)


class Delegation(Strict):
    """``who`` (an account, or %group) may run ``command`` as the account ``as``."""

    who: Annotated[str, StringConstraints(pattern=r"^%?[a-z_][a-z0-9_-]{0,31}$")]
    target: Account = Field(alias="as")
    command: Annotated[str, AfterValidator(check_command)]
    why: Annotated[Line, StringConstraints(min_length=10)]
    owner: Line
    review: dt.date

    @property
    def rule(self) -> str:
        """The line of sudoers; "" stands for no arguments, where nothing would stand for any."""
        words = self.command.split()
        written = [re.sub(r"([,:=])", r"\\\1", word) for word in words] + ['""'] * (len(words) == 1)
        return f"{self.who} ALL = ({self.target}) {' '.join(written)}"

    @property
    def starter(self) -> str:
        """The entry in the access list of sudo's program, as systemd-tmpfiles reads it."""
        kind = "g" if self.who.startswith("%") else "u"
        return f"{kind}:{self.who.removeprefix('%')}:r-x"


def refusals(
    written: Collection[Any], administrators: Collection[str], leavers: Collection[str] = ()
) -> list[str]:
    """What is wrong with each, in words; administrators need none, and are nobody's to become."""
    found = []
    for number, one in enumerate(written, 1):
        try:
            given = Delegation.model_validate(one)
        except ValidationError as exc:
            for error in exc.errors():
                where = ".".join(str(part) for part in error["loc"])
                found.append(f"{number}. {where}: {error['msg'].removeprefix('Value error, ')}")
            continue
        if given.target in {ROOT, *administrators}:
            found.append(f"{number}. as: {given.target} may do everything")
        if given.who in {ROOT, *administrators}:
            found.append(f"{number}. who: {given.who} may do everything already")
        if given.who in leavers:
            found.append(f"{number}. who: {given.who} has left")
    return found


def rules(written: Collection[Any]) -> list[dict[str, str]]:
    """For the role: {who, starter, rule, review, note}."""
    return [
        {
            "who": given.who,
            "starter": given.starter,
            "rule": given.rule,
            "review": str(given.review),
            "note": f"{given.owner}: {given.why}",
        }
        for given in (Delegation.model_validate(one) for one in written)
    ]
