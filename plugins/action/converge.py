"""The controller's half of ``converge``: render a role's ``templates/`` by target path, send all of
it over in one round trip, and confirm over a *new* login what could have cut the operator off.

The host's half (``plugins/module_utils/tameng``) travels along, without Ansible's own module code:
to compile that is most of what a module costs a host that needs nothing (docs/adr/0066).

Parameters are those of ``plugins/modules/converge.py``, and these, of which its files are made:

templates   the folder whose tree mirrors the host's; the role's ``templates/`` unless given.
            ``NAME.j2`` is rendered to NAME, anything else is sent as it is. A path that `absent`
            names is not written (so a file can be wanted on some hosts only).
attributes  {path: {mode, owner, group, validate}} for what isn't root's, 0644 (0755 when the source
            is executable). `validate` is a command with %s. Of a path that isn't in the tree, only
            owner and mode are ours, where it exists.
"""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


def _listed(elements: str, **more: object) -> dict[str, object]:
    return {"type": "list", "elements": elements, "default": [], **more}


SPEC: dict[str, dict[str, object]] = {
    "name": {"type": "str", "required": True},
    "packages": _listed("str"),
    "purge": _listed("str"),
    "protected": _listed("str"),
    "lists_max_age": {"type": "int", "default": 21600},
    "absent": _listed("str"),
    "states": _listed(
        "dict",
        options={
            "name": {"type": "str", "required": True},
            "check": {"type": "str", "required": True},
            "make": {"type": "str", "required": True},
        },
    ),
    "verify": _listed("str"),
    "units": _listed(
        "dict",
        options={
            "name": {"type": "str", "required": True},
            "enabled": {"type": "bool"},
            "active": {"type": "bool"},
            "masked": {"type": "bool", "default": False},
            "watch": _listed("str"),
            "by": {"type": "str", "choices": ["restart", "reload"], "default": "restart"},
        },
    ),
    "keep": _listed("str"),
    "save": {"type": "str"},
    "restore": {"type": "str"},
    "bring": _listed("str"),
    "way_in": {
        "type": "dict",
        "default": {},
        "options": {
            "groups": {"type": "list", "elements": "str"},
            "users": {"type": "list", "elements": "str"},
            "networks": {"type": "list", "elements": "str"},
            "sources": {"type": "list", "elements": "str"},
        },
    },
    "confirm": {"type": "dict", "options": {"seconds": {"type": "int", "required": True}}},
}
HALF = Path(__file__).resolve().parents[1] / "module_utils" / "tameng"
# Read from its standard input: nothing of it is left on the host's disk.
BOOT = """import base64, json, os, sys
half = os.memfd_create("tameng")
os.write(half, base64.b64decode({half!r}))
sys.path.insert(0, f"/proc/self/fd/{{half}}")
from tameng.converge import answer
print(json.dumps(answer(json.loads({asked!r}))))
"""

ATTRIBUTES = {"mode", "owner", "group", "validate"}
BACK = {"restored": "took it back by itself and is as it was before", "unknown": "never began it"}
PATIENCE = 30  # seconds beyond the host's own, to find it again


