"""Where the tests find what they measure against."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Everything here is small: a second thread would only wait, and on a busy machine wait long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings
from in_browser import browser, show  # noqa: F401  # fixtures
from jaxtyping import install_import_hook

# A suite that a script started in the background ignores Ctrl-C, and one started by nohup SIGHUP; so would the
# processes that its tests interrupt.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# On a busy machine any example may take long.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")

if not torch.cuda.is_available():
    # Triton's kernels run in its interpreter then. It asks when it is imported, by whatever test comes first.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Shapes that annotations state are checked, from before any of these packages is imported.
# The numeric tower lets a whole number pass where a float is asked for, as every type checker does.
CHECKED = [
    "i2md.data.readers.intervals",
    "i2md.data.readers.reading",
    "i2md.data.readers.text_numbers",
    "i2md.synthetic",
    "i2md.views",
    "i2md.encoders",
    "i2md.objectives",
    # Not i2md.pretraining.shipped: a remote folder is a UPath, which is no Path.
    "i2md.pretraining.checkpoint",
    "i2md.pretraining.checks",
    "i2md.pretraining.log",
    "i2md.pretraining.loop",
    "i2md.pretraining.masked",
    "i2md.pretraining.model",
    "i2md.pretraining.models",
    "i2md.pretraining.optimizer",
    "i2md.pretraining.pretrain",
    "i2md.pretraining.reference_checkpoint",
    "i2md.pretraining.run",
    "i2md.pretraining.settings",
    "i2md.pretraining.start",
    "i2md.pretraining.step",
    "i2md.evaluation.finetuning",
    "i2md.evaluation.features",
    "i2md.evaluation.linear_probe",
    "i2md.evaluation.diagnostics",
    "i2md.evaluation.held_out",
    "i2md.evaluation.representation",
    "i2md.evaluation.metrics",
    "i2md.evaluation.neighbours",
    "i2md.evaluation.probe_data",
    "i2md.evaluation.protocols",
    "i2md.evaluation.ridge_regression",
    "i2md.evaluation.baselines",
    "i2md.data.packed",
]
install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference numbers of the published program."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("I2MD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is absent (set I2MD_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 32 tiny clips, for reading only."""
    import tiny

    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs on them, for reading only."""
    import tiny

    return tiny.run(tmp_path_factory.getbasetemp())


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function from a command's words to its error message: exit code 2, one line, and `tmp_path` unchanged."""
    from refusal import refusing

    return refusing(tmp_path, capsys)


@pytest.fixture(scope="session")
def pack_arrays() -> Callable[[Sequence[np.ndarray]], Any]:
    """The package's `pack_arrays`, imported once shapes are checked."""
    from i2md.data.packed import pack_arrays

    return pack_arrays


@pytest.fixture
def entry_point(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Registers an entry point, as installing a package whose pyproject.toml declares it does, until the test ends.

    `entry_point("i2md.readers", "poses", "reader:open_source", folder)` stands for

        [project.entry-points."i2md.readers"]
        poses = "reader:open_source"

    of a package whose modules are the files in `folder`. Processes started by the test see it too.
    """
    modules: set[str] = set()

    def register(group: str, name: str, target: str, folder: Path) -> None:
        site = tmp_path_factory.mktemp("site-packages")
        # Of two installed packages with one name only the first counts.
        package = f"plugin-of-{group}-{name}".replace(".", "-")
        metadata = site / f"{package.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n", encoding="utf-8")
        for path in (folder, site):
            monkeypatch.syspath_prepend(path)
            monkeypatch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)
        modules.add(target.partition(":")[0])

    yield register
    for module in modules:
        sys.modules.pop(module, None)
