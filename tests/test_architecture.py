"""The floors of docs/architecture.md, held by reading the imports of every file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hyperstar_tune"
FLOORS = {
    **dict.fromkeys(("cluster", "tasks"), 1),
    "tables": 2,
    **dict.fromkeys(("finetune", "predictor", "simulation"), 3),
    "search": 4,
    **dict.fromkeys(("report", "rivals", "testing"), 5),
    **dict.fromkeys(("comparison", "tuning"), 6),
    "cli": 7,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "hyperstar_tune":
                yield from (f"hyperstar_tune.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path):
    own = room(path)
    if own == "__init__":
        return
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "hyperstar_tune" or len(parts) < 2 or parts[1] == own:
            continue
        floor, other = FLOORS.get(own, 0), FLOORS.get(parts[1], 0)
        assert other < floor or other == floor == 0, f"{own} (floor {floor}) imports {module} (floor {other})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_stays_readable_and_says_what_it_is_for(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))


def imported_after(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_package_is_cheap_to_import():
    assert not imported_after("import hyperstar_tune") & {"ray", "torch", "pandas", "numpy"}


def test_the_arithmetic_needs_neither_torch_nor_ray():
    ground = ["space", "plan", "metrics", "ranking", "fingerprint", "errors"]
    assert not imported_after(f"from hyperstar_tune import {', '.join(ground)}") & {"ray", "torch"}


def test_tasks_and_tables_need_no_ray():
    assert "ray" not in imported_after("from hyperstar_tune import tasks, tables")


def test_a_ranking_loads_only_what_it_uses(digits_folder):
    code = f"""
import sys
sys.argv = ["hyperstar", "rank", {str(digits_folder)!r}]
from hyperstar_tune.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert not {{"ray", "timm", "torchvision", "sklearn", "pandas", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_public_name_can_be_had():
    import hyperstar_tune

    for name in hyperstar_tune.__all__:
        assert getattr(hyperstar_tune, name) is not None
    assert set(hyperstar_tune.__all__) <= set(dir(hyperstar_tune))
    with pytest.raises(AttributeError, match="no attribute 'HyperStar'"):
        _ = hyperstar_tune.HyperStar
