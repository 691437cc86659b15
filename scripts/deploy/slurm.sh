#!/usr/bin/env bash
# Workers of one study as a SLURM array job; each task is one worker, and ends when the study is done.
#
#   export GRADSTUDY_STORAGE=postgresql://USER@HOST/DATABASE     # its password in ~/.pgpass (mode 600)
#   gradstudy launch NAME --detach --task cmudict --trials 2000  # once, on the login node
#   sbatch scripts/deploy/slurm.sh NAME                          # more workers: --array=1-64
#   sbatch --gpus-per-task=1 scripts/deploy/slurm.sh NAME --device cuda
#
# At the time limit or a preemption SLURM sends SIGTERM a minute before: the worker gives its trials back.
#SBATCH --job-name=gradstudy
#SBATCH --array=1-16
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --output=gradstudy-%A-%a.log
set -euo pipefail
: "${GRADSTUDY_STORAGE:?is not set; it names the database that the nodes share: postgresql://USER@HOST/DATABASE}"
: "${1:?is missing: sbatch slurm.sh NAME}"
# exec: SLURM's signal goes to the process of this script, which must be the worker.
exec gradstudy work "$@" --threads "${SLURM_CPUS_PER_TASK:-1}"
