"""Does ``python -m tracegate audit`` say what is so, and leave with 0 only where the chain verifies?"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

import tracegate
from tests.contract.audit_forger import KEY, SECRET, a_row, harm, rows, write
from tracegate.cli import main
from tracegate.store import audit_scan
from tracegate.store.audit_checkpoint import Checkpoint
from tracegate.store.audit_gate import OPERATIONS
from tracegate.store.engine import reading
from tracegate.store.schema import as_stored_time

pytestmark = pytest.mark.contract("H2")
PASSWORD = "tr4ce"  # noqa: S105 - the start of the test server's password


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEGATE_AUDIT_KEY", raising=False)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the key in the environment."""
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", SECRET.decode())


def verify(url: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Return the status, and what is said of each tenant."""
    status = main(["audit", "verify", "--format", "json", "--url", url, *options])
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is (status == 0)
    return status, {chain["tenant_id"]: chain for chain in said["chains"]}


def test_as_a_process_it_says_what_it_found_and_no_secret(url: str, engine: Engine) -> None:
    """By the URL and the key of the environment; a broken chain is status 1."""
    write(engine, [a_row(1), a_row(2)], KEY)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}
    environ |= {"TRACEGATE_STORE_URL": url, "TRACEGATE_AUDIT_KEY": SECRET.decode()}
    environ["PYTHONPATH"] = str(Path(tracegate.__file__).parents[1])
    command = [sys.executable, "-W", "error", "-m", "tracegate", "audit", "verify"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)

    sound = run()
    harm(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 2")
    broken = run()

    assert (sound.returncode, sound.stdout) == (0, "t: ok, 2 rows verified, from 1 to 2, 0 checkpoints\n")
    assert (broken.returncode, broken.stderr, sound.stderr) == (1, "", "")
    assert broken.stdout.startswith("t: BROKEN, 2 rows verified, from 1 to 2, 0 checkpoints\n  hash_curr_mismatch at")
    assert PASSWORD not in sound.stdout + broken.stdout


def test_every_chain_is_verified_or_the_one_that_is_named(
    url: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is broken is enough; one that has no row is none that was verified."""
    write(engine, [a_row(1), a_row(2, tenant_id="u"), a_row(3, tenant_id="u")])
    assert verify(url, capsys)[0] == 0
    harm(engine, "DELETE FROM tb_audit_log WHERE tenant_id = 'u' AND chain_seq = 1")
    status, chains = verify(url, capsys)

    assert (status, chains["t"]["passed"], chains["u"]["passed"]) == (1, True, False)
    assert chains["u"]["failure_samples"] == [{"kind": "chain_seq_gap", "chain_seq": 1, "audit_id": None}]
    assert chains["u"]["failure_count"] == chains["u"]["checked_rows"] == 1
    assert verify(url, capsys, "--tenant", "t")[0] == 0
    assert verify(url, capsys, "--tenant", "nobody")[0] == 1


def test_where_there_is_no_audit_row_nothing_is_said_to_be_well(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing seen is no success."""
    assert main(["audit", "verify", "--url", url]) == 1
    assert capsys.readouterr().out == "there is no audit row\n"
    assert main(["audit", "verify", "--tenant", "t", "--url", url]) == 1
    assert capsys.readouterr().out == "t: there is no audit row\n"


def test_a_store_of_another_version_is_one_line(empty_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And status 1."""
    assert main(["audit", "verify", "--url", empty_url]) == 1
    assert "store upgrade" in capsys.readouterr().err


@pytest.mark.usefixtures("key")
def test_a_checkpoint_that_was_kept_elsewhere_finds_a_chain_made_anew(
    url: str, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where the whole store was made anew, and the chain is gone."""
    write(engine, [a_row(1), a_row(2)], KEY)
    assert main(["audit", "checkpoint", "--url", url]) == 0
    line = capsys.readouterr().out
    assert Checkpoint.from_line(line).is_signed_with(KEY)
    kept = tmp_path / "checkpoints"
    kept.write_text(line)
    status, chains = verify(url, capsys, "--checkpoint", str(kept))
    assert (status, chains["t"]["checkpoints"]) == (0, 1)

    for table in ("tb_audit_log", "tb_audit_head", "tb_audit_checkpoint"):
        harm(engine, f"DELETE FROM {table}")  # noqa: S608 - ours
    status, chains = verify(url, capsys, "--checkpoint", str(kept))
    assert (status, chains["t"]["failure_samples"]) == (
        1, [{"kind": "checkpoint_mismatch", "chain_seq": 2, "audit_id": None}],
    )  # fmt: skip
    write(engine, [a_row(3), a_row(4)], KEY)
    assert verify(url, capsys)[0] == 0
    assert verify(url, capsys, "--checkpoint", str(kept))[0] == 1


def test_what_is_no_checkpoint_leaves_with_2(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, is empty, or holds something else."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "other").write_text("{}\n")
    for name in ("empty", "other", "none"):
        with pytest.raises(SystemExit) as left:
            main(["audit", "verify", "--url", url, "--checkpoint", str(tmp_path / name)])
        assert left.value.code == 2
        assert name in capsys.readouterr().err


def test_a_run_that_was_killed_goes_on(
    url: str, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the last page that was written down; what is wrong stays wrong in the next run."""
    monkeypatch.setattr(audit_scan, "_PAGE", 2)
    write(engine, [a_row(number) for number in range(6)])
    kept = str(tmp_path / "position")
    stops = iter([None, KeyboardInterrupt])

    def keep_and_stop(self: object, *_given: object) -> None:
        real_keep(self, *_given)
        if (stop := next(stops, None)) is not None:
            raise stop

    from tracegate.cli import audit

    real_keep = audit._Positions.keep  # type: ignore[assignment]
    monkeypatch.setattr(audit._Positions, "keep", keep_and_stop)
    with pytest.raises(KeyboardInterrupt):
        main(["audit", "verify", "--url", url, "--resume", kept])
    status, chains = verify(url, capsys, "--resume", kept)
    assert (status, chains["t"]["after"], chains["t"]["checked_rows"]) == (0, 4, 2)
    status, chains = verify(url, capsys, "--resume", kept)
    assert (status, chains["t"]["after"], chains["t"]["checked_rows"]) == (0, 6, 0)

    write(engine, [a_row(7), a_row(8)])
    harm(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 7")
    for _ in range(2):
        status, chains = verify(url, capsys, "--resume", kept)
        assert (status, chains["t"]["after"]) == (1, 6)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("held", ["", "[]", '{"t": [1]}'])
def test_a_position_that_is_none_leaves_with_2(
    url: str, tmp_path: Path, held: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than verifying less than was meant."""
    (tmp_path / "position").write_text(held)
    with pytest.raises(SystemExit) as left:
        main(["audit", "verify", "--url", url, "--resume", str(tmp_path / "position")])
    assert left.value.code == 2
    assert "position" in capsys.readouterr().err


def test_a_person_sees_a_bar_and_a_pipe_does_not(
    url: str, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the error stream, only where it is a terminal."""

    class Terminal(io.StringIO):
        """One that a person looks at."""

        def isatty(self) -> bool:
            return True

    write(engine, [a_row(number) for number in range(4)])
    assert main(["audit", "verify", "--url", url]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(audit_scan, "_PAGE", 2)
    monkeypatch.setattr("tracegate.cli.audit._BAR_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", seen := Terminal())
    assert main(["audit", "verify", "--url", url]) == 0
    drawn = seen.getvalue().split("\r")
    assert drawn[1] == f"t [{'#' * 15}{'.' * 15}] 2 of 4 rows"
    assert drawn[-1] == f"t [{'#' * 30}] 4 of 4 rows\n"


def test_rows_are_listed_the_newest_first(url: str, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one tenant, one incident, so many; a terminal gets no control characters, and JSON what is stored."""
    write(engine, [a_row(1, incident_id="INC-1"), a_row(2, reason="a\x1b[2Jb\n"), a_row(3, tenant_id="u")])
    assert main(["audit", "list", "--url", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["u", "1"], ["t", "2"], ["t", "1"]]
    assert lines[1].endswith("test  -  -  -  a\\x1b[2Jb\\n")

    def listed(*options: str) -> list[dict[str, object]]:
        assert main(["audit", "list", "--format", "json", "--url", url, *options]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    with reading(engine) as connection:
        assert listed("--tenant", "t") == list(reversed(rows(connection)))
    assert [row["chain_seq"] for row in listed("--incident", "INC-1")] == [1]
    assert [row["tenant_id"] for row in listed("--limit", "1")] == ["u"]
    assert listed("--tenant", "nobody") == []


@pytest.mark.contract("H1")
@pytest.mark.usefixtures("key")
def test_old_rows_go_by_day_up_to_a_checkpoint(
    url: str, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the deploy gate stay."""

    class Early(datetime):
        """A clock of last month."""

        @classmethod
        def now(cls, _tz: object = None) -> datetime:  # type: ignore[override] - a fake
            return datetime.now(UTC) - timedelta(days=30)

    with monkeypatch.context() as then:
        then.setattr("tracegate.store.audit.datetime", Early)
        write(engine, [a_row(1), a_row(2), a_row(3, tenant_id=OPERATIONS)], KEY)
    assert main(["audit", "checkpoint", "--url", url]) == 0
    write(engine, [a_row(4)], KEY)
    capsys.readouterr()
    assert main(["audit", "retain", "--keep-days", "31", "--actor", "ana", "--url", url]) == 0
    assert capsys.readouterr().out.startswith("t: 0 rows before ")
    assert (
        main(["audit", "retain", "--before", as_stored_time(datetime.now(UTC))[:10], "--actor", "ana", "--url", url])
        == 0
    )
    assert capsys.readouterr().out.startswith("t: 2 rows before ")
    status, chains = verify(url, capsys)
    assert (status, chains["t"]["after"], chains["t"]["checked_rows"]) == (0, 2, 2)
    assert chains[OPERATIONS]["checked_rows"] == 1
    with pytest.raises(SystemExit):
        main(["audit", "retain", "--keep-days", "1", "--actor", "ana", "--tenant", OPERATIONS, "--url", url])


@pytest.mark.usefixtures("key")
def test_what_is_not_shown_or_not_compared_is_counted(
    url: str, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint from before the rows that are left; the failures after the twentieth."""
    write(engine, [a_row(1)], KEY)
    main(["audit", "checkpoint", "--url", url])
    (tmp_path / "kept").write_text(capsys.readouterr().out)
    write(engine, [a_row(number) for number in range(22)], KEY)
    main(["audit", "checkpoint", "--url", url])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    main(["audit", "retain", "--before", f"{tomorrow:%Y-%m-%d}", "--actor", "ana", "--url", url])
    capsys.readouterr()
    assert main(["audit", "verify", "--checkpoint", str(tmp_path / "kept"), "--url", url]) == 0
    assert "1 of the checkpoints given are from before those rows: not compared" in capsys.readouterr().out

    write(engine, [a_row(number) for number in range(22)], KEY)
    harm(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE action_type = 'test'")
    assert main(["audit", "verify", "--url", url]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (22, "  and 2 more")


@pytest.mark.parametrize("step", [["checkpoint"], ["retain", "--keep-days", "1", "--actor", "ana"]])
def test_without_a_key_nothing_is_signed_or_dropped(
    url: str, engine: Engine, step: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what to set."""
    write(engine, [a_row(1)])
    assert main(["audit", *step, "--url", url]) == 1
    assert "set TRACEGATE_AUDIT_KEY" in capsys.readouterr().err


def test_a_short_key_is_said_to_be_one(
    url: str, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not shown."""
    write(engine, [a_row(1)])
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", "geheim")
    assert main(["audit", "verify", "--url", url]) == 1
    assert capsys.readouterr().err == "audit_key: must have 32 bytes or more\n"


@pytest.mark.parametrize(
    "given", [["verify"], ["list", "--limit", "x"], ["retain", "--before", "soon", "--actor", "a"]]
)
def test_wrong_arguments_leave_with_2(
    given: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any store is asked."""
    monkeypatch.delenv("TRACEGATE_STORE_URL", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["audit", *given])
    assert left.value.code == 2
    assert capsys.readouterr().out == ""
