#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""The host's half of the converge action."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge
short_description: Make a role's packages, files, states and units so, in one round trip
description:
  - The action plugin of the same name renders the role's C(templates/) and calls this module with
    the outcome. The module looks at the host, and says or makes what differs.
  - "The order is: refuse what would lock the operator out; install missing packages; validate new
    files; save the old state; arm the way back (with O(confirm)); write the files; make the states;
    run O(verify); bring the units up to date. When a step fails the old state is restored at once."
  - Supports check mode and diff.
options:
  name: {description: What the change is called; the role's name unless given., type: str}
  phase:
    description: V(converge) does the work; the action plugin alone uses the others.
    choices: [converge, confirm, status]
    default: converge
    type: str
  saved:
    description: The name of the saved state; set by the action plugin.
    type: str
    required: true
  packages: {description: Packages that must be installed., type: list, elements: str, default: []}
  purge:
    description: Packages (or patterns) that must not be there.
    type: list
    elements: str
    default: []
  keep:
    description: Paths (folders, too) that O(states) may change; what they did change goes back.
    type: list
    elements: str
    default: []
  save: {description: Shell; puts more of the old state into $SAVED., type: str}
  restore:
    description: Shell; runs with C(set -e) after the old files are back, with $SAVED.
    type: str
  lists_max_age:
    description: Seconds after which apt's lists are asked for anew before a package is installed.
    type: int
    default: 21600
  files:
    description: Written by the action plugin, from C(templates/) and C(attributes).
    type: list
    elements: dict
    default: []
  absent: {description: Paths or patterns to remove., type: list, elements: str, default: []}
  verify:
    description: Commands that must succeed once files and states are so, before any unit is told.
    type: list
    elements: str
    default: []
  states:
    description: Questions about the running system, each with what makes the answer right.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {type: str, required: true, description: What should be so.}
      check: {type: str, required: true, description: Shell; exits 0 when it is so.}
      make: {type: str, required: true, description: Shell; makes it so.}
  units:
    description: systemd units.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {type: str, required: true, description: "With its suffix, as in C(ssh.service)."}
      enabled: {type: bool, description: Whether it starts at boot.}
      active: {type: bool, description: Whether it runs now.}
      masked: {type: bool, default: false, description: Stopped and made unstartable.}
      watch:
        description: Patterns of the files it reads at its start. When one of them is younger than
          the unit's last start or reload, the unit is told.
        type: list
        elements: str
        default: []
      by: {choices: [restart, reload], default: restart, type: str, description: How it is told.}
  way_in:
    description: What the operator's present login is held against before anything changes.
    type: dict
    default: {}
    suboptions:
      groups: {type: list, elements: str, description: The login user must be in one of these.}
      users: {type: list, elements: str, description: The login user must be one of these.}
      networks: {type: list, elements: str, description: The login must come from one of these.}
      sources: {type: list, elements: str, description: "Must lie within O(way_in.networks), too."}
  confirm:
    description: Make the change only for a while, until a new login has confirmed it.
    type: dict
    suboptions:
      seconds: {type: int, required: true, description: How long before the host goes back.}
author: [Tameng]
"""

EXAMPLES = r"""
- name: The clock is kept by chrony
  converge:
    packages: [chrony]
    units: [{name: chrony.service, enabled: true, active: true, watch: [/etc/chrony/tameng.conf]}]
"""

RETURN = r"""
changes: {description: A line for each thing that differs., type: list, returned: always}
changed_files: {description: The paths among them., type: list, returned: always}
not_validated: {description: What check mode could not validate., type: list, returned: always}
"""

import os  # noqa: E402
import syslog  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.tameng.converge import confirm, converge, status  # noqa: E402
from ansible.module_utils.tameng.shell import Refused  # noqa: E402


def listed(elements: str, **more: object) -> dict[str, object]:
    return {"type": "list", "elements": elements, "default": [], **more}


SPEC: dict[str, dict[str, object]] = {
    "name": {"type": "str"},
    "phase": {"type": "str", "choices": ["converge", "confirm", "status"], "default": "converge"},
    "saved": {"type": "str", "required": True},
    "packages": listed("str"),
    "purge": listed("str"),
    "keep": listed("str"),
    "save": {"type": "str"},
    "restore": {"type": "str"},
    "lists_max_age": {"type": "int", "default": 21600},
    "files": listed("dict"),
    "absent": listed("str"),
    "verify": listed("str"),
    "states": listed(
        "dict",
        options={
            "name": {"type": "str", "required": True},
            "check": {"type": "str", "required": True},
            "make": {"type": "str", "required": True},
        },
    ),
    "units": listed(
        "dict",
        options={
            "name": {"type": "str", "required": True},
            "enabled": {"type": "bool"},
            "active": {"type": "bool"},
            "masked": {"type": "bool", "default": False},
            "watch": listed("str"),
            "by": {"type": "str", "choices": ["restart", "reload"], "default": "restart"},
        },
    ),
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
    "confirm": {
        "type": "dict",
        "options": {
            "seconds": {"type": "int", "required": True},
        },
    },
}


def main() -> None:
    # sudo's own is for people's files: what a package or a remedy writes must stay readable.
    os.umask(0o022)
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        if module.params["phase"] == "confirm":
            result = confirm(module.params["saved"])
        elif module.params["phase"] == "status":
            result = status(module.params["saved"])
        else:
            result = converge(module.params, module.check_mode)
    except Refused as exc:
        module.fail_json(msg=str(exc))
    if result["changed"] and not module.check_mode:
        # In place of Ansible's own line, which would hold whole files: the action switches it off.
        syslog.openlog("tameng")
        syslog.syslog(f"{module.params['name']}: {'; '.join(result['changes'])}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
