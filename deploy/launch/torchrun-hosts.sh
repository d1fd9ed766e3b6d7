#!/bin/bash
# Train on several hosts without a scheduler. The same command on every host, with the same files:
#   HOSTS=2 FIRST_HOST=10.0.0.1 GPUS=4 RECIPE=my.toml RUN=/data/runs/mine bash deploy/launch/torchrun-hosts.sh
# Where a process or a host is lost, torchrun restarts all processes, at most 3 times, as soon as
# every host has this command running again; they continue from the newest checkpoint.
set -euo pipefail

: "${RECIPE:?a recipe, like my.toml}" "${RUN:?the folder of the run, on a shared disk}"
: "${FIRST_HOST:?the address of the first host}"
HOSTS=${HOSTS:-2}
GPUS=${GPUS:-1} # processes on each host
PORT=${PORT:-29500}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

more=()
if compgen -G "$RUN/checkpoints/step-*" >/dev/null; then
    more+=(--resume)
fi

exec torchrun \
    --nnodes "$HOSTS" --nproc-per-node "$GPUS" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-endpoint "$FIRST_HOST:$PORT" --rdzv-id "$(basename "$RUN")" \
    -m triptych train "$RECIPE" --out "$RUN" \
    --batches.accumulate "$((HOSTS * GPUS))" "${more[@]}"
