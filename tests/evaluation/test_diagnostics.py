"""Diagnostics of a pretraining: their values against plain loops, what is left out, and that they change nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler

from i2md.cli.main import main
from i2md.data.packed import pack
from i2md.data.store import Clips, open_clips
from i2md.encoders.settings import EncoderSettings
from i2md.evaluation import diagnostics
from i2md.evaluation.diagnostics import Diagnostics, diagnostics_monitor
from i2md.evaluation.features import clip_features
from i2md.evaluation.settings import RidgeSettings
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.log import read_log
from i2md.pretraining.model import I2MD
from i2md.pretraining.models import Model, build_model
from i2md.pretraining.settings import PretrainSettings
from i2md.views.settings import ViewSettings

SETTINGS = PretrainSettings(
    batch_size=16,
    views=ViewSettings(frames=8),
    encoder=EncoderSettings(hidden_size=4, num_layers=1),
    objectives=ObjectiveSettings(
        embedding_dim=5, queue_size=32, num_neighbours=8, dna_num_neighbours=2, warmup_steps=0, mask_self=True
    ),
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return open_clips(tiny.clips(tmp_path_factory.getbasetemp()))


def model_of(clips: Clips, **changes) -> Model:
    """A model whose queues hold keys of the training clips, twice each."""
    torch.manual_seed(0)
    model = build_model(replace(SETTINGS, **changes), clips.dataset.layout, clips=16).train()
    if not isinstance(model, I2MD):
        return model
    queues = [*model.queues.values(), *(model.cluster_queues.values() if model.settings.intra_modal else ())]
    for queue in queues:
        queue.enqueue(F.normalize(torch.randn(32, 5), dim=1), torch.arange(32) % 16)
    for weights in model.key.parameters():
        weights.add_(0.1 * torch.randn_like(weights))
    return model


def measured(clips: Clips, model: Model, split: str = "xsub") -> dict:
    return diagnostics_monitor(clips, split, torch.device("cpu"))(model)


@pytest.fixture(scope="module")
def found(clips: Clips) -> dict:
    return measured(clips, model_of(clips))


def test_every_diagnostic_is_measured_for_every_stream(found: dict) -> None:
    streams, pairs = list(SETTINGS.streams), ["joint+motion", "joint+bone", "motion+bone"]
    expected = {
        **dict.fromkeys(("alignment", "uniformity", "effective_rank", "cluster_cosine", "tv_levels"), streams),
        **{name: [*streams, "ensemble"] for name in ("knn", "ridge")},
        "tv_streams": pairs,
        "same_class": streams,
        "gradient_cosine": [f"{term}/{name}" for term in ("dna", "cmd", "imd") for name in streams],
    }
    assert set(found) == {f"diagnostics/{name}/{of}" for name, every in expected.items() for of in every}
    assert all(np.isfinite(value) for value in found.values())


def test_knn_and_ridge_hold_out_subjects_one_fold_at_a_time(clips: Clips, found: dict) -> None:
    model = model_of(clips)
    train = clips.part("xsub", "train")
    model.eval()
    encoders = {name: branch.encoder for name, branch in model.query.items()}
    features = clip_features(encoders, model.layout, pack(train), 8, 1)
    subjects, labels = train.columns["subject"], np.array(train.labels)
    for name, x in features.items():
        unit = F.normalize(x.double(), dim=1).numpy()
        others = [np.flatnonzero(subjects != subject) for subject in subjects]
        nearest = [max(others[i], key=lambda j, i=i: unit[i] @ unit[j]) for i in range(len(train))]
        assert found[f"diagnostics/knn/{name}"] == pytest.approx(np.mean(labels[nearest] == labels))
        right = 0
        for held_out in np.unique(subjects):
            kept = subjects != held_out
            scaler = StandardScaler().fit(x[kept].double())
            probe = RidgeClassifierCV(RidgeSettings().penalties).fit(scaler.transform(x[kept].double()), labels[kept])
            right += (probe.predict(scaler.transform(x[~kept].double())) == labels[~kept]).sum()
        assert found[f"diagnostics/ridge/{name}"] == pytest.approx(right / len(train), abs=1 / len(train))


def test_levels_streams_and_neighbours_match_plain_loops(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of all 16 clips, seen once by the diagnostics and once here."""
    model, seen = model_of(clips), []
    looked_at = I2MD.levels
    monkeypatch.setattr(I2MD, "levels", lambda self, *batch: seen.append(batch) or looked_at(self, *batch))
    found = measured(clips, model)
    query_view, key_view, rows = seen[0]
    labels = clips.part("xsub", "train").labels
    model.eval()
    with torch.no_grad():
        batch = looked_at(model, query_view, key_view, rows)
    teachers, same, cosines = {}, {}, {}
    for name in SETTINGS.streams:
        for level, queue in (("instance", model.queues[name]), ("cluster", model.cluster_queues[name])):
            target = getattr(batch, level)[name].target
            for b, clip in enumerate(rows.tolist()):
                similarity = {j: float(target[b] @ queue.keys[j]) for j in range(32) if queue.clips[j] != clip}
                near = sorted(similarity, key=lambda j, s=similarity: -s[j])[:8]
                powers = {j: np.exp(similarity[j] / 0.05) for j in near}
                teachers[level, name, b] = {j: p / sum(powers.values()) for j, p in powers.items()}
        cluster = batch.cluster[name]
        cosines[name] = np.mean([float(k @ t) for k, t in zip(cluster.key, cluster.target, strict=True)])
        shares = []
        for b, clip in enumerate(rows.tolist()):
            queue = model.cluster_queues[name]
            others = [j for j in range(32) if queue.clips[j] != clip]
            near = sorted(others, key=lambda j, b=b, q=queue, c=cluster: -float(c.key[b] @ q.keys[j]))[:2]
            shares += [labels[queue.clips[j]] == labels[clip] for j in near]
        same[name] = np.mean(shares)

    def variation(one, other):
        return np.mean(
            [
                sum(abs(teachers[(*one, b)].get(j, 0) - teachers[(*other, b)].get(j, 0)) for j in range(32)) / 2
                for b in range(16)
            ]
        )

    for name in SETTINGS.streams:
        assert found[f"diagnostics/cluster_cosine/{name}"] == pytest.approx(cosines[name], abs=1e-5)
        assert found[f"diagnostics/same_class/{name}"] == pytest.approx(same[name], abs=1e-5)
        expected = variation(("instance", name), ("cluster", name))
        assert found[f"diagnostics/tv_levels/{name}"] == pytest.approx(expected, abs=1e-4)
    for a, b in combinations(SETTINGS.streams, 2):
        expected = variation(("instance", a), ("instance", b))
        assert found[f"diagnostics/tv_streams/{a}+{b}"] == pytest.approx(expected, abs=1e-4)
    for term in ("dna", "cmd", "imd"):
        gradients = []
        for wanted in ("contrast", term):
            model.zero_grad()
            losses, _ = model(query_view, key_view, rows)
            sum(loss for name, loss in losses.items() if name.startswith(wanted)).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.query["bone"].encoder.parameters()]))
        expected = float(gradients[0] @ gradients[1] / gradients[0].norm() / gradients[1].norm())
        assert found[f"diagnostics/gradient_cosine/{term}/bone"] == pytest.approx(expected, abs=1e-4)


