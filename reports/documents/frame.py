"""The frame of a document: kop, number, signature blocks, and where its content came from."""

from __future__ import annotations

from collections.abc import Sequence

from compliance.evidence import Run
from inputs.court import Performer
from reports import words
from reports.assess import Assessment
from reports.documents.parts import Frame, Signature

BLANK = "." * 34


def build(
    assessment: Assessment,
    step: str,
    title: str,
    subtitle: str,
    signers: Sequence[tuple[str, Performer]],
) -> Frame:
    """The frame of ``step``'s document; ``signers`` pairs a lead line with a performer."""
    court, period = assessment.court, assessment.period
    return Frame(
        code=step,
        title=title,
        subtitle=subtitle,
        letterhead=court.letterhead,
        contact=(court.address, f"Laman: {court.website} · Surel: {court.email}"),
        number=number(assessment, step),
        month=words.month(period),
        basis=_basis(assessment),
        running=f"{step} · {title} · {words.month(period)} · {court.short_name}",
        provenance=_provenance(assessment.month.audits),
        created=f"{assessment.as_of:%Y-%m-%dT%H:%M:%SZ}" if assessment.as_of else "",
        signatures=tuple(signature(assessment, lead, who) for lead, who in signers),
    )


def number(assessment: Assessment, step: str) -> str:
    """The letter's number with a blank for what the registry gives."""
    numbering, period = assessment.court.numbering, assessment.period
    code = numbering.classification.get(step, numbering.default)
    return f"Nomor: ......../{numbering.unit}/{code}/{words.ROMAN[period.month - 1]}/{period.year}"


def signature(assessment: Assessment, lead: str, performer: Performer) -> Signature:
    """The block of whoever fills ``performer`` on the day the document speaks of."""
    post = assessment.catalogue.sop.performers[performer]
    held = assessment.court.holder(performer, assessment.day)
    if not held:
        return Signature(lead, f"{post},", BLANK, "NIP. " + BLANK)
    holder, person = held
    role = f"{holder.acting} {post}," if holder.acting else f"{post},"
    return Signature(lead, role, person.name, f"NIP. {words.nip(person.nip)}")


def place(assessment: Assessment) -> str:
    """Where it is signed; the day is left to the hand that signs."""
    return f"{assessment.court.place}, {BLANK}"


def _basis(assessment: Assessment) -> str:
    if not assessment.as_of:
        return "Tidak ada bukti pemeriksaan yang tersimpan untuk bulan ini"
    return f"Keadaan per {words.moment(assessment.as_of, assessment.court.tz)}"


def _provenance(audits: Sequence[Run]) -> str:
    if not audits:
        return "Tanpa bukti: tidak ada commit dan manifes"
    return f"Commit {commit(audits[-1])} · Manifes {(audits[-1].manifest_sha256 or '')[:16]}"


def commit(run: Run) -> str:
    """The version that ran, and whether somebody had changed it without a commit."""
    short = str(run.info.get("commit") or "tidak diketahui")[:12]
    return f"{short} + perubahan" if run.info.get("dirty") else short
