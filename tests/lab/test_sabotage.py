"""Every control can fail, and its role heals it: see proving.py.

Only the rounds of the controls that were asked for are run: ``-k accounts`` costs what that family
costs. What no container can answer is proven in a virtual machine, by test_kernel.py.
"""

from __future__ import annotations

import dataclasses

import pytest

from compliance import inventory
from inputs import paths
from tests.lab.proving import CATALOGUE, PROOFS, Outcome, expect, prove, waived


@pytest.fixture(scope="module")
def outcomes(lab: str, lab_limit: str | None, request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """All rounds of the controls that are asked for, run once for the module."""
    wanted = [
        str(item.callspec.params["control"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    estate = inventory.load(paths.inventory("lab"))
    return prove(dataclasses.replace(estate, hosts=estate.select(lab_limit)), wanted)


@pytest.mark.parametrize("control", [c.id for c in CATALOGUE])
def test_breaking_it_is_seen_and_its_role_heals_it(
    control: str, outcomes: dict[str, Outcome]
) -> None:
    """Red for its own cause when its thing is broken, and green again by its role."""
    outcome = outcomes[control]
    if outcome.unproven and (waiver := waived(control)):
        # Red here by nature: that it names the cause can be seen, that it turns green can't.
        assert PROOFS[control].says in outcome.unproven
        pytest.skip(f"waived here: {waiver.reason}")
    if outcome.not_applicable:
        pytest.skip(f"proven in test_kernel.py; here {outcome.unproven}")
    expect(control, outcome)
