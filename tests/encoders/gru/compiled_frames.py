"""Compiles the frame kernels for a Hopper GPU, which needs none, and prints what ptxas says of each.

python tests/encoders/gru/compiled_frames.py bf16|fp32|tf32
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from i2md.encoders.gru.triton_cell import backward_frame, forward_frame
from i2md.encoders.gru.triton_layer import blocks

# Triton ships two assemblers; the newer one, called after a newer GPU, knows all GPUs and all versions of PTX.
SHIPPED = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
PTXAS = max(SHIPPED.glob("ptxas*"))
FLOAT32 = {"bias", "state", "grad_state"}
KINDS = {"bf16": ("bf16", torch.bfloat16, "ieee"), "fp32": ("fp32", torch.float32, "ieee")}
KINDS["tf32"] = ("fp32", torch.float32, "tf32")


def compiled(kernel, name: str, **flags: bool) -> dict[str, object]:
    """Registers, spills, shared memory and tensor-core instructions of a kernel at the published size."""
    kind, dtype, precision = KINDS[name]
    _, sizes = blocks(6, 1024, 64, dtype)
    options = {"num_warps": sizes.pop("num_warps"), "num_stages": 4, "enable_fp_fusion": True}
    constants = {**sizes, **flags, "PRECISION": precision}
    pointers = {n: "*fp32" if n in FLOAT32 else f"*{kind}" for n in kernel.arg_names if n not in constants}
    signature = {n: pointers.get(n, "constexpr") for n in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names) if n in pointers}
    source = ASTSource(kernel, signature, constants, aligned)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    ptx = made.asm["ptx"]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.ptx"
        file.write_text(ptx)
        command = [PTXAS, "-v", "--gpu-name=sm_90a", file, "-o", Path(folder) / "kernel.cubin"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),
        "spilled": int(re.search(r"(\d+) bytes spill stores", said)[1]),
        "shared": made.metadata.shared,
        "tensor_cores": len(re.findall(r"wgmma\.mma_async|mma\.sync", ptx)),
    }


if __name__ == "__main__":
    forward = compiled(forward_frame, sys.argv[1], FIRST=False, SAVE=True)
    backward = compiled(backward_frame, sys.argv[1], LAST=False, GIVEN=True)
    print(json.dumps({"forward": forward, "backward": backward}))