def _packed() -> str:
    """The host's half as one archive, which Python imports from."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(HALF.glob("*.py")):
            archive.write(source, f"tameng/{source.name}")
    return base64.b64encode(packed.getvalue()).decode()


# Once for all hosts: Ansible loads this file before it forks for each of them.
PACKED = _packed()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible ships no types
    """See the module's docstring."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        role = self._task._role
        args.setdefault("name", role.get_name() if role else "change")
        top = args.pop("templates", None) or (Path(role._role_path) / "templates" if role else None)
        attributes = args.pop("attributes", {})
        args = _valid(args)
        args["files"] = self._files(
            Path(top) if top else None, attributes, args["absent"], variables
        )
        # Named here, so that the host can be asked about it even when its answer was lost.
        args["saved"] = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{args['name']}"
        seconds = (args["confirm"] or {}).get("seconds", 0)
        if seconds and not self._task.check_mode:
            # A host that can't be reached to begin with isn't one that a change has cut off.
            self._low_level_execute_command("exit 0", sudoable=False)
        try:
            result = self._module(args, variables)
        except AnsibleConnectionFailure as exc:
            if not seconds or self._task.check_mode:
                raise
            return self._gone_back(args["saved"], seconds, str(exc), variables)
        if not result.pop("armed", False) or result.get("failed"):
            return result
        return self._confirm(args["saved"], seconds, result, variables)

    def _module(self, asked: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """What the host's half answers; it fails with a sentence, also where it never began."""
        python = variables.get("ansible_python_interpreter") or constants.config.get_config_value(
            "INTERPRETER_PYTHON", variables=variables
        )
        told = json.dumps(asked | {"check": self._task.check_mode}, default=str)
        done = self._low_level_execute_command(
            f"{self._compute_environment_string()} {self._templar.template(python)} -".strip(),
            in_data=BOOT.format(half=PACKED, asked=told).encode(),
        )
        try:
            result: dict[str, Any] = json.loads(done["stdout"])
        except ValueError:
            words = (done["stderr"].strip() or done["stdout"].strip()).splitlines()
            said = words[-1] if words else "it said nothing"
            return {"failed": True, "msg": f"no answer ({done['rc']}): {said}", **done}
        return result

    def _confirm(
        self, name: str, seconds: int, result: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            # The kept connection proves nothing: sshd asked for its key before the change.
            self._connection.reset()
            answer = self._module({"phase": "confirm", "saved": name}, variables)
        except AnsibleError as exc:  # no login, or one that can't become root
            return self._gone_back(name, seconds, str(exc), variables)
        if answer.get("failed"):
            return self._gone_back(name, seconds, str(answer.get("msg")), variables)
        return result

    def _gone_back(
        self, name: str, seconds: int, why: str, variables: dict[str, Any]
    ) -> dict[str, Any]:
        """Wait for the host to heal itself, and say what became of it."""
        began = time.monotonic()
        # No knocking before: sshd holds failed logins against an address.
        time.sleep(seconds + 1)
        last = why
        while time.monotonic() - began < seconds + PATIENCE:
            try:
                self._connection.reset()
                answer = self._module({"phase": "status", "saved": name}, variables)
            except AnsibleError as exc:
                last = str(exc)
            else:
                if not answer.get("failed") and answer["state"] != "pending":
                    waited, state = round(time.monotonic() - began), answer["state"]
                    told = BACK.get(state, f"went back, but not whole ({_line(state)})")
                    return _lost(
                        why,
                        f"the host {told}: reachable again after {waited} s",
                        rolled_back=state in BACK,
                    )
                last = str(answer.get("msg", "the host has not gone back yet"))
            time.sleep(3)
        return _lost(
            why,
            f"the host has not come back within {seconds + PATIENCE} s ({_line(last)}): go there",
            rolled_back=False,
        )

    def _files(
        self,
        top: Path | None,
        attributes: dict[str, dict[str, str]],
        absent: list[str],
        variables: dict[str, Any],
    ) -> list[dict[str, Any]]:
        for path, given in attributes.items():
            if unknown := set(given) - ATTRIBUTES:
                raise AnsibleActionFail(f"attributes of {path}: {sorted(unknown)} is unknown")
        found = []
        for source in sorted(top.rglob("*")) if top and top.is_dir() else []:
            if source.is_dir():
                continue
            path = "/" + str(source.relative_to(top or "")).removesuffix(".j2")
            if path not in absent:
                content = self._render(source, variables)
                mode = "0755" if os.access(source, os.X_OK) else "0644"
                found.append(_file(path, content, mode, attributes.get(path, {})))
        there = {item["path"] for item in found}
        return found + [
            _file(path, None, "0644", given)
            for path, given in attributes.items()
            if path not in there and path not in absent
        ]

    def _render(self, source: Path, variables: dict[str, Any]) -> str:
        text = source.read_text()
        if source.suffix != ".j2":
            return text
        templar = self._templar.copy_with_new_env(
            searchpath=[str(source.parent)], available_variables=variables
        )
        rendered = templar.template(
            trust_as_template(text),
            escape_backslashes=False,
            overrides={"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True},
        )
        return str(rendered)


def _valid(args: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of what isn't given."""
    checked = ArgumentSpecValidator(SPEC).validate(args)
    if checked.error_messages:
        raise AnsibleActionFail("; ".join(checked.error_messages))
    valid: dict[str, Any] = checked.validated_parameters
    return valid


def _file(path: str, content: str | None, mode: str, given: dict[str, str]) -> dict[str, Any]:
    return {
        "path": path,
        "content": content,
        "mode": str(given.get("mode", mode)),
        "owner": given.get("owner", "root"),
        "group": given.get("group", "root"),
        "validate": given.get("validate"),
    }


def _lost(why: str, outcome: str, *, rolled_back: bool) -> dict[str, Any]:
    return {
        "failed": True,
        "rolled_back": rolled_back,
        "msg": f"After this change no new login was possible ({_line(why)}); {outcome}.",
    }


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
