"""What the dashboard's process may import, and that every page stands alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "pages").rglob("*.py"))
ALLOWED = (
    "tlcore.service", "tlcore.analysis.charts", "tlcore.analysis.charts.strips", "tlcore.strategies", "tlcore.spec",
    "tlcore.recipes", "tlcore.results", "tlcore.errors", "tlcore.settings",
)  # fmt: skip
RUN_ALL = """
import sys
from streamlit.testing.v1 import AppTest
from pages.shared.navigation import PAGES
for name in ("home", *(page[0] for page in PAGES)):
    app = AppTest.from_file("app.py", default_timeout=120).switch_page(f"pages/{name}.py").run()
    assert not app.exception, (name, [e.message for e in app.exception])
loaded = sorted({module.split(".")[0] for module in sys.modules} & {"torch", "torchvision", "timm"})
assert not loaded, loaded
"""


@pytest.mark.slow
def test_the_dashboard_never_imports_torch(home: Path) -> None:
    """Every page runs in one fresh process, with questions really asked."""
    done = subprocess.run([sys.executable, "-c", RUN_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_import_only_what_they_may(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in {"tlcore", "tlcore.analysis"}
        for alias in node.names
    ]
    ours = [name for name in names if name.startswith("tlcore") and name not in {"tlcore", "tlcore.analysis"}]
    assert [name for name in ours if not name.startswith(ALLOWED)] == []
    assert not {name.split(".")[0] for name in names} & {
        "torch",
        "mlflow",
        "threading",
        "multiprocessing",
        "subprocess",
    }


def test_a_page_opened_before_the_app_begins_with_the_app(home: Path) -> None:
    """Streamlit runs pages/compare.py alone when its address is the first that a fresh server is asked for."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(ROOT / "pages" / "download.py"), default_timeout=60).run()
    assert "in_app" not in app.session_state
    assert not app.title
