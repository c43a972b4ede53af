"""Saved states, states of the running system, packages, and the operator's way in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.tameng import (
    converge,
    files,
    packages,
    rollback,
    saved,
    shell,
    states,
    way_back,
    way_in,
)
from plugins.module_utils.tameng.files import Change
from plugins.module_utils.tameng.saved import Saved
from plugins.module_utils.tameng.shell import Done, Refused, run
from plugins.module_utils.tameng.states import State


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Saved states in the test's folder, and a systemctl that does nothing."""
    monkeypatch.setattr(saved, "HOME", tmp_path / "var/saved")
    monkeypatch.setattr(saved, "UNITS", tmp_path / "units")
    monkeypatch.setattr(saved, "KEPT", 5)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text("#!/bin/sh\n")
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(shell, "PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path


def test_the_saved_script_brings_everything_back(home: Path) -> None:
    """Old content and mode, links as links, and what was not there goes; it needs only a shell."""
    for name in ("changed", "it's odd"):
        (home / name).write_text("old")
    (home / "changed").chmod(0o640)
    (home / "link").symlink_to("changed")
    paths = [home / name for name in ("changed", "it's odd", "link", "created")]
    changes = [Change(path, None, "", {}) for path in paths]
    state = Saved.take(
        "20261122T1Z-a", changes, [], [], "echo more >$SAVED/more", "cp $SAVED/more more2"
    )
    for path in paths:
        path.unlink(missing_ok=True)
        path.write_text("new")
    subprocess.run(["/bin/sh", str(state.folder / "restore")], check=True)
    assert (home / "changed").read_text() == (home / "it's odd").read_text() == "old"
    assert (home / "changed").stat().st_mode & 0o777 == 0o640
    assert (home / "link").is_symlink()
    assert not (home / "created").exists()
    assert (state.folder / "more2").read_text() == "more\n"
    assert state.restored()


def test_who_came_went_or_changed_since_a_run_stays_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a list of accounts the run's own lines go back, and nobody else's; run again, the same."""
    accounts = home / "passwd"
    monkeypatch.setattr(way_back, "ACCOUNTS", {accounts})

    def write(lines: str) -> None:
        accounts.write_text("".join(f"{line}\n" for line in lines.split()))

    write("root:0 old:1 left:2 changed:3 lost:4")
    accounts.chmod(0o640)
    state = Saved.take("20261122T1Z-a", [], [], keep=[str(accounts)])
    write("root:0 old:1:locked left:2 changed:3:locked ours:9")
    state.made(["told"])
    write("root:0 old:1:locked changed:3:other ours:9 budi:10")
    there = ["root:0", "old:1", "changed:3:other", "lost:4", "budi:10"]
    for _ in range(2):
        subprocess.run(["/bin/sh", str(state.folder / "restore")], check=True)
        assert accounts.read_text().split() == there
        assert accounts.stat().st_mode & 0o777 == 0o640


def test_owner_and_mode_alone_go_back_alone(home: Path, wanted: Any) -> None:
    """A whole folder is never copied for its mode; one that was made goes."""
    (home / "there").mkdir(mode=0o755)
    (home / "there/inner").write_text("")
    items = [wanted(name, content=None, mode="0700") for name in ("there/", "made/")]
    changes = files.compare(items, [])
    state = Saved.take("20261122T1Z-a", changes, [])
    for change in changes:
        files.apply(change)
    assert [(home / name).stat().st_mode & 0o777 for name in ("there", "made")] == [0o700] * 2
    assert files.compare(items, []) == []
    (home / "there/inner").write_text("kept")
    subprocess.run(["/bin/sh", str(state.folder / "restore")], check=True)
    assert (home / "there").stat().st_mode & 0o777 == 0o755
    assert (home / "there/inner").read_text() == "kept"
    assert not (home / "made").exists()


def test_a_way_back_that_fails_in_part_says_so(home: Path) -> None:
    """The rest goes back all the same; nobody is told that the host is as it was. Run once more,
    when what was in its way is gone, it is."""
    for name in ("gone/first", "second"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("old")
    changes = [Change(home / name, None, "", {}) for name in ("gone/first", "second")]
    state = Saved.take("20261122T1Z-a", changes, [], restore="false\ntrue")
    state.made(["told"])
    (home / "second").write_text("new")
    shutil.rmtree(home / "gone")
    with pytest.raises(Refused, match=r"(?s)20261122T1Z-a: .*gone/first.*failed: false"):
        rollback.rollback("20261122T1", [], check=False)
    assert (home / "second").read_text() == "old"
    assert not state.restored()
    assert "gone/first" in converge.status("20261122T1Z-a")["state"]
    with pytest.raises(Refused, match="not whole"):
        state.disarm()


def test_a_rollback_undoes_all_runs_since(home: Path) -> None:
    """The newest first, so that what is left is what was before the first of them; what failed
    once is tried again."""
    (home / "file").write_text("0")
    for number in (1, 2, 3):
        state = Saved.take(f"20261122T{number}Z-a", [Change(home / "file", None, "", {})], [])
        state.made([f"change {number}"])
        (home / "file").write_text(str(number))
    rollback.rollback("20261122T3", [], check=False)
    assert (home / "file").read_text() == "2"
    assert len(rollback.rollback("20261122T1", [], check=False)["changes"]) == 2
    assert (home / "file").read_text() == "0"


def test_folders_that_a_change_made_go_when_they_are_empty(home: Path) -> None:
    """An empty folder of drop-ins is a trace, too; with another's file in it, it stays."""
    paths = [home / "made/by/us", home / "made/ours.d/one", home / "made/shared/ours"]
    kept = home / "made/by_a_state/kept"
    changes = [Change(path, None, "", {}) for path in paths]
    state = Saved.take("20261122T1Z-a", changes, [], keep=[str(kept)])
    for path in (*paths, home / "made/shared/theirs", kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    state.made([])
    state.restore()
    assert [path.name for path in (home / "made").rglob("*")] == ["shared", "theirs"]


def test_a_shared_folder_goes_with_the_last_of_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it, and in whatever order roles are taken back."""
    shared = home / "shared"
    monkeypatch.setattr(way_back, "SHARED", {shared})
    shared.mkdir()
    states = []
    for number, name in enumerate("ab", 1):
        change = Change(shared / name, None, "", {})
        states.append(Saved.take(f"20261122T{number}Z-{name}", [change], []))
        change.path.write_text("")
        states[-1].made([])
    states[0].restore()
    assert shared.is_dir()
    states[1].restore()
    assert not shared.exists()


def test_an_armed_way_back_outlives_a_restart(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its units start with the host until somebody confirms; meanwhile no second one is armed."""
    monkeypatch.setattr(saved, "must", lambda argv: argv[0] == "systemctl" or run(argv))
    state = Saved.take("20261122T1Z-a", [], [])
    state.arm(45)
    link = home / "units/multi-user.target.wants/tameng-way-back-a.service"
    assert f"ExecStart=/bin/sh {state.folder}/restore" in link.read_text()
    second = Saved.take("20261122T2Z-a", [], [])
    with pytest.raises(Refused, match="still unconfirmed"):
        second.arm(45)
    converge.confirm("20261122T1Z-a")
    assert not any(path.is_file() for path in (home / "units").rglob("*"))
    second.arm(45)
    second.restore()
    assert not any(path.is_symlink() for path in (home / "units").rglob("*"))


def test_old_saved_states_are_thrown_away(home: Path) -> None:
    """So many of a kind; another kind's are its own."""
    Saved.take("20261122T0Z-other", [], [])
    for number in range(8):
        Saved.take(f"20261122T{number}Z-a", [], [])
    left = sorted(path.name for path in (home / "var/saved").iterdir())
    assert left == ["20261122T0Z-other", *(f"20261122T{number}Z-a" for number in range(3, 8))]


def test_a_confirmation_that_comes_too_late_is_refused() -> None:
    """The host had gone back already: to say `changed` would be a lie."""
    state = Saved.take("20261122T1Z-a", [], [])
    assert converge.status("20261122T1Z-a") == {"changed": False, "state": "pending"}
    (state.folder / "restored").touch()
    with pytest.raises(Refused, match="too late"):
        converge.confirm("20261122T1Z-a")
    assert converge.status("20261122T1Z-a")["state"] == "restored"
    assert converge.status("20261122T2Z-never")["state"] == "unknown"


def test_a_confirmation_while_the_host_goes_back_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It isn't back yet, but nobody can stop it any more."""
    Saved.take("20261122T1Z-a", [], [])
    monkeypatch.setattr(saved, "run", lambda argv: Done("", 0, "activating\n", ""))
    with pytest.raises(Refused, match="too late"):
        converge.confirm("20261122T1Z-a")


def test_a_state_that_its_remedy_does_not_mend_is_a_failure(home: Path) -> None:
    """Or every run would report a change and nothing would change."""
    good = State("there", f"test -e {home}/x || {{ echo missing; exit 1; }}", f"touch {home}/x")
    found = states.broken([good])
    assert [item.said for item in found] == ["missing"]
    states.make(found)
    assert states.broken([good]) == []
    with pytest.raises(Refused, match="never: still not so"):
        states.make(states.broken([State("never", "false", "true")]))


def test_only_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removed package whose configuration is left counts as missing."""
    said = "chrony installed\nnftables config-files\n"
    monkeypatch.setattr(packages, "run", lambda _argv: Done("dpkg-query", 1, said, ""))
    assert packages.missing(["chrony", "nftables", "sudo"]) == ["nftables", "sudo"]


def test_nothing_that_holds_the_host_is_purged_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt is asked only where there is something to purge; by what it says, not by its status."""
    said = "Reading package lists...\nPurg sudo [1.9]\nRemv ssh-askpass [1]\n"
    monkeypatch.setattr(packages, "must", lambda _argv: Done("apt-get", 0, said, ""))
    packages.refuse(["rsh-client"], ["cron"])
    with pytest.raises(Refused, match="rsh-client would take sudo along"):
        packages.refuse(["rsh-client"], ["cron", "sudo"])
    monkeypatch.setattr(packages, "must", pytest.fail)
    packages.refuse([], ["sudo"])


@pytest.mark.parametrize(
    ("networks", "sources", "complaint"),
    [
        (["10.0.0.0/8"], ["10.1.0.0/16"], None),
        (["10.0.0.0/8", "fd00::/8"], ["fd00:1::/64"], None),
        (["0.0.0.0/0"], ["10.1.0.0/16"], None),
        (["10.1.1.0/24"], ["10.1.0.0/16"], "operator source 10.1.0.0/16"),
        (["10.2.0.0/16"], [], "this login from 10.1.1.1"),
        ([], [], "this login from 10.1.1.1"),
    ],
)
def test_the_operator_must_stay_inside(
    networks: list[str], sources: list[str], complaint: str | None
) -> None:
    """His networks, and the address that he comes from right now."""
    login = way_in.Login("tameng", "10.1.1.1")
    wanted: dict[str, Any] = {"networks": networks, "sources": sources}
    if complaint is None:
        way_in.refuse(wanted, login)
        return
    with pytest.raises(Refused, match=f"nothing was changed: {complaint}"):
        way_in.refuse(wanted, login)


def test_a_login_needs_its_group_and_a_usable_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short RSA key is one that sshd will not take."""
    (home / ".ssh").mkdir()
    keys = home / ".ssh/authorized_keys"
    entry = type("Entry", (), {"pw_dir": str(home)})
    monkeypatch.setattr("pwd.getpwnam", lambda _name: entry)
    said = {"id": "users\n", "ssh-keygen": "2048 SHA256:abc me@there (RSA)\n"}
    monkeypatch.setattr(way_in, "run", lambda argv: Done("", 0, said[argv[0]], ""))
    login = way_in.Login("tameng", "10.1.1.1")
    with pytest.raises(Refused) as refusal:
        way_in.refuse({"groups": ["ssh-users"]}, login)
    assert "tameng is in none of the groups ssh-users" in str(refusal.value)
    assert f"no usable key in {keys}" in str(refusal.value)
    said |= {"id": "users ssh-users\n", "ssh-keygen": "256 SHA256:abc me (ED25519)\n"}
    way_in.refuse({"groups": ["ssh-users"]}, login)
    with pytest.raises(Refused, match="root"):
        way_in.refuse({"groups": ["ssh-users"]}, way_in.Login("root", "10.1.1.1"))


@pytest.mark.parametrize(
    ("shell", "others", "ends", "complaint"),
    [
        ("/bin/sh", [], "", None),
        ("/bin/sh", [], "99999", None),
        ("/usr/sbin/nologin", [], "", "tameng has no shell"),
        ("/bin/sh", ["toor"], "", "shares his id with toor"),
        ("/bin/sh", [], "20000", "the account of tameng has expired"),
    ],
)
def test_the_operator_s_account_must_stay_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: str,
    others: list[str],
    ends: str,
    complaint: str | None,
) -> None:
    """What would shut him out at his next login, and who he has to be."""
    row = type("Row", (), {"pw_uid": 1000, "pw_shell": shell})
    rows = [type("Row", (row,), {"pw_name": name}) for name in ("tameng", *others)]
    monkeypatch.setattr("pwd.getpwnam", lambda _name: row)
    monkeypatch.setattr("pwd.getpwall", lambda: rows)
    monkeypatch.setattr(way_in, "SHADOW", tmp_path / "shadow")
    way_in.SHADOW.write_text(f"tameng:!:20000:0:99999:7::{ends}:\n")
    login = way_in.Login("tameng", "10.1.1.1")
    with pytest.raises(Refused, match="none of the operators budi"):
        way_in.refuse({"users": ["budi"]}, login)
    if complaint is None:
        way_in.refuse({"users": ["tameng"]}, login)
        return
    with pytest.raises(Refused, match=complaint):
        way_in.refuse({"users": ["tameng"]}, login)


def test_a_command_is_run_in_the_c_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are matched and quoted; a missing program is an answer, not a crash."""
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    assert run("echo $LC_ALL").out == "C\n"
    assert run(["/no/such/program"]).status == 127
