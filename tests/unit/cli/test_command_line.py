"""Do the verbs of the command line say what a person needs, and leave with the right status?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import tracegate
from tracegate.cli import main

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n")
HEX = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, with no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TRACEGATE_")]:
        monkeypatch.delenv(name)
    return tmp_path


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tracegate`` as a user does."""
    source = str(Path(tracegate.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "tracegate", *arguments],
        env={**os.environ, "PYTHONPATH": source, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# As a process


def test_mint_prints_an_id_that_can_be_sent() -> None:
    """And nothing else."""
    done = run("mint")

    assert (done.returncode, done.stderr) == (0, "")
    assert UUID.fullmatch(done.stdout)


def test_settings_tells_all_faults_and_leaves_with_1() -> None:
    """On the error stream; a service that would not start is found before it is started."""
    done = run("settings", TRACEGATE_MODE="strict", TRACEGATE_HEADER="a b")

    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == ["TRACEGATE_HEADER", "TRACEGATE_MODE"]


def test_a_verb_that_is_none_leaves_with_2() -> None:
    """As argparse does."""
    done = run("launch")

    assert done.returncode == 2
    assert "usage: tracegate-http" in done.stderr


# In process


@pytest.mark.contract("A2", "A4")
def test_mint_can_print_the_w3c_form(capsys: pytest.CaptureFixture[str]) -> None:
    """As collectors show it; each call makes another."""
    assert main(["mint", "--hex"]) == 0
    assert main(["mint", "--hex"]) == 0
    first, second = capsys.readouterr().out.splitlines(keepends=True)

    assert HEX.fullmatch(first)
    assert HEX.fullmatch(second)
    assert first != second
    assert main(["mint"]) == 0
    assert UUID.fullmatch(capsys.readouterr().out)


def test_settings_prints_what_is_in_force(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each setting, a dash where nothing is set."""
    monkeypatch.setenv("TRACEGATE_EXEMPT_PATHS", "/healthz,/probes/*")
    monkeypatch.setenv("TRACEGATE_MODES", "/edge/*=mint,/x=observe")
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines)

    assert shown["mode"] == "require"
    assert shown["exempt_paths"] == "/healthz, /probes/*"
    assert shown["modes"] == "/edge/*=mint, /x=observe"
    assert (shown["trusted"], shown["formats"], shown["on_conflict_paths"], shown["service"]) == ("-", "-", "-", "-")
    assert (shown["traceresponse"], shown["max_error_body"]) == ("False", "1048576")
    assert "mode_rules" not in shown
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1, "one column"


def test_settings_prints_json_for_machines(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same values; from the file as well."""
    (folder / "pyproject.toml").write_text('[tool.tracegate]\nmode = "mint"\n')
    monkeypatch.setenv("TRACEGATE_TRUSTED", "10.0.0.0/8")
    assert main(["settings", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert (document["mode"], document["trusted"], document["query_parameter"]) == ("mint", ["10.0.0.0/8"], None)
    assert "exempt_rules" not in document


def test_settings_at_fault_print_no_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-right policy is none."""
    monkeypatch.setenv("TRACEGATE_MODE", "strict")
    assert main(["settings", "--format", "json"]) == 1
    printed = capsys.readouterr()

    assert printed.out == ""
    assert printed.err == "TRACEGATE_MODE: 'strict' is not one of require, mint, observe\n"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    """Of ``tracegate-http``, which is what one installs."""
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert capsys.readouterr().out == f"tracegate-http {version('tracegate-http')}\n"


@pytest.mark.parametrize("arguments", [[], ["settings", "--format", "yaml"], ["mint", "--hex=1"]])
def test_wrong_arguments_leave_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And say how it is used."""
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert "usage: tracegate-http" in capsys.readouterr().err


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with a line of what it does."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out

    assert "mint" in shown
    assert "print a new trace id" in shown
    assert "print the settings in force here" in shown
