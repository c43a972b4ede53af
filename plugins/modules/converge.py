#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""What the converge action takes and returns. There is no code here: the action brings the host's
half along (``plugins/module_utils/tameng``)."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge
short_description: Make a role's packages, files, states and units so, in one round trip
description:
  - The action plugin of the same name renders the role's C(templates/), and asks the host's half
    with the outcome, which looks at the host, and says or makes what differs.
  - "The order is: refuse what would lock the operator out; install missing packages; validate new
    files; save the old state; arm the way back (with O(confirm)); write the files; make the states;
    run O(verify); bring the units up to date. When a step fails the old state is restored at once."
  - Supports check mode and diff.
options:
  name: {description: What the change is called; the role's name unless given., type: str}
  templates:
    description: The folder whose tree mirrors the host's; the role's C(templates/) unless given.
    type: path
  attributes:
    description: >-
      Mode, owner, group and a command that validates, by path, of what isn't root's, 0644.
    type: dict
  packages: {description: Packages that must be installed., type: list, elements: str, default: []}
  purge:
    description: Packages (or patterns) that must not be there.
    type: list
    elements: str
    default: []
  protected:
    description: Packages that O(purge) must not take along.
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
  bring:
    description: >-
      Files whose text the result has in C(brought), by path; in check mode of those that are there.
    type: list
    elements: str
    default: []
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
brought: {description: "The text of O(bring), by path.", type: dict, returned: always}
changed_files: {description: The paths among them., type: list, returned: always}
not_validated: {description: What check mode could not validate., type: list, returned: always}
"""
