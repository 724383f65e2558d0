"""What do the environment and the configuration file say, and is every fault told, with its setting's name?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError
from tracegate.settings import load_policy, policy_from


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder: what the project's own file says is not asked."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults_of(environ: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what is wrong with an environment."""
    with pytest.raises(ConfigurationError) as caught:
        load_policy(environ)
    return caught.value.faults


def test_nothing_said_is_the_default() -> None:
    """Whatever else stands in the environment."""
    assert load_policy({"PATH": "/bin", "tracegate_mode": "mint", "XTRACEGATE_MODE": "mint"}) == Policy()


@pytest.mark.parametrize(
    ("name", "value", "setting", "meant"),
    [
        ("MODE", "mint", "mode", "mint"),
        ("MODES", "/edge/*=mint, /trial=observe", "modes", {"/edge/*": "mint", "/trial": "observe"}),
        ("MODES", "", "modes", {}),
        ("HEADER", "X-Own", "header", "X-Own"),
        ("FORMATS", "aws, ulid,", "formats", ("aws", "ulid")),
        ("EXEMPT_PATHS", "/healthz,/probes/*", "exempt_paths", ("/healthz", "/probes/*")),
        ("EXEMPT_PATHS", "", "exempt_paths", ()),
        ("TRUSTED", "10.0.0.0/8, ::1", "trusted", ("10.0.0.0/8", "::1")),
        ("TRUSTED", "", "trusted", ()),
        ("QUERY_PARAMETER", "trace", "query_parameter", "trace"),
        ("ON_CONFLICT_PATHS", "/a=b/*=keep", "on_conflict_paths", {"/a=b/*": "keep"}),
        ("TRACERESPONSE", "true", "traceresponse", True),
        ("TRACERESPONSE", " ON ", "traceresponse", True),
        ("TRACERESPONSE", "1", "traceresponse", True),
        ("SERVER_TIMING", "Yes", "server_timing", True),
        ("SERVER_TIMING", "no", "server_timing", False),
        ("SERVER_TIMING", "0", "server_timing", False),
        ("SERVER_TIMING", "off", "server_timing", False),
        ("SERVER_TIMING", "False", "server_timing", False),
        ("MAX_ERROR_BODY", "4096", "max_error_body", 4096),
        ("SSE_HOLD_SECONDS", "0.25", "sse_hold_seconds", 0.25),
        ("SSE_HOLD_SECONDS", "0", "sse_hold_seconds", 0.0),
        ("SERVICE", "shop", "service", "shop"),
        ("TENANT_HEADER", "X-Tenant-Key", "tenant_header", "X-Tenant-Key"),
    ],
)
def test_every_setting_can_stand_in_the_environment(name: str, value: str, setting: str, meant: object) -> None:
    """Tuples with commas, mappings with ``=``, booleans in words."""
    assert getattr(load_policy({"TRACEGATE_" + name: value}), setting) == meant


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("MODE", "strict", "'strict' is not one of require, mint, observe"),
        ("MODE", "", "'' is not one of require, mint, observe"),
        ("TRACERESPONSE", "maybe", "'maybe' is not true or false"),
        ("TRACERESPONSE", "", "'' is not true or false"),
        ("MAX_ERROR_BODY", "1 MiB", "'1 MiB' is not a number of bytes"),
        ("MAX_ERROR_BODY", "-1", "-1 is not a positive number of bytes"),
        ("SSE_HOLD_SECONDS", "soon", "'soon' is not a number of seconds"),
        ("SSE_HOLD_SECONDS", "nan", "nan is not a number of seconds from 0 to 60"),
        ("SSE_HOLD_SECONDS", "61", "61.0 is not a number of seconds from 0 to 60"),
        ("MODES", "/edge/*", "'/edge/*' is not of the form /path=value"),
        ("MODES", "/edge/*=maybe", "'maybe' for '/edge/*' is not one of require, mint, observe"),
        ("EXEMPT_PATHS", "healthz", "'healthz' must start with '/'"),
        ("TRUSTED", "gateway", "'gateway' does not appear to be an IPv4 or IPv6 network"),
        ("HEADERS", "X", "is no setting of tracegate"),
        ("", "X", "is no setting of tracegate"),
        ("SHAPE_ERROR", "package.function", "is no setting of tracegate"),
        ("MODE_RULES", "x", "is no setting of tracegate"),
    ],
)
def test_a_fault_in_the_environment_has_the_variables_name(name: str, value: str, fault: str) -> None:
    """What reads as a value and what the policy makes of it alike."""
    assert faults_of({"TRACEGATE_" + name: value}) == (("TRACEGATE_" + name, fault),)


FILE = """
[tool.tracegate]
mode = "mint"
modes = { "/pay/*" = "require" }
exempt_paths = ["/healthz"]
traceresponse = true
max_error_body = 100
sse_hold_seconds = 2
"""


@pytest.mark.parametrize("name", ["pyproject.toml", "tracegate.toml"])
def test_the_file_says_it_in_toml(folder: Path, name: str) -> None:
    """``pyproject.toml`` of the working folder, or the file that ``TRACEGATE_CONFIG`` names."""
    (folder / name).write_text(FILE)
    policy = load_policy({} if name == "pyproject.toml" else {"TRACEGATE_CONFIG": str(folder / name)})

    assert policy == Policy(
        mode="mint",
        modes={"/pay/*": "require"},
        exempt_paths=("/healthz",),
        traceresponse=True,
        max_error_body=100,
        sse_hold_seconds=2,
    )


