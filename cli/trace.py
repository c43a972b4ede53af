"""``tameng trace``: the 29 steps, or a norm, with what covers each part, and what doesn't yet."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from cli.options import Verbs, add_verb
from compliance import audit, catalogue, norms
from compliance.catalogue import Catalogue
from compliance.suite import Proof
from reports.publish import DOCUMENTS

_EXAMPLES = """\
examples:
  tameng trace           one line a step, then what is not covered
  tameng trace --json    everything, for another program: step -> controls -> role, test, documents
  tameng trace --norm cis_debian13    what is proven, void, decided and open
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "trace",
        help="the SOP's 29 steps or a norm, and what covers them",
        description="Follow each step of the SOP to its controls, roles, tests and documents;"
        " or each recommendation of a norm to the controls that prove it.",
        examples=_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="as data")
    parser.add_argument("--norm", choices=norms.names(), help="a norm instead of the SOP")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    known = catalogue.load()
    if args.norm:
        return _norm(known, args.norm, as_data=args.json)
    traced = trace(known, audit.proofs(known))
    if args.json:
        print(json.dumps(traced, ensure_ascii=False, indent=1))
        return 0
    activities = {step.id: step.activity for step in known.sop.steps}
    bare = []
    for step in traced["steps"]:
        controls, documents = len(step["controls"]), step["documents"]
        made = f"{controls:>3} controls" if controls else "  - controls"
        print(f"{step['id']}  {made}  {', '.join(documents) or '-':<20} {activities[step['id']]}")
        if not (controls or documents or step["records"]):
            bare.append(step["id"])
    total = len({c["id"] for step in traced["steps"] for c in step["controls"]})
    print(f"\n{total} controls; {29 - len(bare)} of 29 steps have a control or a document")
    print(f"nothing covers yet: {', '.join(bare) or 'none'}")
    return 0


def _norm(known: Catalogue, name: str, *, as_data: bool) -> int:
    """One line a section; what is open by its id."""
    all_norms = norms.load()
    norms.check(all_norms)
    covered = norms.cover(all_norms[name], known)
    norm = covered.norm
    if as_data:
        print(json.dumps(covered.as_data(), ensure_ascii=False, indent=1))
        return 0
    print(f"{norm.title} {norm.version}, {', '.join(norm.aim)}: what a program can judge")
    print(f"\n{'section':<13}{'all':>5}{'proven':>8}{'void':>6}{'decided':>9}  open")
    for section in covered.sections():
        proven = len(covered.counted("proven", section))
        void, decided = (len(covered.counted(s, section)) for s in ("void", "decided"))
        left = " ".join(covered.counted("open", section)) or "-"
        total = len(covered.counted(section=section))
        begin = f"{section:<13}{total:>5}{proven:>8}{void:>6}{decided:>9}  "
        print(textwrap.fill(left, 110, initial_indent=begin, subsequent_indent=" " * len(begin)))
    void = len(covered.counted("void"))
    print(f"\n{len(covered.counted())} recommendations,")
    print(f"{void} of them void: they speak of a tool that is proven idle; of the rest")
    print(f"{covered.share('proven'):.1f} % proven,")
    print(f"{covered.share('decided'):.1f} % decided otherwise (docs/how-to/decisions.md),")
    print(f"{covered.share('open'):.1f} % open")
    return 0


def trace(known: Catalogue, proofs: dict[str, Proof]) -> dict[str, Any]:
    """The shape that docs/architecture.md gives; a control stands under each step it serves."""
    documents = {document.CODE: [document.FILE] for document in DOCUMENTS}
    return {
        "steps": [
            {
                "id": step.id,
                "documents": documents.get(step.id, []),
                "records": [],
                "controls": [_control(c, proofs.get(c.id)) for c in known.by_step[step.id]],
            }
            for step in known.sop.steps
        ]
    }


def _control(control: catalogue.Control, proof: Proof | None) -> dict[str, Any]:
    return {
        "id": control.id,
        "family": control.family,
        "role": control.enforced_by,
        "test": proof.test if proof else None,
        "sabotage": proof.sabotage if proof else None,
        "says": proof.says if proof else None,
        "also": list(proof.also) if proof else [],
        "elsewhere": list(proof.elsewhere) if proof else [],
        "severity": control.severity,
        "applies_to": control.applies_to,
        "references": control.references,
        "every": control.every,
    }
