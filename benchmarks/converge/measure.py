"""What a run of site.yml costs that changes nothing: tasks and seconds, for each role and in all.

    sudo ./tameng lab up && ./tameng apply
    .venv/bin/python -m benchmarks.converge.measure [--host app] [--rounds 3] [--mitogen FOLDER]

In one run, ROUNDS times in turn; the tables have the medians:
  each role by its tag, every role, and as many `ping` tasks as that run has tasks, on one host, so
  that what Ansible itself costs stands beside what we ask;
  every role on every managed host of the lab.
--mitogen is a folder with mitogen's source (`pip download --no-binary :all: mitogen`, unpacked):
the same runs with its strategy, so that the switch can be judged. No dependency of the project.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from inputs import paths

SITE = paths.ROOT / "playbooks/site.yml"
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))


def roles() -> list[str]:
    """In the order of the story."""
    plays = yaml.safe_load(SITE.read_text())
    return list(dict.fromkeys(role["role"] for play in plays for role in play.get("roles", [])))


def seconds(playbook: Path, words: list[str], extra: dict[str, str]) -> tuple[float, int]:
    """How long it takes, and how many tasks one host has in it. Anything but ok stops the run."""
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, "-i", str(paths.inventory("lab") / "hosts.yml"), str(playbook), *words],
        cwd=paths.ROOT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - began
    counts = re.findall(r"ok=(\d+) +changed=(\d+) .*failed=0", done.stdout)
    if done.returncode or not counts or any(changed != "0" for _, changed in counts):
        raise SystemExit(f"apply first: something is not as it should be\n{done.stdout[-2000:]}")
    return took, max(int(ok) for ok, _ in counts)


def pings(folder: Path, number: int) -> Path:
    """A playbook of so many tasks that do nothing."""
    tasks = [{"name": f"Ping {n}", "ansible.builtin.ping": None} for n in range(number)]
    play = {"name": "Ping", "hosts": "managed", "gather_facts": False, "tasks": tasks}
    path = folder / "pings.yml"
    path.write_text(yaml.safe_dump([play]))
    return path


def mitogen(folder: str) -> dict[str, str]:
    return {
        "ANSIBLE_STRATEGY_PLUGINS": str(Path(folder) / "ansible_mitogen/plugins/strategy"),
        "ANSIBLE_STRATEGY": "mitogen_linear",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="app")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mitogen", metavar="FOLDER")
    args = parser.parse_args()
    one = ["--limit", args.host]
    ways: dict[str, dict[str, str]] = {"": {}}
    if args.mitogen:
        ways["mitogen: "] = mitogen(args.mitogen)
    took: dict[str, list[float]] = {}
    tasks: dict[str, int] = {}

    def measure(name: str, playbook: Path, words: list[str]) -> None:
        for way, extra in ways.items():
            spent, tasks[way + name] = seconds(playbook, words, extra)
            took.setdefault(way + name, []).append(spent)
            print(f"{way}{name}: {spent:.1f} s", file=sys.stderr)

    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(args.rounds):
            for role in roles():
                measure(role, SITE, [*one, "--tags", role])
            measure(f"every role, {args.host}", SITE, one)
            number = tasks[f"every role, {args.host}"]
            measure(f"pings, {args.host}", pings(Path(scratch), number), one)
            measure("every role, every host", SITE, [])
    unit = statistics.median(took[f"pings, {args.host}"])
    print("| no change | tasks | seconds, median (min-max) | against as many pings on one host |")
    print("|---|---|---|---|")
    for name, values in took.items():
        middle = statistics.median(values)
        spread = f"{middle:.1f} ({min(values):.1f}-{max(values):.1f})"
        print(f"| {name} | {tasks[name]} | {spread} | {middle / unit:.2f} |")


if __name__ == "__main__":
    main()