def relabelled(clips: Clips, **columns: np.ndarray) -> Clips:
    return Clips(clips.path, clips.dataset, clips.frames, {**clips.columns, **columns})


def test_what_cannot_be_measured_is_left_out_with_its_reason(clips: Clips, found: dict) -> None:
    everything = set(found)
    unlabelled = relabelled(clips, label=np.full(len(clips), -1))
    one_subject = relabelled(clips, subject=np.full(len(clips), 3))
    waiting = replace(SETTINGS.objectives, warmup_steps=9)
    soft = replace(SETTINGS.objectives, cluster_target="soft_positives")
    for of, changes, reasons in (
        (unlabelled, {}, {"knn": "labelled", "ridge": "labelled", "same_class": "no labels"}),
        (one_subject, {}, {"subjects": "a single one"}),
        (clips, {"method": "cmd"}, {"cluster_cosine": "method cmd", "tv_levels": "method cmd"}),
        (clips, {"method": "imd", "streams": ("bone",)}, {"tv_streams": "one stream"}),
        (clips, {"method": "masked"}, {"tv_streams": "compares no clips", "gradient_cosine": "compares no clips"}),
        (clips, {"objectives": soft}, {"cluster_cosine": "not aggregated"}),
        (clips, {"objectives": waiting}, dict.fromkeys(("tv_levels", "tv_streams", "same_class"), "not filled")),
    ):
        split = "all" if of is one_subject else "xsub"
        some = measured(of, model_of(of, **changes), split)
        left_out = some.pop("left_out")
        for name, reason in reasons.items():
            assert reason in left_out[name]
        assert set(some) < everything or of is one_subject
        assert not {name for name in some if name.split("/")[1] in left_out}
        assert {"diagnostics/alignment/bone", "diagnostics/effective_rank/bone"} <= set(some)


