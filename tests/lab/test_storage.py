"""File systems, permissions and services: what the roles refuse, leave alone, and take back."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compliance import inventory
from compliance.transport import Shell
from compliance.verdict import State
from inputs import paths
from tests.lab.proving import LIBRARY, ask
from tests.lab.watching import ansible_playbook

HOST = "pc-1"
COUNT = itertools.count()


@pytest.fixture
def shell(lab: str) -> Iterator[Shell]:
    """A root shell on one host of the lab."""
    del lab  # it is up
    estate = inventory.load(paths.inventory("lab"))
    opened = Shell(next(h for h in estate.hosts if h.name == HOST), lambda _: None)
    yield opened
    opened.close()


def fresh(shell: Shell, command: str) -> Any:
    """Ask anew: the transport remembers the answer to a question that it was asked before."""
    return shell.run(f"{command} # {next(COUNT)}")


def sabotage(shell: Shell, line: str) -> None:
    done = shell.run(f"{LIBRARY}\n{line}")
    assert done.rc == 0, done.stderr


def apply(role: str, **variables: Any) -> tuple[str, dict[str, int]]:
    """Run one role on the host; what was said, and the recap's numbers."""
    words = ["--tags", role, "--limit", HOST, "-e", json.dumps(variables)]
    done = ansible_playbook("playbooks/site.yml", *words, check=False)
    numbers = re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])
    return done.stdout, {name: int(number) for name, number in numbers}


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"file_systems_unprivileged": ["/usr/bin/sudo"]}, "keep their rights"),
        (
            {"file_systems_mounts": [{"path": "/var", "options": ["noexec"]}]},
            "none of /usr /etc",
        ),
    ],
)
def test_what_would_break_the_host_is_refused(
    shell: Shell, variables: dict[str, Any], why: str
) -> None:
    """sudo keeps its rights, and packages can run their scripts."""
    said, recap = apply("file_systems", **variables)
    assert why in " ".join(said.split())
    assert recap["failed"] == 1
    assert recap["changed"] == 0
    assert shell.run("test -u /usr/bin/sudo").rc == 0


def test_no_purge_takes_a_protected_package_along(shell: Shell) -> None:
    """apt is asked before anything is purged."""
    sabotage(shell, "fake_package telnet")
    said, recap = apply("services", services_protected=["telnet"])
    assert "which is protected" in said
    assert recap["changed"] == 0
    assert fresh(shell, "dpkg-query -W telnet").rc == 0
    _, recap = apply("services")
    assert recap["failed"] == 0
    assert fresh(shell, "dpkg-query -W telnet").rc == 1


def test_packages_work_where_nothing_is_started(shell: Shell) -> None:
    """Packages ask and settle their questions although no folder for temporary files runs them."""
    for folder in ("/tmp", "/var/tmp"):  # noqa: S108  they are what is tried
        program = f"{folder}/tameng-try"
        assert shell.run(f"cp /bin/true {program} && {program}").rc == 126
        shell.run(f"rm {program}")
    done = shell.run("DEBIAN_FRONTEND=noninteractive dpkg-reconfigure tzdata 2>&1")
    assert done.rc == 0
    assert "Permission denied" not in done.stdout


def test_a_new_setuid_program_is_named_and_left_to_a_person(shell: Shell) -> None:
    """The role takes rights from what the inventory lists only."""
    program = "/usr/local/bin/tameng-new"
    shell.run(f"cp /bin/true {program} && chmod 4755 {program}")
    _, recap = apply("file_systems")
    estate = inventory.load(paths.inventory("lab"))
    verdict = ask(estate, ["files_privileged_known"], [HOST])["files_privileged_known", HOST]
    assert recap["failed"] == 0
    assert shell.run(f"test -u {program} && rm {program}").rc == 0
    assert verdict.state is State.FAIL
    assert program in verdict.message


def test_a_masked_service_comes_back(shell: Shell) -> None:
    """The saved state starts again what the role had stopped."""
    sabotage(shell, "stand_in vsftpd.service")
    apply("services")
    assert fresh(shell, "systemctl is-active vsftpd.service").stdout.strip() == "inactive"
    saved = fresh(shell, "ls -d /var/lib/tameng/saved/*-services | tail -n 1").stdout.strip()
    assert shell.run(f"sh {saved}/restore").rc == 0
    assert fresh(shell, "systemctl is-active vsftpd.service").stdout.strip() == "active"
    _, recap = apply("services")
    assert recap["failed"] == 0
