"""Every notebook of examples/notebooks runs from its first cell to its last in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason='pip install -e ".[notebooks]"')
    client = pytest.importorskip("nbclient", reason='pip install -e ".[notebooks]"')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_no_output_and_opens_in_colab(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"blob/main/examples/notebooks/{path.name}" in text
    assert '"outputs": []' in text and '"output_type"' not in text and '"execution_count": null' in text
