#!/usr/bin/env bash
# Reproduces the bundled resift-mini-en from the collections under $RESIFT_DATA: about an hour and ten minutes on 2 quiet
# cores. The first argument names another folder to write to. A training that was cut off goes on from its last
# checkpoint.
set -euo pipefail
data=$(realpath -e "${RESIFT_DATA:-$(dirname "$0")/../../shared/data}")
out=$(realpath -m "${1:-$(dirname "$0")/../src/resift/bundled/resift-mini-en}")
cd "$(dirname "$0")/.."
work=build/resift-mini-en
make .venv/installed .venv/benches
.venv/bin/python -m runs.resift_mini_en.prepare --data "$data" --work "$work"
.venv/bin/python -m runs.resift_mini_en.train --work "$work" --steps 1200
.venv/bin/python -m runs.resift_mini_en.export --checkpoint "$work/step-1200.pt" --out "$out"
