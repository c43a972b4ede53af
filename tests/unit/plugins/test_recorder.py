"""The recorder: what a playbook run of a court begins with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from inputs import paths


def test_a_bad_inventory_ends_the_run_before_any_host_is_asked(tmp_path: Path) -> None:
    """With file and line, as every verb says it; however the playbook was started."""
    court = tmp_path / "court"
    shutil.copytree(paths.inventory("lab"), court)
    network = court / "group_vars/all/network.yml"
    lines = network.read_text().splitlines()
    line = next(n for n, text in enumerate(lines) if "owner: " in text)
    lines[line] = lines[line].partition("owner: ")[0] + "owner: nobody"
    network.write_text("\n".join(lines))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "-i", court, "playbooks/site.yml"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert f"network.yml:{line + 1}: nobody is not among the people of court.yml" in said
    assert "TASK" not in said
