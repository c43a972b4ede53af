"""What the tests of the converge action share."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.tameng.files import Wanted


@pytest.fixture
def me() -> dict[str, str]:
    """Owner and group of files that this user may make."""
    return {
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
    }


@pytest.fixture
def wanted(tmp_path: Path, me: dict[str, str]) -> Any:
    """Makes a wanted file under the test's folder."""

    def make(name: str, content: str | None = "new\n", **more: str) -> Wanted:
        item = {"path": f"{tmp_path}/{name}", "content": content, "mode": "0644", **me, **more}
        return Wanted.read(item)

    return make
