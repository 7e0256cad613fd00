"""Evaluation of a run on clips: results of the protocols in the run's folder `evaluation`, and its report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2md.data.conversion import in_layout
from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.evaluation.baselines import baseline_data, baselines_to_score, choose_baselines
from i2md.evaluation.features import Encoders
from i2md.evaluation.fit import check_clips
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import PROTOCOLS, Protocol
from i2md.evaluation.report.clip_map import MappedClips
from i2md.evaluation.report.pages import write_report
from i2md.evaluation.report.robustness_figure import write_robustness_pngs
from i2md.evaluation.results import ENSEMBLE, UNTRAINED, Outcome, Result, write_result
from i2md.evaluation.robustness import FOLDER, Evaluated, check_corruptions, evaluate_corrupted, read_robustness
from i2md.evaluation.segment_data import SegmentData, in_windows, segment_data
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.checkpoint import load_encoders, new_encoders
from i2md.pretraining.run import RunConfig, read_config, versions


def evaluate_run(
    run: Path,
    clips: Clips,
    protocols: tuple[str, ...],
    split: str | None,
    device: torch.device,
    baselines: Sequence[str] | None = None,
    settings: EvaluationSettings | None = None,
    trained: bool = True,
    corruptions: Sequence[str] = (),
) -> list[Result]:
    """Evaluate a run's encoders by some protocols; at the end the run's report is written again.

    Args:
        run: The run's folder. Each result is written to its folder `evaluation` as soon as it is computed.
        clips: Labelled clips, the run's own or others; those of another layout or preparation are converted.
        protocols: Names of protocols.
        split: Name of the split; by default the run's, or the clips' first.
        device: Where to compute.
        baselines: Names of the baselines to evaluate, too; by default those that take seconds, by the protocols that
            are fair to any features.
        settings: Of the protocols.
        trained: Whether to evaluate the run's pretrained encoders.
        corruptions: Kinds of corruption of the test clips, or "all": encoders and baselines are evaluated on these,
            too, by the protocols that are fair to any features.

    Returns:
        The results in the order in which they were computed, those on corrupted clips last.

    Raises:
        InputError: Run, clips, split and protocols do not fit one another.
    """
    config = read_config(run)
    settings = settings or EvaluationSettings()
    choose_baselines(baselines)
    split = choose_split(clips, split, config.clips.get("split"))
    chosen = [PROTOCOLS[name] for name in protocols]
    of_clips = [protocol for protocol in chosen if not protocol.over_time]
    check_corruptions(corruptions, of_clips, clips.dataset.layout)
    over_time = [protocol for protocol in chosen if protocol.over_time]
    clips = in_windows(clips, settings.segment) if over_time else clips
    check_clips(config, clips, run)
    as_given, clips = clips, in_layout(clips, config.layout, config.preparation)
    train, test = _labelled(clips.part(split, "train")), _labelled(clips.part(split, "test"))
    if not len(train) or not len(test):
        raise InputError(
            f"{clips.path}: split {split!r} has {len(train)} training and {len(test)} test clips with labels; give"
            " labels to the clips of both when preparing (labels.csv with the columns name and label in the folder of"
            " recordings), or use embed, pretrain or report --clips, which need none"
        )

    collectives.run_on_main(partial(_warn_of_one_class, test))
    data = _probe_data(
        load_encoders(run, config, device, settings.readout), config, train, test, device, settings.readout
    )
    results: list[Result] = []

    def outcomes(
        probed: ProbeData, protocol: Protocol, baseline: str | None, settings: EvaluationSettings
    ) -> Iterator[Result]:
        sections = protocol.sections(settings)
        plain = {section: asdict(value) for section, value in sections.items()}
        readout = settings.readout if baseline in (None, UNTRAINED) else None
        for outcome in protocol.run(probed, *sections.values()):
            outcome = replace(outcome, variant=replace(outcome.variant, readout=readout))
            result = _result(outcome, protocol, baseline, plain, config, split, train, test)
            yield probed.of_recordings(result) if isinstance(probed, SegmentData) else result

    def score(probed: ProbeData, protocol: Protocol, baseline: str | None) -> None:
        for result in outcomes(probed, protocol, baseline, settings):
            results.append(result)
            collectives.run_on_main(partial(write_result, run / "evaluation", result))

    def score_all(probed: ProbeData, protocols: list[Protocol], quiet: bool = False) -> Evaluated:
        """Score encoders and baselines, and return those that were."""
        for protocol in protocols if trained else ():
            score(probed, protocol, UNTRAINED if protocol.from_scratch else None)
        to_score, notes = baselines_to_score(baselines, protocols, config, len(probed.train) + len(probed.test))
        shown = [] if quiet else notes
        collectives.run_on_main(lambda: print(*shown, sep="\n", end="\n" * bool(shown), file=sys.stderr))
        found: dict[str | None, tuple[ProbeData, Sequence[Protocol]]] = {None: (probed, protocols)} if trained else {}
        for name, takers in to_score.items():
            of_baseline = baseline_data(name, probed)
            for protocol in takers:
                score(of_baseline, protocol, name)
            if corruptions:
                found[name] = of_baseline, takers
        return found

    evaluated = score_all(data, of_clips) if of_clips else {}
    if over_time:
        of_draws = segment_data(data, as_given, settings.segment, split, config.preparation)
        for number, each in enumerate(of_draws):
            score_all(each, over_time, quiet=number > 0)
    if corruptions:
        results += evaluate_corrupted(run, test, corruptions, settings, evaluated, outcomes, results)
    collectives.run_on_main(lambda: _report(run, test, data, results))
    return results


def _result(
    outcome: Outcome,
    protocol: Protocol,
    baseline: str | None,
    settings: dict[str, Any],
    config: RunConfig,
    split: str,
    train: Clips,
    test: Clips,
) -> Result:
    scores = dict(outcome.scores)
    ensemble = scores.pop(ENSEMBLE, None)
    return Result(
        protocol=protocol.name,
        method=config.settings.method,
        dataset=test.dataset.name,
        split=split,
        seed=config.settings.seed,
        streams=scores,
        ensemble=ensemble,
        baseline=baseline,
        **asdict(outcome.variant),
        epochs=0 if baseline else config.settings.epochs,
        train_clips=len(train),
        test_clips=len(test),
        learning_rate=outcome.learning_rate,
        validation=outcome.validation,
        pretraining_dataset=config.clips.get("name"),
        pretraining_split=config.clips.get("split"),
        recipe=config.recipe,
        labelled_clips=outcome.labelled_clips,
        class_names=list(test.dataset.class_names),
        clip_names=test.columns["name"].tolist(),
        labels=test.labels.tolist(),
        settings=json.loads(json.dumps(settings)),
        versions=versions(),
    )


def choose_split(clips: Clips, split: str | None, pretrained: str | None = None) -> str:
    """Choose the split to evaluate on.

    Args:
        clips: What is evaluated on.
        split: The split that was asked for.
        pretrained: The split that the run was pretrained on.

    Returns:
        The split asked for; else the one pretrained on, where these clips have it; else the data set's first.

    Raises:
        InputError: No split was asked for and the clips have none.
    """
    if split and split != "all":
        return split
    chosen = pretrained if pretrained in clips.dataset.splits else clips.default_split()
    if chosen is None:
        by = "subject" if len(np.unique(clips.columns["subject"])) > 1 else "recording"
        raise InputError(
            f"{clips.path}: the data set has no split to evaluate on; draw one: i2md split {clips.path} --by {by}"
        )
    return chosen


def _warn_of_one_class(test: Clips) -> None:
    classes = np.unique(test.labels)
    if len(classes) == 1:
        names, number = test.dataset.class_names, int(classes[0])
        name = repr(names[number]) if number < len(names) else str(number)
        print(
            f"i2md: warning: all test clips of {test.path} have one class, {name}: predicting it always is right",
            file=sys.stderr,
        )


def _labelled(clips: Clips) -> Clips:
    return clips.select(np.flatnonzero(clips.labels >= 0))


def _untrained_encoders(config: RunConfig, device: torch.device, readout: WeightlessReadout | None) -> Encoders:
    return {name: encoder.to(device) for name, encoder in new_encoders(config, readout).items()}


def _probe_data(
    encoders: Encoders,
    config: RunConfig,
    train: Clips,
    test: Clips,
    device: torch.device,
    readout: WeightlessReadout | None,
) -> ProbeData:
    as_labels = lambda clips: torch.as_tensor(np.array(clips.labels), device=device)  # noqa: E731
    return ProbeData(
        encoders=encoders,
        untrained_encoders=lambda: _untrained_encoders(config, device, readout),
        layout=config.layout,
        frames=config.settings.views.frames,
        persons=config.persons,
        train=pack(train, device),
        test=pack(test, device),
        train_names=train.columns["name"].tolist(),
        train_labels=as_labels(train),
        test_labels=as_labels(test),
        train_subjects=torch.as_tensor(np.array(train.columns["subject"])),
        num_classes=1 + max(len(train.dataset.class_names) - 1, int(train.labels.max()), int(test.labels.max())),
        seed=config.settings.seed,
    )


def _report(run: Path, test: Clips, data: ProbeData, results: list[Result]) -> None:
    """Write the run's report; its map shows the predictions of the best result of the pretrained encoders."""
    if any(result.corruption for result in results):
        write_robustness_pngs(run / FOLDER, read_robustness(run))
    candidates = [result for result in results if result.baseline is None and result.draw is None]
    candidates = [each for each in candidates if each.corruption is None and each.overall.predictions is not None]
    best = max(candidates, key=lambda result: result.overall.accuracy, default=None)
    write_report(
        run,
        MappedClips(
            names=test.columns["name"].tolist(),
            labels=np.array(test.labels),
            predictions=None if best is None else np.array(best.overall.predictions),
            class_names=test.dataset.class_names,
            features=torch.cat(list(data.test_features.values()), dim=1).cpu().numpy(),
            skeletons=[np.array(clip) for clip in test],
            layout=test.dataset.layout,
        ),
    )
