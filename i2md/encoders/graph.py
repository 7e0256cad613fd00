"""The graph encoder: convolutions over the skeleton's graph and over time, by turns."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.persons import pool_persons, split_persons
from i2md.encoders.readout import ReadoutEncoder
from i2md.encoders.settings import GraphSettings
from i2md.skeletons import Layout

# Sets of neighbours with weights of their own: the joint itself, nearer to the centre, farther from it.
SETS = 3
# Frames that a convolution over time reads.
KERNEL = 9

Maps = Float[Tensor, "rows channels frames joints"]
Adjacency = Float[Tensor, "sets joints joints"]


def spatial_partition(layout: Layout) -> Adjacency:
    """Which joints (rows) each joint (columns) takes the mean of, by their distance to the centre of the body.

    Args:
        layout: Its bones are the edges, and `centre` is where distances start.

    Returns:
        One matrix for each of the sets: the joint itself, neighbours nearer to the centre, neighbours farther from it.
        Over all sets a column sums to 1.

    >>> from i2md.skeletons import get_layout
    >>> [int((part > 0).sum()) for part in spatial_partition(get_layout("kinect-v2"))]
    [25, 24, 24]
    """
    count = len(layout.joints)
    edges = torch.eye(count)
    for parent, child in layout.bones:
        edges[parent, child] = edges[child, parent] = 1
    distance = _distances(edges, layout.centre)
    difference = distance[:, None] - distance
    parts = [edges * (difference == 0), edges * (difference < 0), edges * (difference > 0)]
    return torch.stack(parts) / edges.sum(dim=0)


def _distances(edges: Float[Tensor, "joints joints"], centre: int) -> Float[Tensor, " joints"]:
    """Bones between each joint and the centre."""
    distance = torch.full((len(edges),), torch.inf)
    reached = torch.arange(len(edges)) == centre
    for steps in range(len(edges)):
        distance[reached & distance.isinf()] = steps
        reached = edges[reached].any(dim=0)
    return distance


class BatchNormMaps(SyncBatchNorm1d):
    """Batch norm of each channel over rows, frames and joints."""

    def forward(self, x: Maps) -> Maps:
        """Normalise each channel, then apply `weight` and `bias`."""
        return super().forward(x.flatten(2)).unflatten(2, tuple(x.shape[2:]))


class GraphConvolution(nn.Module):
    """Each joint's sum over the sets of neighbours: their mean, weighted edge by edge, by a linear layer of the set.

    Args:
        before, after: Channels of input and output.
        adjacency: What `spatial_partition` returned.
    """

    adjacency: Tensor

    def __init__(self, before: int, after: int, adjacency: Adjacency) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.pointwise = nn.Conv2d(SETS * before, after, 1)

    def forward(self, x: Maps) -> Float[Tensor, "rows after frames joints"]:
        """Neighbours first, at the smaller number of channels: the published order multiplies more and moves more."""
        adjacency = self.adjacency * self.importance
        return self.pointwise(torch.cat([x @ part for part in adjacency], dim=1))


class RefinedGraphConvolution(nn.Module):
    """A graph convolution whose adjacency is refined for each clip and each channel of the output.

    To the shared adjacency of a set, a learned multiple (0 at the start) of a linear layer of tanh(query of joint -
    key of neighbour) is added; queries and keys are linear in the mean of the frames.

    Args:
        before, after: Channels of input and output.
        adjacency: What `spatial_partition` returned.

    Source: channel-wise topology refinement, Chen et al. (ICCV 2021), arXiv:2107.12213.
    """

    adjacency: Tensor

    def __init__(self, before: int, after: int, adjacency: Adjacency) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        reduced = max(8, before // 8)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.pointwise = nn.Conv2d(before, SETS * after, 1)
        self.query = nn.Conv1d(before, SETS * reduced, 1)
        self.key = nn.Conv1d(before, SETS * reduced, 1)
        self.refine = nn.Conv2d(SETS * reduced, SETS * after, 1, groups=SETS)
        self.strength = nn.Parameter(torch.zeros(1))

    def forward(self, x: Maps) -> Float[Tensor, "rows after frames joints"]:
        """Linear layers first: every channel of the output has an adjacency of its own."""
        mean = x.mean(dim=2)
        # Joints that read are the last axis, as in `adjacency`.
        difference = torch.tanh(self.query(mean)[:, :, None, :] - self.key(mean)[:, :, :, None])
        refinement = self.refine(difference).unflatten(1, (SETS, -1))
        adjacency = (self.adjacency * self.importance)[:, None] + self.strength * refinement
        return (self.pointwise(x).unflatten(1, (SETS, -1)) @ adjacency.to(x.dtype)).sum(dim=1)


class GraphBlock(nn.Module):
    """Graph convolution, batch norm, ReLU, convolution over nine frames, batch norm; added to the input; ReLU.

    Args:
        before, after: Channels of input and output.
        stride: Frames from one state to the next.
        spatial: The graph convolution.
        residual: Whether the input is added.
    """

    def __init__(self, before: int, after: int, stride: int, spatial: nn.Module, residual: bool) -> None:
        super().__init__()
        self.spatial = spatial
        self.spatial_norm = BatchNormMaps(after)
        self.over_time = nn.Conv2d(after, after, (KERNEL, 1), (stride, 1), ((KERNEL - 1) // 2, 0))
        self.time_norm = BatchNormMaps(after)
        self.residual = residual
        changes = residual and (before != after or stride != 1)
        self.shortcut: nn.Module = (
            nn.Sequential(nn.Conv2d(before, after, 1, (stride, 1)), BatchNormMaps(after)) if changes else nn.Identity()
        )

    def forward(self, x: Maps) -> Float[Tensor, "rows after states joints"]:
        """States of the next block."""
        inner = F.relu(self.spatial_norm(self.spatial(x)))
        inner = self.time_norm(self.over_time(inner))
        return F.relu(inner + self.shortcut(x)) if self.residual else F.relu(inner)


class GraphEncoder(ReadoutEncoder):
    """Spatial-temporal graph convolutions over the layout's bones; mean over joints, read-out over time, over persons.

    Frames are halved wherever channels grow, as published. Persons are encoded one by one, by the same weights, and
    averaged; those that a clip lacks, all zeros, are left out of the average (the published one includes them).

    Args:
        layout: Joints, their parents, and the centre of the body.
        persons: Persons in a clip; any number is encoded by the same weights.
        settings: Channels of the blocks, refinement, read-out.

    >>> from i2md.skeletons import get_layout
    >>> encoder = GraphEncoder(get_layout("kinect-v1"), 2, GraphSettings(widths=(8, 16)))
    >>> encoder(torch.zeros(4, 10, 20, 3, 2)).shape
    torch.Size([4, 16])

    Source: ST-GCN with spatial partitioning, Yan, Xiong and Lin (AAAI 2018), arXiv:1801.07455.
    """

    Settings = GraphSettings
    default_readout = "mean"

    def __init__(self, layout: Layout, persons: int, settings: GraphSettings) -> None:
        super().__init__(layout, persons, settings)
        adjacency = spatial_partition(layout)
        self.input_norm = SyncBatchNorm1d(len(layout.joints) * layout.channels)
        blocks, before = [], layout.channels
        for number, after in enumerate(settings.widths):
            stride = 2 if number and after > before else 1
            spatial = _graph_convolution(before, after, adjacency, settings.refinement)
            blocks.append(GraphBlock(before, after, stride, spatial, residual=number > 0))
            before = after
        self.blocks = nn.Sequential(*blocks)
        self._set_readout(settings.readout, before)

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        rows, present = split_persons(x)
        frames = self.input_norm(rows.flatten(2).transpose(1, 2))
        maps = frames.unflatten(1, tuple(rows.shape[2:])).permute(0, 2, 3, 1).contiguous()
        states = self.blocks(maps).mean(dim=3, dtype=torch.float32)
        return pool_persons(self.readout(states), present, "mean")


def _graph_convolution(
    before: int, after: int, adjacency: Adjacency, refinement: Literal["none", "channel-wise"]
) -> nn.Module:
    kind = RefinedGraphConvolution if refinement == "channel-wise" else GraphConvolution
    return kind(before, after, adjacency)
