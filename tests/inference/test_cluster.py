"""Clusters of clips: how many, how stable, what the files hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest

import i2md
from i2md.cli.main import main
from i2md.evaluation.clustering import agreement, cluster, density_clusters, kmeans, reduced, stability


def groups(sizes: list[int], spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Features around the corners of a simplex, and whose they are."""
    draws = np.random.default_rng(0)
    true = draws.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = spread * draws.standard_normal((len(true), 30))
    return (np.eye(len(sizes), 30)[true] + noise).astype(np.float32), true


def test_the_number_of_clusters_is_found_between_those_tried_first() -> None:
    features, true = groups([12] * 17, 0.05)
    found = cluster(features, most=40)
    assert len(found.examples) == 17
    assert agreement(true, found.assigned) == {"NMI": 1.0, "ARI": 1.0}
    assert found.tried[17] == max(found.tried.values()) and {16, 18} <= found.tried.keys()


def test_of_many_clips_the_number_is_chosen_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2md.evaluation.clustering._CHOSEN_ON", 60)
    features, true = groups([50, 40, 30], 0.05)
    found = cluster(features)
    assert found.sizes == [50, 40, 30] and agreement(true, found.assigned)["ARI"] == 1


def test_hdbscan_leaves_out_what_is_like_nothing_else() -> None:
    features, true = groups([30, 20, 12], 0.05)
    lonely = np.random.default_rng(1).standard_normal((8, 30)).astype(np.float32)
    found = density_clusters(np.concatenate([features, lonely]), 5)
    inside = found.assigned[:62] >= 0
    assert inside.mean() > 0.8 and (found.assigned[:62] == true)[inside].all()
    assert (found.assigned[62:] == -1).any()
    for least in (1, 71):
        with pytest.raises(i2md.InputError, match="choose from 2 to 70"):
            density_clusters(np.concatenate([features, lonely]), least)


def test_stability_is_one_for_groups_and_low_for_noise() -> None:
    apart, noise = groups([20] * 4, 0.05)[0], np.random.default_rng(0).standard_normal((80, 30)).astype(np.float32)
    fit = lambda rows, seed: kmeans(rows, 4, seed)  # noqa: E731
    assert stability(reduced(apart), fit, 4) == 1
    assert stability(reduced(noise), fit, 4) < 0.4


def test_agreement_is_that_of_pairs_of_clips() -> None:
    """The adjusted Rand index by counting all pairs."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 3, 40)
    assigned = np.where(draws.random(40) < 0.7, labels, draws.integers(0, 3, 40))
    pairs = list(combinations(range(40), 2))
    both = sum(labels[i] == labels[j] and assigned[i] == assigned[j] for i, j in pairs)
    one, other = (sum(comb(int(count), 2) for count in np.bincount(each)) for each in (labels, assigned))
    chance = one * other / len(pairs)
    found = agreement(labels, assigned)["ARI"]
    assert found == pytest.approx((both - chance) / ((one + other) / 2 - chance))


def test_the_command_writes_a_table_figures_a_page_and_animations(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, said = tmp_path / "out", tmp_path / "said.json"
    typed = ["cluster", str(run), str(clips), str(out), "--device", "cpu", "--index", str(tmp_path / "index")]
    assert main([*typed, "--k", "3", "--seeds", "3", "--examples", "2", "--gif", "--json", str(said)]) == 0
    data = json.loads((out / "clusters.json").read_text())
    rows = list(csv.DictReader((out / "clusters.csv").read_text().splitlines()))
    opened = i2md.open_clips(clips)
    assert [row["name"] for row in rows] == opened.columns["name"].tolist()
    for each in data["clusters"]:
        members = [row for row in rows if row["cluster"] == str(each["cluster"])]
        assert len(members) == each["size"]
        assert [row["name"] for rank in "12" for row in members if row["example"] == rank] == each["examples"]
        assert sum(row["class"] == next(iter(each["classes"])) for row in members) == max(each["classes"].values())
    assert [each["size"] for each in data["clusters"]] == sorted(each["size"] for each in data["clusters"])[::-1]
    expected = agreement(opened.labels, np.array([int(row["cluster"]) for row in rows]))
    assert data["NMI"] == pytest.approx(expected["NMI"], abs=1e-4)
    assert sorted(path.name for path in out.iterdir()) == [
        *(f"cluster-00{number}.gif" for number in (1, 2, 3)),
        *("clusters.csv", "clusters.html", "clusters.json"),
    ]
    page = (out / "clusters.html").read_text()
    assert "Cluster 3" in page and data["clusters"][2]["examples"][1] in page
    assert "3 clusters of 32 clips (kmeans)" in capsys.readouterr().out
    assert json.loads(said.read_text())["page"] == str(out / "clusters.html")


def test_clips_without_labels_have_clusters_too(run: Path, clips: Path, tmp_path: Path) -> None:
    opened = i2md.open_clips(clips)
    columns = {**opened.columns, "label": np.full(len(opened), -1)}
    bare = i2md.Clips(opened.path, opened.dataset, opened.frames, columns)
    for method in ("kmeans", "hdbscan"):
        found = i2md.cluster(run=run, clips=bare, out=tmp_path / method, method=method, index=tmp_path / "index")
        assert "NMI" not in found and found["labelled"] == 0
        assert sum(each["size"] for each in found["clusters"]) + found["in_none"] == 32


def test_misuse_is_refused(run: Path, clips: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    index = tmp_path / "index"
    assert main(["search", str(run), str(clips), "--query", "a01_b01_r01", "--index", str(index)]) == 0
    typed = ["cluster", run, clips, tmp_path / "out", "--index", index]
    assert "choose one of kmeans, hdbscan" in refused(*typed, "--method", "dbscan")
    assert "--k belongs to" in refused(*typed, "--method", "hdbscan", "--k", "3")
    assert "--least to" in refused(*typed, "--least", "3")
    assert "choose from 2 to 31" in refused(*typed, "--k", "1")
    assert "seeds 1 must be at least 2" in refused(*typed, "--seeds", "1")
