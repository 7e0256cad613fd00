"""Predictions over time on long recordings, with the labels of a few subjects: learned features beside baselines.

    python benchmarks/segment.py CLIPS RUN [RUN ...] --subjects 3 --draws 3

CLIPS are whole recordings with labelled intervals (`i2md prepare utkinect-action3d FOLDER CLIPS --windows 2s`). The
runs are of one configuration and differ in their seeds; they must not have seen the recordings. Each draw takes the
labels of some subjects and another run; what is reported is of all other subjects. Every candidate goes through the
same pipeline: windows prepared one by one, ridge regression, temperature and hidden Markov model from the labelled
subjects alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import i2md
from i2md.data.windows import parse_windows
from i2md.evaluation.segments import SegmentScores, segment_scores
from i2md.inference.classifier import Classifier
from i2md.inference.classifier_files import write_classifier
from i2md.inference.fit import fit_parts
from i2md.inference.predictions import true_intervals
from i2md.inference.timeline import frame_labels
from i2md.inference.training_set import window_set
from i2md.pretraining.checkpoint import new_encoders

UNTRAINED = "untrained"


def main() -> None:
    """Print a table of mean and standard deviation over draws and runs, and write the single figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--windows", default="2s")
    parser.add_argument("--stride", default="0.2s")
    parser.add_argument("--smooth", nargs="+", default=["hmm"])
    parser.add_argument("--candidates", nargs="+", default=["learned", UNTRAINED, "positions", "minirocket"])
    parser.add_argument("--out", type=Path, default=Path("segment.json"))
    asked = parser.parse_args()
    recordings = i2md.open_clips(asked.clips).recordings
    windows = parse_windows(asked.windows, asked.stride)
    every = np.unique(recordings.columns["subject"])
    draws = [np.random.default_rng(seed).permutation(every)[: asked.subjects] for seed in range(asked.draws)]
    rows: list[dict] = []
    for candidate in asked.candidates:
        for number, subjects in enumerate(draws):
            run = asked.runs[number % len(asked.runs)]
            labelled = np.isin(recordings.columns["subject"], subjects)
            model = i2md.load(run, "cpu")
            if candidate == UNTRAINED:
                model.encoders.update(new_encoders(model.config))
            name = "learned" if candidate == UNTRAINED else candidate
            data = window_set(model, recordings.select(np.flatnonzero(labelled)), windows)
            parts = fit_parts(model, data, [name], false_alarms=0.0)
            folder = asked.out.with_suffix(".model")
            write_classifier(folder, model, parts, overwrite=True)
            classifier = Classifier(folder, "cpu")
            if candidate == UNTRAINED:
                # The folder holds the weights of the run.
                classifier.model.encoders.update(model.encoders)
            for smooth in asked.smooth:
                scores = score(classifier, recordings.select(np.flatnonzero(~labelled)), smooth)
                row = {"candidate": candidate, "run": run, "draw": number, "smooth": smooth}
                rows.append({**row, "subjects": subjects.tolist(), **scores._asdict()})
                print(row, [round(100 * each, 1) for each in figures(scores)], flush=True)
    asked.out.write_text(json.dumps(rows, indent=1))
    print("| smoothing | features | frames | F1@10 | F1@25 | F1@50 | edit |")
    for smooth in asked.smooth:
        for candidate in asked.candidates:
            of = [r for r in rows if (r["candidate"], r["smooth"]) == (candidate, smooth)]
            values = 100 * np.array([figures(SegmentScores(r["frame_accuracy"], r["f1"], r["edit"])) for r in of])
            cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)]
            print(f"| {smooth} | {candidate} | {' | '.join(cells)} |")


def figures(scores: SegmentScores) -> list[float]:
    """The figures of a row."""
    return [scores.frame_accuracy, *scores.f1.values(), scores.edit]


def score(classifier: Classifier, recordings: i2md.Clips, smooth: str) -> SegmentScores:
    """Metrics of the predictions for labelled recordings."""
    background = classifier.info.background
    assert background is not None
    true, predicted = [], []
    for index, timeline in enumerate(classifier.timelines(recordings, smooth=smooth)):
        intervals = true_intervals(recordings, index, classifier.class_names)
        true.append(frame_labels(intervals, timeline.frames, background))
        predicted.append(np.where(timeline.labels < 0, background, timeline.labels))
    return segment_scores(true, predicted, background)


if __name__ == "__main__":
    main()
