"""The laws of the house that a linter cannot see alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "tlcore").rglob("*.py"))
PAGES = [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]
SOURCES = [*PACKAGE, *PAGES]


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_import_laws_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("mlflow", ("tlcore/tracking/",)),
        ("torch", ("tlcore/training/", "tlcore/demo/", "tlcore/tracking/pyfunc_model.py")),
        ("streamlit", ("pages/", "app.py")),
    ],
)
def test_a_library_is_imported_only_where_it_belongs(library: str, allowed: tuple[str, ...]) -> None:
    users = [p.relative_to(ROOT).as_posix() for p in SOURCES if library in imported(p)]
    assert users, f"nobody imports {library}: is the test looking in the right place?"
    assert [u for u in users if not u.startswith(allowed)] == []


def test_only_settings_reads_the_environment() -> None:
    users = [p for p in SOURCES if re.search(r"os\.environ(?!\.setdefault)|getenv", p.read_text(encoding="utf-8"))]
    assert [p.name for p in users if p.name != "settings.py"] == []


def tlcore_names(path: Path) -> set[str]:
    """Everything of tlcore that a file imports, as dotted names."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
    return {f"{n.module}.{a.name}" for n in nodes if (n.module or "").startswith("tlcore") for a in n.names}


def test_pages_know_only_the_service_the_charts_and_the_ground_floor() -> None:
    ground = "errors|settings|spec|strategies|recipes|results"
    allowed = re.compile(rf"tlcore\.(service\.|analysis\.charts|({ground})\.)")
    strays = [(p.name, name) for p in PAGES for name in tlcore_names(p) if not allowed.match(name)]
    assert strays == []


def test_nothing_in_datasets_can_run_what_is_in_a_file() -> None:
    """No unpickling, no code from data: whatever is uploaded is read as bytes, text or pixels."""
    running = {"pickle", "marshal", "shelve", "dill", "joblib", "runpy", "importlib", "imp", "code"}
    named = re.compile(r"\b(eval|exec|compile|read_pickle|allow_pickle|__import__|shell=True)\b")
    files = sorted((ROOT / "tlcore" / "datasets").rglob("*.py"))
    assert len(files) > 20
    assert [p.name for p in files if imported(p) & running] == []
    words = {p.name: set(named.findall(p.read_text(encoding="utf-8"))) - {"compile"} for p in files}
    assert {name: found for name, found in words.items() if found} == {}


def test_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import tlcore").isdisjoint({"torch", "mlflow", "streamlit", "pandas", "plotly", "pydantic"})


def test_the_dashboards_side_never_loads_torch_or_mlflow_by_importing() -> None:
    everything = (
        "import tlcore.service.comparisons, tlcore.service.system, tlcore.service.take_home, tlcore.service.demo"
    )
    assert modules_after(everything).isdisjoint({"torch", "mlflow", "streamlit"})
