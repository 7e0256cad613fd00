"""The example of serving an exported file: a process without PyTorch and without this package."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest

from i2md.inference.classifier import load_classifier

pytest.importorskip("onnxruntime", reason='pip install -e ".[export]"')
ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "0.1"


def ask(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.filterwarnings("ignore:embed")
def test_a_server_without_pytorch_gives_the_predictions_of_the_package() -> None:
    server = ROOT / "examples" / "serve_onnx.py"
    # Modules that are None in sys.modules cannot be imported.
    code = (
        "import sys, runpy; sys.modules.update(torch=None, i2md=None);"
        f"sys.argv = ['serve', {str(FIXTURES / 'model.onnx')!r}, '0'];"
        f"runpy.run_path({str(server)!r}, run_name='__main__')"
    )
    clips = np.load(FIXTURES / "raw.npz")["clips"]
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        expected = load_classifier(FIXTURES / "model", "cpu").predict(list(clips))
        for clip, prediction in zip(clips, expected, strict=True):
            found = ask(url, {"joints": np.where(np.isnan(clip), None, clip).tolist()})
            assert found["class"] == prediction.label
            assert found["probability"] == pytest.approx(prediction.confidence, abs=1e-4)
            assert found["none"] == prediction.rejected
        with pytest.raises(HTTPError) as refused:
            ask(url, {"joints": [[[1.0]]]})
        assert json.loads(refused.value.read())["axes"] == ["frames", "joints", "channels"]
    finally:
        process.kill()
        process.communicate()
