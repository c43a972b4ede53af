"""A person sees one line a step, and of a failure what the tool itself said."""

from __future__ import annotations

import pytest

from cli.steps import Steps

PLAYED = """
PLAY [A court] ****
TASK [trees : Validating arguments against arg spec 'main'] ****
ok: [localhost]
TASK [trees : Build the trees] ****
[ERROR]: Task failed: Module failed: non-zero return code
fatal: [localhost]: FAILED! => {"msg": "non-zero return code", "stderr": "no route"}
PLAY RECAP ****
"""


def test_steps_are_told_and_the_cause_is_the_tools_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Argument checks are noise; Ansible's "non-zero return code" says less than stderr does."""
    steps = Steps()
    for line in PLAYED.splitlines():
        steps.line(line)
    assert capsys.readouterr().out == "  Build the trees … 0.0 s\n"
    assert steps.cause == "no route"
