"""What helpers may do by sudo, for the role that makes it so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Ansible loads this file by its path, so the checkout's own packages are not yet importable.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from compliance.inventory import plain
from inputs import delegations


def refusals(written: list[Any], administrators: list[str], leavers: list[str]) -> list[str]:
    """{{ delegations | delegation_refusals(administrators, leavers) }}: what is wrong with them."""
    return delegations.refusals(plain(written), plain(administrators), plain(leavers))


def rules(written: list[Any]) -> list[dict[str, str]]:
    """{{ delegations | delegation_rules }}: rows {who, starter, rule, review, note}."""
    return delegations.rules(plain(written))


class FilterModule:
    """Ansible's interface."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"delegation_refusals": refusals, "delegation_rules": rules}
