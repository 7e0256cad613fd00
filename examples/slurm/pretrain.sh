#!/bin/bash
# One run on two machines with four GPUs each; saved, queued again and resumed at the time limit: sbatch pretrain.sh
#SBATCH --job-name=i2md
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=ntu60.log

source .venv/bin/activate
srun --kill-on-bad-exit=1 i2md pretrain clips/ntu60 runs/ntu60 --recipe ntu60
status=$?
case $status in
  0) srun --kill-on-bad-exit=1 i2md evaluate runs/ntu60 clips/ntu60 ;;
  2) exit 2 ;;                                   # an error to fix: see the log
  *) scontrol requeue "$SLURM_JOB_ID" ;;         # out of time, or a process was lost: resume
esac
