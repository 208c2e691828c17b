#!/usr/bin/env bash
# Reproduces the bundled resift-mini-en from the collections under $RESIFT_DATA: about 8 + 60 minutes on 2 quiet cores.
# The first argument names another folder to write to. A run that was cut off goes on from its last checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/resift-mini-en out=${1:-src/resift/bundled/resift-mini-en}
make .venv/installed .venv/benches
.venv/bin/python runs/resift_mini_en/prepare.py --data "${RESIFT_DATA:-../shared/data}" --work "$work"
.venv/bin/python runs/resift_mini_en/train.py --work "$work" --steps 1200
.venv/bin/python runs/resift_mini_en/export.py --checkpoint "$work/step-1200.pt" --out "$out"