def test_neighbours_are_those_of_the_memory_and_further_terms_have_gradients(clips: Clips) -> None:
    objectives = replace(SETTINGS.objectives, cluster_target="memory", extra={"decorrelation": 0.1})
    model = model_of(clips, objectives=objectives, views=ViewSettings(frames=8, short_crops=1, short_frames=4))
    labels = clips.part("xsub", "train").labels
    for memory in (*model.memories.values(), *model.cluster_memories.values()):
        # Clips of a class share a direction.
        keys = torch.eye(5)[torch.as_tensor(labels)] + 0.01 * torch.randn(16, 5)
        memory.update(F.normalize(keys, dim=1), torch.arange(16))
        memory.momentum = 0.999
    found = measured(clips, model)
    assert [found[f"diagnostics/same_class/{name}"] for name in SETTINGS.streams] == [1.0, 1.0, 1.0]
    terms = {name.split("/")[2] for name in found if name.startswith("diagnostics/gradient_cosine")}
    assert terms == {"dna", "cmd", "imd", "multi_crop", "decorrelation"}


def test_of_many_clips_some_are_measured(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "MOST_CLIPS", 6)
    some = diagnostics_monitor(clips, "xsub", torch.device("cpu"))
    assert isinstance(some, Diagnostics)
    assert len(some.packed) == len(some.rows) == 6 and int(some.rows.max()) == 15


def test_they_leave_the_model_as_it_was(clips: Clips) -> None:
    model = model_of(clips, streams=("joint", "bone"))
    state, random = {n: v.clone() for n, v in model.state_dict().items()}, torch.get_rng_state()
    first, again = measured(clips, model), measured(clips, model)
    assert first == again
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())
    assert all(weights.grad is None for weights in model.parameters())


def test_a_run_logs_them_and_has_the_same_weights_without(
    run: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny.SETTINGS, "--diagnostics_every", "1", "--method", "i2md"]
    assert main(["pretrain", str(tiny.clips(tmp_path_factory.getbasetemp())), str(tmp_path / "run"), *words]) == 0
    assert "diagnostics left out" not in capsys.readouterr().out
    names = [[name for name in line if name.startswith("diagnostics/")] for line in read_log(tmp_path / "run")]
    # In the first epoch the queues are not filled.
    assert [len({name.split("/")[1] for name in each}) for each in names] == [5, 10]
    mine, without = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", run))
    assert all(torch.equal(mine[name], value) for name, value in without.items())
