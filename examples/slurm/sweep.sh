#!/bin/bash
# Many runs as one job array, submitted and awaited by this command; run it on a login node, for example in tmux.
# After an interruption the same command waits for the same jobs again.
set -euo pipefail
source .venv/bin/activate
i2md sweep clips/ntu60 runs/sweep --recipe ntu60 --grid method=moco,cmd,i2md --seeds 0 1 2 --against method=cmd \
    --slurm partition=gpu gpus_per_node=1 cpus_per_task=8 mem_gb=32 timeout_min=480
