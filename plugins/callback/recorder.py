"""Record every playbook run of a court as evidence, however it was started."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

# Ansible loads this file by its path, so the checkout's own packages are not yet importable.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from compliance import chain, inventory, origin
from compliance.evidence import Recorder, TaskResult, now
from compliance.signing import Signer
from inputs import paths
from inputs.errors import BadInput

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Record playbook runs as evidence
description:
  - Writes a run of kind C(apply) to C(var/COURT/runs), sealed when the playbook ends. Only what was
    done is kept (host, role, task, state), never a result's content, so no secret gets in.
  - An inventory without a C(court.yml) beside its hosts is no court's and is not recorded.
requirements: [enabled by C(callbacks_enabled)]
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible ships no types
    """Ansible's callback interface; one instance lives as long as the playbook run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._inventory: inventory.Inventory | None = None
        self._playbook = ""
        self._began: dict[tuple[str, str], tuple[float, str]] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = Path(playbook._file_name).name

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if self._recorder or self._inventory:
            return
        folder = _court_folder()
        if not folder:
            return
        variables = play.get_variable_manager()
        if not variables._inventory.get_hosts(inventory.MANAGED, ignore_limits=True):
            return  # a play on this machine alone (raising the lab) says nothing about the court
        try:
            self._inventory = inventory.of(folder, variables._inventory, variables)
            info = origin.describe(self._inventory, _selection(self._playbook))
            runs = paths.var(self._inventory.court) / "runs"
            self._recorder = Recorder.begin(runs, "apply", info)
        except BadInput as exc:
            # Ansible turns any other exception of a callback into a warning, and goes on.
            for complaint in exc.complaints:
                self._display.error(str(complaint))
            raise SystemExit(2) from None
        except OSError as exc:
            self._give_up(exc)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._began[host.get_name(), task._uuid] = (time.monotonic(), now())

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        self._write(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not (self._recorder and self._inventory):
            return
        hosts = {
            host.name: {"state": _state(stats, host.name), "host_key": "", "detail": ""}
            for host in self._inventory.hosts
        }
        try:
            self._recorder.end(hosts=hosts)
            court_var = paths.var(self._inventory.court)
            chain.seal(self._recorder.folder, Signer.of(court_var, self._inventory.folder))
        except (OSError, BadInput) as exc:
            self._give_up(exc)

    def _write(self, result: Any, state: Any) -> None:
        if not self._recorder:
            return
        host, task = result.host.get_name(), result.task
        began, at = self._began.pop((host, task._uuid), (time.monotonic(), now()))
        record = TaskResult(
            host=host,
            role=task._role.get_name() if task._role else "",
            task=str(task.get_name(include_role_fqcn=False)),
            action=str(task.action),
            changed=state == "changed",
            state=state,
            at=at,
            seconds=round(time.monotonic() - began, 3),
        )
        try:
            self._recorder.write(record)
        except OSError as exc:
            self._give_up(exc)

    def _give_up(self, why: Exception) -> None:
        """The machines come first: the playbook goes on, loudly, and the run stays incomplete."""
        self._recorder = None
        self._display.error(f"this run is NOT recorded as evidence: {why}")


def _court_folder() -> Path | None:
    for source in context.CLIARGS.get("inventory") or ():
        path = Path(str(source)).resolve()
        folder = path if path.is_dir() else path.parent
        if (folder / "court.yml").is_file():
            return folder
    return None


def _selection(playbook: str) -> dict[str, Any]:
    arguments = context.CLIARGS
    return {
        "playbook": playbook,
        "limit": arguments.get("subset"),
        "tags": [tag for tag in arguments.get("tags") or () if tag != "all"],
        "check": bool(arguments.get("check")),
    }


def _state(stats: Any, host: str) -> str:
    if host not in stats.processed:
        return "not_asked"
    summary = stats.summarize(host)
    if summary["unreachable"]:
        return "unreachable"
    return "error" if summary["failures"] else "answered"
