"""Hold the floors of the house: what may import what."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pytest_llmops

PACKAGE = Path(pytest_llmops.__file__).parent
NAME = PACKAGE.name

FLOORS = {
    "errors": 1,
    "settings": 1,
    "setting_values": 1,
    "stats": 1,
    "store": 2,
    "golden": 3,
    "calls": 3,
    "providers": 4,
    "prompts": 4,
    "scorers": 5,
    "runs": 6,
    "reports": 7,
    "project": 7,
    "plugin": 8,
    "cli": 8,
}

BETWEEN_ROOMS_OF_ONE_FLOOR = {
    # errors.py is the ground of the ground.
    ("settings", "errors"),
    ("settings", "setting_values"),
    ("setting_values", "errors"),
}

WRITERS = {
    "store/atomic.py",
    # SQLite writes its own files: this makes the folder for them.
    "store/folder.py",
    # 98 MB of weights are streamed, not held in memory.
    "providers/weights.py",
}

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
P90_FUNCTION = 30


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found[path.relative_to(PACKAGE).as_posix()] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def dotted(place: str) -> str:
    return ".".join([NAME, *place.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]).strip(
        "."
    )


NAMES = {dotted(place): place for place in MODULES}


def imports(place: str) -> set[str]:
    """Return all modules that a file imports, lazily and for typing too."""
    found = set()
    for node in ast.walk(MODULES[place]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place}:{node.lineno}: relative imports hide the floors"
            assert node.module is not None
            found.add(node.module)
            # `from package import module` imports the module.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(place: str) -> set[str]:
    return {NAMES[name] for name in imports(place) if name in NAMES} - {place}


def room(place: str) -> str:
    return place.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("place", [place for place in MODULES if place != "__init__.py"])
def test_a_file_imports_only_from_floors_below_or_its_own_room(place: str) -> None:
    for other in own_imports(place) - {"__init__.py"}:
        allowed = (
            room(other) == room(place)
            or FLOORS[room(other)] < FLOORS[room(place)]
            or (room(place), room(other)) in BETWEEN_ROOMS_OF_ONE_FLOOR
        )
        assert allowed, f"{place} (floor {FLOORS[room(place)]}) imports {other} (floor {FLOORS[room(other)]})"


def test_there_is_no_circle() -> None:
    # A package's __init__ is imported before its modules; it is a door, not a part of the circle.
    graph = {place: own_imports(place) for place in MODULES if not place.endswith("__init__.py")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


def test_only_the_plugin_knows_pytest() -> None:
    for place in MODULES:
        roots = {name.split(".")[0] for name in imports(place)}
        assert "_pytest" not in roots, place
        assert "pytest" not in roots or room(place) == "plugin", place


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("deepeval", "scorers/deepeval.py"),
        ("openai", "providers/openai.py"),
        ("xllamacpp", "providers/local_server.py"),
    ],
)
def test_a_library_has_one_home(library: str, home: str) -> None:
    users = {place for place in MODULES if library in {name.split(".")[0] for name in imports(place)}}
    assert users <= {home}


@pytest.mark.parametrize("room_name", ["scorers", "reports"])
def test_scorers_and_reports_do_not_know_who_carries_the_calls(room_name: str) -> None:
    for place in MODULES:
        if room(place) == room_name:
            assert not own_imports(place) & {"calls/client.py", "calls/cache.py", "calls/prefetch.py"}, place


def test_statistics_import_no_other_room() -> None:
    for place in MODULES:
        if room(place) == "stats":
            assert {room(other) for other in own_imports(place)} <= {"stats"}, place


def test_files_are_written_through_one_door() -> None:
    for place, tree in MODULES.items():
        if place in WRITERS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"write_text", "write_bytes", "mkdir"}, f"{place}:{node.lineno}"
            if isinstance(node, ast.Call):
                assert not _opens_for_writing(node), f"{place}:{node.lineno}"


def _opens_for_writing(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return name == "open" and any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)


def test_hashing_has_one_home() -> None:
    for place in MODULES:
        assert "hashlib" not in imports(place) or place == "store/canonical.py", place


def test_there_is_no_module_state_and_no_drawer() -> None:
    for place, tree in MODULES.items():
        assert not any(isinstance(node, ast.Global) for node in ast.walk(tree)), place
        assert Path(place).name not in {"utils.py", "helpers.py", "common.py", "misc.py"}, place


def test_nothing_runs_text_as_code() -> None:
    for place, tree in MODULES.items():
        assert not imports(place) & {"pickle", "marshal", "shelve", "dill"}, place
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") not in {"eval", "exec"}, f"{place}:{node.lineno}"
                shell = [word for word in node.keywords if word.arg == "shell"]
                assert not shell, f"{place}:{node.lineno}"


def test_files_and_functions_stay_small() -> None:
    lengths = []
    for place, tree in MODULES.items():
        lines = (PACKAGE / place).read_text(encoding="utf-8").count("\n")
        assert lines <= LONGEST_FILE, f"{place} has {lines} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{place}:{node.lineno} {node.name} has {length} lines"
                lengths.append(length)
    lengths.sort()
    assert lengths[int(len(lengths) * 0.9)] <= P90_FUNCTION


def test_no_module_of_the_plugin_has_the_name_of_a_fixture():
    """Imported, it would take the fixture's place in the package, and pytest would not find that again."""
    import pytest_llmops.plugin

    folder = Path(pytest_llmops.plugin.__file__).parent
    assert [name for name in pytest_llmops.plugin.__all__ if (folder / f"{name}.py").exists()] == []
