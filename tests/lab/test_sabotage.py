"""Every control can fail, and its role heals it: see proving.py.

Only the rounds of the controls that were asked for are run: ``-k accounts`` costs what that family
costs. What no container can answer is proven by the ``kernel`` scenario, in a virtual machine.
"""

from __future__ import annotations

import dataclasses

import pytest

from compliance import inventory
from compliance.verdict import State
from inputs import paths
from tests.lab.proving import CATALOGUE, PROOFS, Outcome, prove


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
    """The control is no decoration: it turns red when its thing is broken, and names the cause."""
    outcome, proof = outcomes[control], PROOFS[control]
    if outcome.not_applicable:
        pytest.skip(f"proven in the kernel scenario; here {outcome.unproven}")
    assert not outcome.unproven
    assert not outcome.not_broken, f"on {outcome.host} the sabotage failed"
    assert outcome.red
    assert outcome.green
    assert outcome.red.state is State.FAIL, f"{outcome.red.state}: {outcome.red.message}"
    assert proof.says in outcome.red.message
    assert outcome.red.commands, "a verdict without a question"
    assert not outcome.beside, f"red on {outcome.host} too, and no suite says why"
    assert not outcome.not_healed, f"the healing run failed: {outcome.not_healed}"
    assert outcome.green.state is State.PASS, f"not healed: {outcome.green.message}"
