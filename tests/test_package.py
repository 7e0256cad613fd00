"""The installed package: fast to import, complete, and in layers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import i2md

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "i2md"
# Lowest first: a package imports only from those before it in this list, and from itself.
LAYERS = ["errors", "runtime", "skeletons", "distributed", "data", "synthetic", "pages", "views", "encoders"]
LAYERS += [
    "objectives",
    "pretraining",
    "recipes",
    "evaluation",
    "inference",
    "explorer",
    "experiments",
    "commands",
    "cli",
]
# Dependencies without a lowest version that can be installed anywhere; constraints-lowest.txt says why.
FOLLOWING_TORCH = ("triton",)
HEAVY = ("torch", "sklearn", "matplotlib", "tensorboard", "pyarrow")


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_importing_i2md_loads_nothing_heavy() -> None:
    assert _run(f"import sys, i2md; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert _run(f"import sys, i2md.cli.main; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("name", i2md.__all__)
def test_public_name_exists_and_is_documented(name: str) -> None:
    public = getattr(i2md, name)
    assert public.__doc__
    assert public.__name__ == name
    assert name in dir(i2md)


def test_other_names_raise_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = i2md.nosuch
    assert sorted(i2md.__all__) == list(i2md.__all__)


def test_console_script_is_installed() -> None:
    (script,) = [point for point in entry_points(group="console_scripts") if point.name == "i2md"]
    assert script.value == "i2md.cli.main:main"
    assert callable(script.load())
    assert version("i2md")


@pytest.mark.parametrize(
    ("package", "pattern", "least"),
    [
        ("i2md", "py.typed", 1),
        ("i2md.recipes", "*.yaml", 3),
        ("i2md.pretraining.shipped", "kinect-base/*", 3),
        ("i2md.skeletons", "layouts/*.yaml", 6),
        ("i2md.evaluation.report", "templates/*", 5),
        ("i2md.pages", "templates/*", 3),
        ("i2md.explorer", "components/*.js", 3),
        ("i2md.data.readers", "data/*.txt", 2),
        ("i2md.experiments.reproduce", "tables/*.yaml", 10),
        ("i2md.experiments.reproduce", "published_results.csv", 1),
    ],
)
def test_data_files_are_part_of_the_package(package: str, pattern: str, least: int) -> None:
    folder = Path(str(files(package)))
    found = list(folder.glob(pattern))
    assert len(found) >= least
    assert all(path.stat().st_size or path.name == "py.typed" for path in found)


def test_wheel_contains_every_tracked_file() -> None:
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is only needed to build")
    chosen = {file.distribution_path for file in builder.WheelBuilder(str(ROOT)).recurse_included_files()}
    tracked = subprocess.run(["git", "ls-files", "i2md"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git clone: which files belong cannot be told")
    assert set(tracked.stdout.splitlines()) <= chosen
    assert not [name for name in chosen if name.endswith((".pyc", ".partial"))]


def _imported_packages(path: Path) -> set[str]:
    """Top-level packages of i2md that a module imports, wherever in the module the import stands."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "i2md":
            packages |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("i2md."):
            packages.add(node.module.split(".")[1])
    return packages


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_packages_import_only_from_lower_layers(path: Path) -> None:
    package = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if package in ("__init__", "__main__", "demo"):
        return
    assert package in LAYERS, f"add {package} to LAYERS"
    assert not _imported_packages(path) & set(LAYERS[LAYERS.index(package) + 1 :])


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_imports_by_itself_has_a_docstring_and_at_most_300_lines(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if "triton_" in name:
        pytest.importorskip("triton", reason="Triton is not installed")
    assert importlib.import_module(name).__doc__ or not path.stat().st_size
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_lowest_versions_are_the_lower_bounds_of_all_dependencies() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML parser")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Extras for contributors are not tested with their lowest versions.
    extras = [name for name in project["optional-dependencies"] if name not in ("browser", "docs", "lint", "notebooks")]
    bounds = {}
    for line in [
        *project["dependencies"],
        *(line for name in extras for line in project["optional-dependencies"][name]),
    ]:
        requirement = Requirement(line)
        if requirement.name not in ("i2md", *FOLLOWING_TORCH):
            (bounds[requirement.name],) = [s.version for s in requirement.specifier if s.operator == ">="]
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))
    # A dependency of matplotlib, whose lowest version warns of later ones.
    assert lowest.pop("pyparsing")
    assert lowest.keys() == bounds.keys()
    # A bound may stand for a later patch release, where the first one has no wheel.
    wrong = {name for name, bound in bounds.items() if not f"{lowest[name]}.".startswith(f"{bound}.")}
    assert not wrong, {name: (bounds[name], lowest[name]) for name in wrong}


def test_licence_is_the_complete_apache_2_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License\n")
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")
    assert [number for number in range(1, 10) if f"\n   {number}. " in text] == list(range(1, 10))


def test_inference_loads_nothing_of_training_or_reports() -> None:
    """A run and a classifier are loaded, and clips are embedded and predicted."""
    unneeded = ("jsonargparse", "tensorboard", "matplotlib", "sklearn", "scipy", "jinja2", "joblib", "onnx")
    fixtures = ROOT / "tests" / "fixtures" / "0.1"
    code = (
        "import sys, warnings, numpy as np, i2md; warnings.simplefilter('ignore')\n"
        f"raw = list(np.load({str(fixtures / 'raw.npz')!r})['clips'].astype(np.float32))\n"
        "i2md.load('kinect-base', 'cpu').embed(raw, 'kinect-v1')\n"
        f"classifier = i2md.load_classifier({str(fixtures / 'model')!r}, 'cpu')\n"
        f"classifier.predict(raw); classifier.predict(i2md.open_clips({str(fixtures / 'clips')!r}))\n"
        f"print([name for name in {unneeded} if name in sys.modules])"
    )
    assert _run(code) == "[]"
