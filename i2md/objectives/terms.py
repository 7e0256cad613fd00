"""The terms of I2MD's loss: contrast, cmd, dna and imd, each unweighted and by stream or by pair of streams.

L = sum over streams L_contrast + w_cmd L_cmd + sum over streams (w_dna L_dna + w_imd L_imd).
Source: docs/method.md sections 3 to 6.
"""

from __future__ import annotations

from torch import Tensor

from i2md.objectives.contrast import contrast, contrast_logits, soft_contrast
from i2md.objectives.levels import BatchLevels, Level


def contrast_term(batch: BatchLevels) -> dict[str, Tensor]:
    """InfoNCE at the instance level of each stream. Source: docs/method.md section 3."""
    return {name: _info_nce(level, batch.settings.temperature) for name, level in batch.instance.items()}


def dna_term(batch: BatchLevels) -> dict[str, Tensor]:
    """InfoNCE at the cluster level of each stream, against aggregated keys. Source: docs/method.md section 5."""
    if not batch.queues_ready:
        return {}
    return {name: _info_nce(level, batch.settings.temperature) for name, level in batch.cluster.items()}


def cmd_term(batch: BatchLevels) -> dict[str, Tensor]:
    """Cross-modal mutual distillation: KL of each pair "teacher>student". Source: docs/method.md section 4."""
    if not batch.queues_ready:
        return {}
    return {f"{teacher}>{student}": loss for (teacher, student), loss in batch.cross_modal.items()}


def imd_term(batch: BatchLevels) -> dict[str, Tensor]:
    """Intra-modal mutual distillation between the two levels of each stream. Source: docs/method.md section 5."""
    if not batch.queues_ready:
        return {}
    return dict(batch.intra_modal)


def multi_crop_term(batch: BatchLevels) -> dict[str, Tensor]:
    """InfoNCE of further short views of each clip against the key of its key view, by stream; mean over the views.

    Source: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments" (SwAV, NeurIPS
    2020), whose multi-crop this is in time.
    """
    losses = {}
    for name, crops in batch.crops.items():
        level = batch.instance[name]
        count = len(crops.query) // len(level.key)
        positive = (crops.query * level.key.repeat(count, 1)).sum(dim=1)
        excluded = None if level.not_negatives is None else level.not_negatives.repeat(count, 1)
        losses[name] = contrast(contrast_logits(positive, crops.query_queue, batch.settings.temperature, excluded))
    return losses


def _info_nce(level: Level, temperature: float) -> Tensor:
    positive = (level.query * level.target).sum(dim=1)
    logits = contrast_logits(positive, level.query_queue, temperature, level.not_negatives)
    return contrast(logits) if level.soft is None else soft_contrast(logits, level.soft)
