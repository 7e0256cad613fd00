"""`i2md export`: one file that turns raw joints into features or predictions without this package.

The file describes itself: its metadata `i2md` is JSON with the joints that it takes and the classes that it predicts.
What it gives is compared with the package's own results before it is written, and the difference is reported.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from i2md.errors import InputError, require_extra
from i2md.inference.classifier import Classifier
from i2md.inference.classifier_files import INFO, ClassifierInfo
from i2md.inference.export.graph import FeatureGraph, PredictionGraph, require_expressible
from i2md.inference.export.precision import Precision, in_precision
from i2md.inference.model import Model
from i2md.pretraining.run import CONFIG
from i2md.pretraining.shipped import find_run
from i2md.runtime.io import atomic_write, check_target
from i2md.skeletons import Layout

FORMAT_VERSION = 1
METADATA = "i2md"
# The first one that exporting is tested with.
MIN_TORCH = (2, 13)
OPSET = 18
# Clips by which the file is compared with the package.
_COMPARED, _FRAMES = 8, 60
_TALKATIVE = ("torch.onnx", "torch.__trace", "onnxscript")


def export_file(source: Path, out: Path, layout: str | None, precision: Precision, is_prepared: bool) -> dict[str, Any]:
    """Write a run or a classifier as one file.

    Args:
        source: Folder of a run or of a classifier, or the name of a shipped encoder.
        out: An .onnx file, or a .pt2 file of torch.export.
        layout: Joint layout of the input; by default the run's.
        precision: Of the encoders' weights.
        is_prepared: Whether the input is prepared already.

    Returns:
        What the file takes and gives, and how far it is from the package's own results.

    Raises:
        InputError: The file has another suffix, a library is missing, or the run cannot be expressed as a graph.
    """
    if out.suffix not in (".onnx", ".pt2"):
        raise InputError(f"{out}: a graph is written to an .onnx file, or to a .pt2 file for torch.export; name one")
    if out.suffix == ".pt2" and precision != "fp32":
        raise InputError(f"{out}: --precision {precision} is for .onnx files; leave it out")
    check_target(out, file=True)
    if out.suffix == ".onnx":
        for module in ("onnx", "onnxruntime", "onnxscript"):
            require_extra(module, "export", "export to ONNX")
    if tuple(map(int, torch.__version__.split(".")[:2])) < MIN_TORCH:
        raise InputError(
            f"export needs PyTorch {'.'.join(map(str, MIN_TORCH))}; this is {torch.__version__}; update it"
        )
    run = find_run(source)
    classifier = None
    if (run / INFO).is_file():
        # Before its parts are loaded, which may need aeon.
        require_expressible(run, ClassifierInfo.read(run / INFO))
        classifier = Classifier(run, "cpu")
    if classifier is None and not (run / CONFIG).is_file():
        raise InputError(
            f"{run}: neither a run ({CONFIG}) nor a classifier ({INFO}); name a folder of i2md pretrain or fit"
        )
    model = Model(run, "cpu") if classifier is None else classifier.model
    graph = (
        FeatureGraph(model, layout, is_prepared)
        if classifier is None
        else PredictionGraph(model, classifier.parts, layout, is_prepared)
    ).eval()
    facts = described(graph, model, precision, is_prepared)
    with _quiet():
        program = captured(graph)
        if out.suffix == ".pt2":
            with atomic_write(out) as partial, open(partial, "wb") as file:
                torch.export.save(program, file, extra_files={METADATA: json.dumps(facts)})
            outputs = None
        else:
            content = _onnx(program, graph, precision, facts)
            outputs = _run_onnx(content, sample_clips(graph))
            with atomic_write(out) as partial:
                partial.write_bytes(content)
    return {
        "file": str(out),
        "megabytes": round(out.stat().st_size / 1e6, 3),
        **facts,
        **({} if outputs is None else {"deviation": _deviation(graph, model, classifier, outputs, is_prepared)}),
    }


def described(graph: FeatureGraph, model: Model, precision: Precision, is_prepared: bool) -> dict[str, Any]:
    """What a graph takes and gives, as JSON data.

    Args:
        graph: The graph.
        model: The run.
        precision: Of the encoders' weights.
        is_prepared: Whether the input is prepared already.
    """
    layout = graph.input_layout
    facts: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "i2md": version("i2md"),
        "input": "joints",
        "axes": ["batch", "frames", "joints", "channels", *(["persons"] if graph.persons > 1 else [])],
        "layout": layout.name,
        "joints": list(layout.joints),
        "channels": graph.layout.channels,
        "persons": graph.persons,
        "preset": graph.preset,
        "prepared": is_prepared,
        "precision": precision,
        "outputs": graph.output_names,
    }
    if isinstance(graph, PredictionGraph):
        info = graph.info
        return facts | {
            "class_names": list(info.class_names),
            "known_score": info.known_score,
            "threshold": info.threshold,
            "background": info.background,
            "windows": None if info.windows is None else asdict(info.windows),
        }
    return facts | {"widths": {name: encoder.width for name, encoder in model.encoders.items()}}


def captured(graph: FeatureGraph) -> torch.export.ExportedProgram:
    """The graph as torch.export captures it, for any number of clips and frames.

    Args:
        graph: In evaluation mode.
    """
    example = graph.example()
    with torch.no_grad():
        # What streams keep from call to call must be made outside of the capture.
        graph(example)
        shapes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")}
        return torch.export.export(graph, (example,), dynamic_shapes=(shapes,), strict=False)


def _onnx(
    program: torch.export.ExportedProgram, graph: FeatureGraph, precision: Precision, facts: dict[str, Any]
) -> bytes:
    import onnx

    names = graph.output_names
    exported = torch.onnx.export(
        program, dynamo=True, input_names=["joints"], output_names=names, opset_version=OPSET, verbose=False
    )
    assert exported is not None
    model = exported.model_proto
    # Shapes in between, which readers infer.
    del model.graph.value_info[:]
    for each in (*model.graph.node, *model.graph.input, *model.graph.output):
        # Where in this package an operation comes from, with paths of this machine.
        del each.metadata_props[:]
    model = in_precision(model, precision)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(facts)})
    model.producer_name, model.producer_version = "i2md", version("i2md")
    onnx.checker.check_model(model)
    return model.SerializeToString()


def sample_clips(
    graph: FeatureGraph, count: int = _COMPARED, frames: int = _FRAMES
) -> Float[np.ndarray, "_ frames joints channels *persons"]:
    """Bodies of random bones that move smoothly, of the shape that a graph takes, in metres.

    Args:
        graph: The graph.
        count: Number of clips.
        frames: Frames of each.
    """
    draws, layout = np.random.default_rng(0), graph.input_layout
    shape = (count, frames, len(layout.joints), graph.layout.channels, graph.persons)
    body = _bodies(draws, layout, shape)
    time = np.linspace(0, 2 * np.pi, frames)[None, :, None, None, None]
    speed, phase, size = (draws.uniform(low, high, (count, 1, *shape[2:])) for low, high in ((1, 3), (0, 6), (0, 0.2)))
    clips = (body + size * np.sin(speed * time + phase)).astype(np.float32)
    return clips if graph.persons > 1 else clips[..., 0]


def _bodies(draws: np.random.Generator, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    """Standing bodies: each joint at 0.3 m from its parent."""
    bones = draws.normal(size=(shape[0], 1, *shape[2:]))
    bones *= 0.3 / np.linalg.norm(bones, axis=3, keepdims=True)
    order = [layout.root]
    for joint in order:
        order += [child for child, parent in enumerate(layout.parents) if parent == joint != child]
    for joint in order[1:]:
        bones[:, :, joint] += bones[:, :, layout.parents[joint]]
    return bones + draws.normal(size=(shape[0], 1, 1, *shape[3:]))


def _run_onnx(content: bytes, joints: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"joints": joints}))


def _deviation(
    graph: FeatureGraph, model: Model, classifier: Classifier | None, outputs: list[np.ndarray], is_prepared: bool
) -> dict[str, float]:
    """The largest difference of each output that is not a decision; of features as a fraction of the largest one."""
    joints = sample_clips(graph)
    with torch.no_grad():
        # Prepared clips are none that the package would take as raw ones.
        expected = (
            [each.numpy() for each in graph(torch.as_tensor(joints))]
            if is_prepared
            else _expected(graph, model, classifier, joints)
        )
    found = {}
    for name, one, other in zip(graph.output_names, outputs, expected, strict=True):
        if name in graph.encoders:
            found[name] = float(np.abs(one - other).max() / np.abs(other).max())
        elif name in ("probabilities", "known"):
            found[name] = float(np.abs(one - other).max())
        elif name == "label":
            found["labels_that_differ"] = float((one != other).mean())
    return found


def _expected(graph: FeatureGraph, model: Model, classifier: Classifier | None, joints: np.ndarray) -> list[np.ndarray]:
    """What the package itself makes of the clips, in the order of the outputs."""
    clips = [clip if clip.ndim == 3 else clip.transpose(3, 0, 1, 2) for clip in joints]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = model.pack(clips, graph.layout_name)
        if classifier is None:
            found = list(model.embed(clips, graph.layout_name).values())
        else:
            evidence = classifier.evidence(packed)
            probabilities, known = np.exp(evidence.log_probabilities), evidence.known
            rejected = np.array([each.rejected for each in classifier.decide(evidence)])
            found = [probabilities, probabilities.argmax(axis=1), rejected, known]
    return [*found, np.ones(len(joints), bool)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says of its own progress and of packages that nothing here needs."""
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
