"""/etc under etckeeper: an entry for what we changed, and one for what somebody else changed."""

from __future__ import annotations

from pathlib import Path

from .shell import run

REPOSITORY = Path("/etc/.git")
# In the way back's plain shell; etckeeper refuses an empty entry, which is no failure.
RECORD = 'if [ -d /etc/.git ]; then etckeeper commit "{message}" >/dev/null 2>&1 || :; fi'


def before(kind: str) -> None:
    """Keep what somebody else changed in /etc, where etckeeper is at home."""
    if REPOSITORY.is_dir() and run(["etckeeper", "unclean"]).ok:
        run(["etckeeper", "commit", f"before {kind}: changed by somebody else"])


def made(name: str, told: list[str]) -> None:
    """Keep what we changed; it has an entry also when nothing of it lies in /etc."""
    message = "\n".join([name, "", *told])
    if REPOSITORY.is_dir() and not run(["etckeeper", "commit", message]).ok:
        run(["git", "-C", "/etc", "commit", "--quiet", "--allow-empty", f"--message={message}"])