def test_a_variable_wins_over_the_file_setting_by_setting(folder: Path) -> None:
    """Even where the file's value is at fault."""
    (folder / "pyproject.toml").write_text('[tool.tracegate]\nmode = "strict"\nheader = "X-Own"\n')

    assert load_policy({"TRACEGATE_MODE": "observe"}) == Policy(mode="observe", header="X-Own")


def test_the_named_file_takes_the_place_of_pyproject(folder: Path) -> None:
    """Not beside it."""
    (folder / "pyproject.toml").write_text('[tool.tracegate]\nheader = "X-Own"\n')
    (folder / "other.toml").write_text('[tool.tracegate]\nmode = "mint"\n')

    assert load_policy({"TRACEGATE_CONFIG": "other.toml"}) == Policy(mode="mint")


@pytest.mark.parametrize("text", ["", "[tool.other]\na = 1\n", "[project]\nname = 'x'\n", "[tool.tracegate]\n"])
def test_a_file_that_says_nothing_of_tracegate_is_the_default(folder: Path, text: str) -> None:
    """As is no file."""
    (folder / "pyproject.toml").write_text(text)

    assert load_policy({}) == Policy()


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        ("[tool.tracegate", "pyproject.toml", "cannot be read: "),
        ("tool = 7", "tool.tracegate", "must be a table"),
        ("tool.tracegate = 7", "tool.tracegate", "must be a table"),
        ("[[tool.tracegate]]\nmode = 'mint'", "tool.tracegate", "must be a table"),
        ("[tool.tracegate]\nmoode = 'mint'", "tool.tracegate.moode", "is no setting of tracegate"),
        ("[tool.tracegate]\nexempt_paths = '/a'", "tool.tracegate.exempt_paths", None),
        ("[tool.tracegate]\ntraceresponse = 1", "tool.tracegate.traceresponse", "1 is not true or false"),
        (
            "[tool.tracegate]\nmax_error_body = 1.5",
            "tool.tracegate.max_error_body",
            "1.5 is not a positive number of bytes",
        ),
        ("[tool.tracegate]\nmodes = ['/a']", "tool.tracegate.modes", "must map path rules to values"),
    ],
)
def test_a_fault_in_the_file_has_its_place_there(folder: Path, text: str, setting: str, problem: str | None) -> None:
    """So that it can be found; a string where a list is due is read as in the environment."""
    (folder / "pyproject.toml").write_text(text)

    if problem is None:
        assert load_policy({}) == Policy(exempt_paths=("/a",))
    else:
        ((named, said),) = faults_of({})
        assert (named, said[: len(problem)]) == (setting, problem)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a = "])
def test_a_named_file_that_cannot_be_read_is_a_fault(folder: Path, content: bytes | None) -> None:
    """Of the variable that names it."""
    path = folder / "named.toml"
    if content is not None:
        path.write_bytes(content)
    ((setting, problem),) = faults_of({"TRACEGATE_CONFIG": str(path)})

    assert setting == "TRACEGATE_CONFIG"
    assert problem.startswith("cannot be read: ")


def test_a_folder_is_no_file(folder: Path) -> None:
    """Named, it is a fault; ``pyproject.toml`` as a folder is none of ours."""
    assert faults_of({"TRACEGATE_CONFIG": str(folder)})[0][0] == "TRACEGATE_CONFIG"
    (folder / "pyproject.toml").mkdir()
    assert load_policy({}) == Policy()


def test_all_faults_of_both_sources_come_at_once(folder: Path) -> None:
    """Each under the name that its author knows."""
    (folder / "pyproject.toml").write_text('[tool.tracegate]\nmode = "strict"\nheader = ""\nunknown = 1\n')

    faults = faults_of({"TRACEGATE_MAX_SSE_EVENT": "x", "TRACEGATE_BODIES": "some", "TRACEGATE_HEADER": "a b"})

    assert sorted(setting for setting, _ in faults) == [
        "TRACEGATE_BODIES",
        "TRACEGATE_HEADER",
        "TRACEGATE_MAX_SSE_EVENT",
        "tool.tracegate.mode",
        "tool.tracegate.unknown",
    ]


def test_without_an_argument_the_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """``os.environ``, and nowhere else is it read."""
    monkeypatch.setenv("TRACEGATE_MODE", "observe")

    assert load_policy().mode == "observe"


def test_a_mapping_of_an_applications_own_is_read_alike() -> None:
    """With its own keys in the faults."""
    assert policy_from({"mode": "mint", "exempt_paths": ["/a"], "max_error_body": "7"}) == Policy(
        mode="mint", exempt_paths=("/a",), max_error_body=7
    )
    with pytest.raises(ConfigurationError) as caught:
        policy_from({"mode": "x", "what": 1, "modes": "y", 7: 8})  # type: ignore[dict-item]
    assert sorted(str(setting) for setting, _ in caught.value.faults) == ["7", "mode", "modes", "what"]
