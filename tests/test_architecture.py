"""The house holds: what leans on what, and no orphan between SOP, control, role and test."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from compliance import audit, catalogue, inventory, norms
from inputs import paths
from reports.publish import DOCUMENTS

ROOT = paths.ROOT
# Package: what of ours it may import. The suites are looked at by themselves.
MAY_IMPORT = {
    "inputs": set(),
    "compliance": {"inputs"},
    "reports": {"inputs", "compliance"},
    "cli": {"inputs", "compliance", "reports"},
    "plugins": {"inputs", "compliance"},
}
OURS = {*MAY_IMPORT, "records", "lab", "tests", "benchmarks"}
# reports reads what is kept: these would open a connection or ask an inventory.
ASKING = {"transport", "plugin", "workers", "audit", "inventory"}
CATALOGUE = catalogue.load()
PROOFS = audit.proofs(CATALOGUE)
SABOTAGE = (ROOT / "tests/lab/sabotage.sh").read_text()


def imports(file: Path) -> set[str]:
    """Dotted names that a module imports, its own package's included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(package: str) -> list[Path]:
    suites = ROOT / "compliance/suites"
    return [f for f in sorted((ROOT / package).rglob("*.py")) if suites not in f.parents]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_lean_one_way(package: str) -> None:
    """inputs <- compliance <- reports <- cli, and nothing on cli."""
    assert modules(package)
    for file in modules(package):
        leaned_on = {name.split(".")[0] for name in imports(file)} & OURS - {package}
        assert leaned_on <= MAY_IMPORT[package], f"{file} imports {leaned_on}"


def test_reports_ask_nobody() -> None:
    """Documents rebuild offline: they rest on what is kept."""
    for file in modules("reports"):
        asked = {name for name in imports(file) if name.startswith("compliance.")}
        assert not {name.split(".")[1] for name in asked} & ASKING, file


def test_suites_lean_on_testinfra_and_a_control_only() -> None:
    """They state what they expect, or take it from the inventory; never from a role."""
    for file in sorted((ROOT / "compliance/suites").glob("*.py")):
        for name in imports(file):
            top = name.split(".")[0]
            allowed = top in sys.stdlib_module_names | {"pytest", "testinfra"}
            assert allowed or name.startswith("compliance.suite."), f"{file} imports {name}"
        assert "roles/" not in file.read_text(), file


def test_roles_know_nothing_of_verdicts() -> None:
    """A role makes it so; whether it is so is somebody else's question."""
    for file in (f for f in (ROOT / "roles").rglob("*") if f.is_file() and f.suffix != ".pyc"):
        text = file.read_text()
        assert not re.search(r"compliance/|verdict|catalogue|reports/", text), file


@pytest.mark.parametrize("control", CATALOGUE.controls, ids=lambda c: c.id)
def test_a_control_is_whole(control: catalogue.Control) -> None:
    """It has a proof with a sabotage that names its cause, and a role that site.yml runs by tag."""
    proof = PROOFS.get(control.id)
    assert proof, "no test proves it"
    assert proof.test.startswith(f"compliance/suites/test_{control.family}.py::")
    assert proof.sabotage
    assert proof.says
    assert {*proof.also, *proof.elsewhere} <= set(CATALOGUE.by_id)
    assert control.enforced_by in site_roles()
    for name in ("lab", "penajam"):
        assert set(control.applies_to) <= groups(name), f"inventory/{name} lacks a group"


@cache
def shared_roles() -> set[str]:
    """Roles that others import, and that are no chapter of their own."""
    tasks = (file.read_text() for file in (ROOT / "roles").glob("*/tasks/*.yml"))
    return {name for text in tasks for name in re.findall(r"import_role:\s+name: (\w+)", text)}


@cache
def groups(name: str) -> set[str]:
    """The groups of an inventory."""
    return {g for gs in inventory.load(ROOT / "inventory" / name).estate.values() for g in gs}


@cache
def site_roles() -> set[str]:
    """Roles of site.yml that can be run alone by their own name."""
    plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    roles = [role for play in plays for role in play.get("roles", [])]
    return {role["role"] for role in roles if role["role"] in role.get("tags", [])}


def test_no_role_is_an_orphan() -> None:
    """Every role is in the story and proven by at least one control, or a part of such; and
    described."""
    proven = {control.enforced_by for control in CATALOGUE}
    for role in sorted(p.name for p in (ROOT / "roles").iterdir() if p.is_dir()):
        assert (role in site_roles() and role in proven) or role in shared_roles()
        assert (ROOT / "roles" / role / "meta/argument_specs.yml").exists()
        assert (ROOT / "roles" / role / "README.md").exists()


def test_no_test_is_an_orphan() -> None:
    """The plugin refuses a test without a control; here, that every proof is of the catalogue."""
    assert set(PROOFS) == set(CATALOGUE.by_id)


def test_no_sabotage_is_an_orphan() -> None:
    """Every function of the library is used, and every word that looks like one exists."""
    functions = set(re.findall(r"^(\w+)\(\)", SABOTAGE, re.MULTILINE))
    used = {proof.sabotage.split()[0] for proof in PROOFS.values()}
    inside = {f for f in functions if re.search(rf"^    {f} ", SABOTAGE, re.MULTILINE)}
    assert functions == (used & functions) | inside
    assert {word for word in used if "_" in word} <= functions


def test_documents_belong_to_steps() -> None:
    """A document's code is a step of the SOP."""
    assert {document.CODE for document in DOCUMENTS} <= set(CATALOGUE.by_step)


def test_every_reference_to_a_norm_leads_somewhere() -> None:
    """To a recommendation that exists, and that we did not decide to do otherwise."""
    norms.check(norms.load())


def test_every_decision_is_explained_and_used() -> None:
    """What is deliberately not done has its reason; a reason that nothing rests on is gone."""
    page = (ROOT / "docs/how-to/decisions.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    used = {i.decision for norm in norms.load().values() for i in norm.items if i.decision}
    assert sorted(headings) == sorted(used)
    families = "|".join(sorted({control.family for control in CATALOGUE}))
    assert set(re.findall(rf"`((?:{families})_\w+)`", page)) <= set(CATALOGUE.by_id)


@pytest.mark.parametrize("norm", norms.names())
def test_a_norm_is_met(norm: str) -> None:
    """Of what a program can judge, and what isn't about a tool that is proven idle, at least 95 %
    is proven, and the rest decided."""
    covered = norms.cover(norms.load()[norm], CATALOGUE)
    assert covered.share("proven") >= 95
    assert covered.share("proven", "decided") == 100


def test_what_makes_a_recommendation_void_is_asked() -> None:
    """By a control that there is."""
    items = [item for norm in norms.load().values() for item in norm.items]
    assert {item.void_by for item in items if item.void_by} <= set(CATALOGUE.by_id)
