"""The projection after an encoder: its numbers, what is trained, and heads that compare the features themselves."""

from __future__ import annotations

import pytest
import tiny
import torch

from i2md.cli.main import main
from i2md.encoders.projected import ProjectedEncoder
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.checkpoint import load_tensors, new_encoders
from i2md.pretraining.model import Branch
from i2md.pretraining.run import read_config
from i2md.skeletons import get_layout

LAYOUT = get_layout("openni-15")
TCN = {"hidden_size": 8, "num_blocks": 2}


def projected(frozen: bool = False) -> ProjectedEncoder:
    torch.manual_seed(0)
    settings = EncoderSettings(name="tcn", options=TCN, feature_size=5, frozen=frozen)
    encoder = build_encoder(settings, LAYOUT, 1)
    assert isinstance(encoder, ProjectedEncoder)
    return encoder


def test_features_are_normalised_over_the_batch_and_projected():
    encoder, x = projected().train(), torch.randn(6, 9, 15, 3, 1)
    torch.manual_seed(0)
    below = build_encoder(EncoderSettings(name="tcn", options=TCN), LAYOUT, 1).train()(x)
    scaled = (below - below.mean(dim=0)) / (below.var(dim=0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(encoder(x), scaled @ encoder.projection.weight.T, atol=1e-4, rtol=1e-4)
    assert encoder(x).shape == (6, 5)


def test_frozen_only_the_projection_learns():
    encoder = projected(frozen=True).train()
    encoder(torch.randn(6, 9, 15, 3, 1)).square().sum().backward()
    assert {name for name, weight in encoder.named_parameters() if weight.grad is not None} == {"projection.weight"}
    assert {name for name, weight in encoder.named_parameters() if weight.requires_grad} == {"projection.weight"}


def test_frozen_and_trained_start_from_the_same_weights():
    both = [projected(frozen).state_dict() for frozen in (False, True)]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


def test_frozen_without_a_projection_would_learn_nothing():
    with pytest.raises(InputError, match=r"frozen.*feature_size"):
        EncoderSettings(name="tcn", frozen=True)


@pytest.mark.parametrize(("kind", "layers"), [("mlp", 2), ("linear", 1), ("none", 0)])
def test_heads(kind: str, layers: int):
    branch = Branch(projected(), ObjectiveSettings(embedding_dim=5, projection=kind), "fp32")
    assert sum(isinstance(module, torch.nn.Linear) for module in branch.instance.modules()) == layers
    x = torch.randn(4, 9, 15, 3, 1)
    instance, cluster = branch.eval()(x)
    assert instance is cluster
    if kind == "none":
        torch.testing.assert_close(instance, torch.nn.functional.normalize(branch.encoder(x), dim=1))


def test_without_a_head_the_widths_must_agree():
    with pytest.raises(InputError, match=r"embedding_dim 6.*width, 5.*feature_size to 6"):
        Branch(projected(), ObjectiveSettings(embedding_dim=6, projection="none"), "fp32")


def test_a_run_with_frozen_convolutions_ends_with_its_initial_ones(tmp_path, tmp_path_factory):
    clips = tiny.clips(tmp_path_factory.getbasetemp())
    settings = tiny.words(
        {
            "encoder.name": "tcn",
            "encoder.options.hidden_size": 8,
            "encoder.options.num_blocks": 1,
            "encoder.feature_size": 8,
            "encoder.frozen": "true",
            "objectives.projection": "none",
        }
    )
    assert main(["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS, *settings]) == 0
    tensors = load_tensors(tmp_path / "run" / "model.safetensors")
    initial = new_encoders(read_config(tmp_path / "run"))["joint"]
    changed = {
        name
        for name, weight in initial.named_parameters()
        if not torch.equal(tensors[f"query.joint.encoder.{name}"], weight)
    }
    assert changed == {"projection.weight"}
