"""What helpers may do by sudo: what is refused in it, and the rules that follow."""

from __future__ import annotations

from typing import Any

import pytest

from compliance import inventory
from inputs import delegations, paths

SOUND: dict[str, Any] = {
    "who": "penyunting",
    "as": "www-data",
    "command": "/usr/bin/php /usr/share/wordpress/wp-cron.php",
    "why": "because of a test",
    "owner": "nurul",
    "review": "2027-05-31",
}


def refused(**changed: Any) -> str:
    return "; ".join(delegations.refusals([SOUND | changed], ["tameng"], ["mantan"]))


@pytest.mark.parametrize("name", ["lab", "penajam", "vm"])
def test_each_court_of_this_checkout_is_sound(name: str) -> None:
    """What its hosts are told is refused nowhere, and somewhere something is delegated."""
    hosts = inventory.load(paths.inventory(name)).hosts
    told = {host.name: host.var("accounts_sudo_delegations") or [] for host in hosts}
    assert {name: delegations.refusals(given, ["tameng"]) for name, given in told.items()} == {
        name: [] for name in told
    }
    assert any(told.values())


@pytest.mark.parametrize(
    "command",
    [
        "/usr/bin/freshclam --stdout",
        "/usr/bin/true",
        "/usr/bin/python3 /usr/local/lib/x.py",
        "/usr/bin/lp@1 a+b=c,d:e%f",
    ],
)
def test_one_command_with_its_arguments_is_taken(command: str) -> None:
    """Also with the signs that sudoers wants masked."""
    assert refused(command=command) == ""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"command": "freshclam"}, "expected a program by its whole path"),
        ({"command": ""}, "expected a program by its whole path"),
        ({"command": "ALL"}, "expected a program by its whole path"),
        ({"command": "!/bin/id"}, "expected a program by its whole path"),
        ({"command": "/usr/bin/id *"}, "no wildcard"),
        ({"command": "/usr/bin/i?"}, "no wildcard"),
        ({"command": "/usr/bin/id [a-z]"}, "no wildcard"),
        ({"command": "/usr/bin/id ^.*$"}, "no wildcard"),
        ({"command": "/usr/bin/id, !/usr/bin/sh"}, "no wildcard, negation"),
        ({"command": '/usr/bin/id ""'}, "quote"),
        ({"command": "/usr/bin/../sbin/x"}, "shortest path"),
        ({"command": "/usr/sbin/"}, "shortest path"),
        ({"command": "/bin/bash /root/x"}, "/bin/bash is a shell"),
        ({"command": "/usr/bin/vim /etc/motd"}, "/usr/bin/vim is an editor"),
        ({"command": "/usr/bin/less /var/log/syslog"}, "/usr/bin/less is a pager"),
        ({"command": "/usr/bin/env /usr/bin/id"}, "program that starts others"),
        ({"command": "/usr/bin/python3.13 -c pass"}, "must be a script's path"),
        ({"command": "/usr/bin/perl"}, "must be a script's path"),
        ({"as": "root"}, "root may do everything"),
        ({"as": "tameng"}, "tameng may do everything"),
        ({"as": "ALL"}, "1. as:"),
        ({"as": "%adm"}, "1. as:"),
        ({"who": "tameng"}, "tameng may do everything already"),
        ({"who": "mantan"}, "mantan has left"),
        ({"who": "a, b"}, "1. who:"),
        ({"who": "ALL"}, "1. who:"),
        ({"why": "short"}, "1. why:"),
        ({"why": "two lines\nroot ALL = ALL"}, "1. why:"),
        ({"owner": "x\nroot ALL = ALL"}, "1. owner:"),
        ({"review": "soon"}, "1. review:"),
        ({"until": "2027"}, "1. until:"),
    ],
)
def test_what_is_more_than_one_command_is_refused(changed: dict[str, Any], says: str) -> None:
    """In words that name the entry, before any host is asked."""
    assert says in refused(**changed)


def test_rules_say_just_that() -> None:
    """Signs are masked, and no argument means none."""
    given = [
        SOUND | {"command": "/usr/bin/freshclam  --config-file=/etc/x:y,z"},
        SOUND | {"command": "/usr/bin/true", "who": "%humas"},
    ]
    assert delegations.rules(given) == [
        {
            "who": "penyunting",
            "starter": "u:penyunting:r-x",
            "rule": r"penyunting ALL = (www-data) /usr/bin/freshclam --config-file\=/etc/x\:y\,z",
            "review": "2027-05-31",
            "note": "nurul: because of a test",
        },
        {
            "who": "%humas",
            "starter": "g:humas:r-x",
            "rule": '%humas ALL = (www-data) /usr/bin/true ""',
            "review": "2027-05-31",
            "note": "nurul: because of a test",
        },
    ]
