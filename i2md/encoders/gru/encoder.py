"""The recurrent encoder of the published results: pairs of GRUs that both read forward in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.gru.layer import PairWeights, gru_layer, gru_layer_of_few
from i2md.encoders.readout import ReadoutEncoder
from i2md.encoders.settings import GRUSettings
from i2md.skeletons import Layout

# The update gate's bias of a retentive start: 0.92 of the state stays from frame to frame.
KEEP = 2.5
# Bytes of weights that stay in a processor's last-level cache from frame to frame.
CACHE = 16 * 2**20
# Clips of a batch up to which PyTorch's own GRU is faster than ours.
FEW = 16


class GRUPair(nn.Module):
    """Two GRUs over the same sequence, both forward in time; their outputs side by side.

    `weight_ih` holds the input weights of both, one above the other, gates in PyTorch's order r, z, n.
    """

    def __init__(self, channels: int, units: int, initialisation: str = "uniform") -> None:
        super().__init__()
        self.hidden_size = units
        bound = units**-0.5
        self.weight_ih = nn.Parameter(torch.empty(6 * units, channels).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(2, 3 * units, units).uniform_(-bound, bound))
        self.bias_ih = nn.Parameter(torch.empty(6 * units).uniform_(-bound, bound))
        self.bias_hh = nn.Parameter(torch.empty(2, 3 * units).uniform_(-bound, bound))

        if initialisation != "uniform":
            self._start_orthogonal(KEEP if initialisation == "retentive" else 0.0)

    @torch.no_grad()
    def _start_orthogonal(self, keep: float) -> None:
        """Orthogonal recurrent weights; no biases but that of the update gate, by which the state is kept."""
        for block in self.weight_hh.view(-1, self.hidden_size, self.hidden_size):
            nn.init.orthogonal_(block)
        nn.init.xavier_uniform_(self.weight_ih)
        self.bias_ih.zero_()
        self.bias_hh.zero_()
        self.bias_hh[:, self.hidden_size : 2 * self.hidden_size] = keep

    def weights(self) -> PairWeights:
        """What `gru_layer` takes."""
        return PairWeights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


def run_pairs(
    x: Float[Tensor, "pairs channels frames batch"], pairs: Sequence[GRUPair], activation_checkpointing: bool = False
) -> tuple[Float[Tensor, "pairs width frames batch"], Float32[Tensor, "pairs width batch"]]:
    """Hidden states of all frames by several pairs, each of its own sequences, and the last in float32.

    Under autocast, products are computed in its type and states in float32. With `activation_checkpointing`, the gates
    are recomputed in the backward pass instead of being stored.

    Args:
        x: Sequences, one for each pair.
        pairs: GRU pairs of one size.
        activation_checkpointing: See above.

    Returns:
        Hidden states of all frames, and the last ones.
    """
    layer = gru_layer_of_few if _is_of_few(x) else _layer_on(x.device.type)
    if activation_checkpointing and torch.is_grad_enabled():
        layer = partial(checkpoint, layer, use_reentrant=False, preserve_rng_state=False)
    together = _pairs_together(x, pairs[0])
    with torch.autocast(x.device.type, enabled=False):
        parts = [
            layer(some, [pair.weights() for pair in pairs[first : first + together]])
            for first, some in zip(range(0, len(pairs), together), x.split(together), strict=True)
        ]
    hidden, last = (torch.cat(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True))
    return hidden, last


def _is_of_few(x: Tensor) -> bool:
    """Whether PyTorch's own GRU computes the layer: in export, and in inference of a few clips on a CPU."""
    if torch.compiler.is_compiling():
        return True
    few = x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[3] <= FEW
    return few and not torch.is_grad_enabled()


def triton_is_recent() -> bool:
    """Whether Triton is installed in a version that the kernels are tested with: 3.2, of PyTorch 2.6, or later."""
    return bool(find_spec("triton")) and tuple(map(int, version("triton").split(".")[:2])) >= (3, 2)


@cache
def _layer_on(device: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """On a GPU the layer by Triton's kernels, where Triton is installed; it comes with a PyTorch for GPUs."""
    if device == "cuda" and triton_is_recent():
        from i2md.encoders.gru.triton_layer import gru_layer as by_kernels

        return by_kernels
    return gru_layer


def _pairs_together(x: Tensor, pair: GRUPair) -> int:
    """How many pairs run side by side: all where launches count; on a CPU as many as its cache can hold weights of."""
    if x.device.type != "cpu":
        return len(x)
    size = (pair.weight_ih.numel() + pair.weight_hh.numel()) * x.element_size()
    return max(1, min(len(x), CACHE // size))


class GRUEncoder(ReadoutEncoder):
    """Batch norm over a frame's channels, then layers of two GRUs that each read the pair below.

    The published encoder is called bidirectional, but feeds its GRU one frame at a time, so both
    directions read forward. Two forward GRUs a layer over the whole sequence are the same numbers
    (golden: cmd_step.npz; docs/method.md section 7). The published read-out is the last output.

    Args:
        layout: Joints and channels of the clips.
        persons: Persons in a clip.
        settings: Hidden size, layers, initialisation, read-out.

    >>> from i2md.skeletons import get_layout
    >>> encoder = GRUEncoder(get_layout("kinect-v1"), 1, GRUSettings(hidden_size=16, num_layers=2))
    >>> encoder(torch.zeros(4, 10, 20, 3, 1)).shape
    torch.Size([4, 32])
    """

    Settings = GRUSettings

    def __init__(self, layout: Layout, persons: int, settings: GRUSettings) -> None:
        super().__init__(layout, persons, settings)
        channels = len(layout.joints) * layout.channels * persons
        states = 2 * settings.hidden_size
        self.activation_checkpointing = settings.activation_checkpointing
        self.input_norm = SyncBatchNorm1d(channels)
        below = [channels] + [states] * (settings.num_layers - 1)
        self.layers = nn.ModuleList(GRUPair(size, settings.hidden_size, settings.initialisation) for size in below)
        self._set_readout(settings.readout, states)

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        return self.forward_parallel([self], [x])[0]

    @classmethod
    def forward_parallel(
        cls, encoders: Sequence[GRUEncoder], clips: Sequence[Float[Tensor, "batch frames joints channels persons"]]
    ) -> list[Float[Tensor, "batch width"]]:
        """Features by several encoders of the same settings, each of its own batch, in as many launches as one takes.

        A frame is flattened in the order joints, channels, persons, that of the reference implementation
        (golden/README.md). Clips whose batch is the last axis in memory, as views are, are not copied.
        """
        sequences = [x.flatten(2) for x in clips]
        device = sequences[0].device.type
        products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else sequences[0].dtype
        hidden = torch.stack(
            [
                encoder.input_norm(x.transpose(1, 2)).permute(1, 2, 0)
                for encoder, x in zip(encoders, sequences, strict=True)
            ]
        ).to(products)
        for pairs in zip(*(encoder.layers for encoder in encoders), strict=True):
            hidden, last = run_pairs(hidden, pairs, encoders[0].activation_checkpointing)
        if encoders[0].readout.name == "last":
            return list(last.transpose(1, 2))  # in float32; `hidden` may be rounded
        return [encoder.readout(states.permute(2, 0, 1)) for encoder, states in zip(encoders, hidden, strict=True)]
