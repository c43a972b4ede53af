"""What changes in /etc is recorded: git is asked, not etckeeper's settings."""

from __future__ import annotations

from typing import Any

from compliance.suite import Ask, Evidence, control

LATEST = (
    "cd /var/lib/tameng/saved && for one in *Z-*; do"
    ' if [ -e "$one/changes" ] && [ ! -e "$one/restored" ]; then echo "$one"; fi; done | tail -n 1'
)


@control(
    "history_kept",
    sabotage="rm -rf /etc/.git/HEAD",
    says="/etc has no readable history",
    also=("history_of_applies",),
)
def test_history_is_there(host: Any, ask: Ask, evidence: Evidence) -> None:
    """A commit can be read, and only by root: it holds password hashes and private keys."""
    commit = host.run("git -C /etc log -1 --format=%H,%cI")
    evidence.measured("latest", commit.stdout.strip())
    assert commit.rc == 0, f"/etc has no readable history: {commit.stderr.strip()}"
    mode = ask("stat -c %a-%U /etc/.git").strip()
    assert mode == "700-root", f"/etc/.git is {mode}: others can read its secrets"


@control(
    "history_of_applies",
    sabotage="mv /etc/.git /etc/.git-away; etckeeper init; etckeeper commit begun-anew;"
    " rm -rf /etc/.git-away",
    says="is not in the history",
)
def test_what_we_changed_is_in_it(ask: Ask, evidence: Evidence) -> None:
    """The newest change of ours that stands has its entry."""
    newest = ask(LATEST).strip()
    evidence.measured("newest change", newest)
    found = ask(f"git -C /etc log --format=%h --fixed-strings --grep={newest} -1") if newest else ""
    assert found.strip() or not newest, f"{newest} is not in the history of /etc"


@control(
    "history_daily",
    sabotage="systemctl disable -q --now etckeeper.timer",
    says="etckeeper.timer is inactive",
)
def test_changes_by_hand_are_recorded_daily(ask: Ask, evidence: Evidence) -> None:
    """The timer runs and has a next time."""
    shown = ask(
        "systemctl show -p ActiveState,UnitFileState,NextElapseUSecRealtime etckeeper.timer"
    )
    said = dict(line.split("=", 1) for line in shown.splitlines())
    evidence.measured("next", said["NextElapseUSecRealtime"])
    assert said["ActiveState"] == "active", f"etckeeper.timer is {said['ActiveState']}"
    assert said["UnitFileState"] == "enabled", "etckeeper.timer does not start with the host"
