"""Signatures of manifests, by OpenSSH (ssh-keygen(1), ``-Y sign``; PROTOCOL.sshsig)."""

from __future__ import annotations

import base64
import getpass
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from compliance.evidence import write_atomically
from inputs.errors import BadInput

NAMESPACE = "tameng-evidence"


@dataclass(frozen=True)
class Signer:
    """The key that signs and the list of those whose signature counts (allowed_signers)."""

    key: Path
    allowed: Path

    @classmethod
    def of(cls, court_var: Path, inventory: Path) -> Signer:
        """TAMENG_SIGNING_KEY (its private half may be in an agent), else a key of this court,
        made when first needed. A court commits its allowed_signers beside its inventory; without
        one the list stands in ``var/`` and proves only that nobody changed the files since."""
        key = Path(os.environ.get("TAMENG_SIGNING_KEY") or court_var / "evidence_ed25519")
        committed = inventory / "allowed_signers"
        return cls(key, committed if committed.exists() else court_var / "allowed_signers")

    def make(self) -> None:
        """Create what is missing; an existing key or list is never touched."""
        if not self.key.exists():
            self.key.parent.mkdir(parents=True, exist_ok=True)
            who = f"{getpass.getuser()}@{platform.node()}"
            _keygen("-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(self.key))
        if not self.allowed.exists():
            kind, blob = self.key.with_name(self.key.name + ".pub").read_text().split()[:2]
            line = f'tameng namespaces="{NAMESPACE}" {kind} {blob}\n'
            write_atomically(self.allowed, line.encode())

    def sign(self, file: Path) -> bytes:
        """The armoured signature over the file's bytes."""
        done = _keygen(
            "-Y", "sign", "-f", str(self.key), "-n", NAMESPACE, "-q", stdin=file.read_bytes()
        )
        return done.stdout

    def accepts(self, data: bytes, signature: Path) -> bool:
        """Whether one of the allowed signers signed exactly ``data``."""
        principal = _keygen(
            "-Y", "find-principals", "-s", str(signature), "-f", str(self.allowed), check=False
        )
        name = principal.stdout.decode(errors="replace").strip().split("\n")[0]
        if principal.returncode or not name:
            return False
        return not _keygen(
            "-Y", "verify", "-f", str(self.allowed), "-I", name, "-n", NAMESPACE,
            "-s", str(signature), stdin=data, check=False,
        ).returncode  # fmt: skip


def canonical(armour: bytes) -> bytes:
    """The signature as ssh-keygen writes it: base64 ignores bytes that a changed file may have."""
    text = armour.decode("ascii", "replace").split("-----")
    blob = base64.b64encode(base64.b64decode(text[2])).decode() if len(text) > 2 else ""
    wrapped = "\n".join(blob[i : i + 70] for i in range(0, len(blob), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{wrapped}\n-----END SSH SIGNATURE-----\n".encode()


def _keygen(
    *args: str, stdin: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(["ssh-keygen", *args], input=stdin, capture_output=True, check=False)
    if check and done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise BadInput.at(Path(args[args.index("-f") + 1]), 0, f"this key cannot sign: {why}")
    return done
