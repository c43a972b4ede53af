#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Undo what ``converge`` changed."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollback
short_description: Return a host's configuration and services to before a named run
description:
  - Runs the way back of every change that C(converge) made since, newest first.
  - Packages that were installed or purged stay so; the result's C(stays) names them.
  - Supports check mode.
options:
  before: {description: A run's id or the UTC time it begins with., type: str, required: true}
  roles: {description: Only these roles; all unless given., type: list, elements: str, default: []}
author: [Tameng]
"""

EXAMPLES = r"""
- name: Back to what was before the run
  rollback:
    before: 20261122T193142.459Z-apply-8b54
"""

RETURN = r"""
changes: {description: A line for each thing that was undone., type: list, returned: always}
stays: {description: What no way back undoes., type: list, returned: always}
"""

import syslog  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.tameng.rollback import rollback  # noqa: E402
from ansible.module_utils.tameng.shell import Refused  # noqa: E402

SPEC: dict[str, dict[str, object]] = {
    "before": {"type": "str", "required": True},
    "roles": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = rollback(module.params["before"], module.params["roles"], module.check_mode)
    except Refused as exc:
        module.fail_json(msg=str(exc))
    if result["changed"] and not module.check_mode:
        syslog.openlog("tameng")
        syslog.syslog(f"rolled back: {'; '.join(result['changes'])}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
