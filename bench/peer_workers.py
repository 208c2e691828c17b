"""The contestants of bench/peers.py, each in a process and an environment of its own.

    python bench/peer_workers.py contest NAME FOLDER    run once per line of stdin, answer with the seconds
    python bench/peer_workers.py cold NAME FOLDER       print the time of day when the first score is there
    python bench/peer_workers.py scale PAIRS FOLDER     score so many pairs once; seconds and memory

Nothing is imported here but what Python brings: cold starts are measured too.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.pop(0)  # bench/ has modules named load, index, search; a library may mean its own


class Counted:
    """Tokens, slots of the batches, and inputs that fill the model's window, so that some of them may be cut."""

    def __init__(self, limit: int = 512) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        self.inputs = self.tokens = self.slots = self.full = 0

    def add(self, mask, pads=True) -> None:
        lengths = mask.sum(1)
        self.inputs += len(lengths)
        self.tokens += int(lengths.sum())
        self.slots += mask.shape[0] * mask.shape[1] if pads else int(lengths.sum())
        self.full += int((lengths >= self.limit).sum())

    def forward(self, model) -> None:
        """Count what a Transformers or Optimum model is given."""
        inner = model.forward

        def forward(*args, **kwargs):
            self.add(kwargs["attention_mask"])
            return inner(*args, **kwargs)

        model.forward = forward

    def session(self, session):
        """An ONNX Runtime session that counts what it is given."""
        counted = self

        class Session:
            def __getattr__(self, name):
                return getattr(session, name)

            def run(self, outputs, inputs, *rest):
                counted.add(inputs["attention_mask"])
                return session.run(outputs, inputs, *rest)

        return Session()

    def engine(self, engine):
        """A Resift engine that counts what it is given."""
        from resift.inspection.observed_engine import ObservedEngine

        return ObservedEngine(engine, lambda batch: self.add(batch.mask, engine.pads))


class Contestant:
    """`run` takes a step through the inputs and gives their scores; 1 is all of them."""

    def __init__(self, run, counted=None, packages=(), batch_sizes=(), **said) -> None:
        self.run, self.counted, self.packages, self.said = run, counted, packages, said
        if batch_sizes:
            self.choose(batch_sizes)

    def choose(self, sizes) -> None:
        """Take the batch size that does a fifth of the inputs fastest."""
        self.run(50, sizes[0])
        took = {}
        for size in sizes:
            began = time.perf_counter()
            self.run(5, size)
            took[size] = round(time.perf_counter() - began, 3)
        best, run = min(took, key=took.get), self.run
        self.run = lambda step: run(step, best)
        self.said |= {"batch_size": best, "seconds_by_batch_size": took}


def read(folder: Path, name: str):
    return json.loads((folder / f"{name}.json").read_text())


# Cross-encoders


def st_pairs(folder, model="cross-encoder", data="pairs", sizes=(), backend="torch", **kwargs):
    import torch
    from sentence_transformers import CrossEncoder

    pairs = [tuple(p) for p in read(folder, data)]
    if kwargs.pop("bf16", False):
        kwargs["model_kwargs"] = {"torch_dtype": torch.bfloat16}
    loaded = CrossEncoder(str(folder / model), backend=backend, activation_fn=torch.nn.Identity(), **kwargs)
    counted = Counted()
    counted.forward(loaded.model)

    def run(step, size=32):
        return loaded.predict(pairs[::step], batch_size=size, show_progress_bar=False)

    more = {"onnx": ("optimum-onnx", "onnxruntime"), "openvino": ("optimum-intel", "openvino")}.get(backend, ())
    said = {} if sizes else {"batch_size": 32}
    return Contestant(run, counted, ("sentence-transformers", "transformers", "torch", *more), sizes, **said)


def resift_pairs(folder, model="cross-encoder", data="pairs", precision="auto"):
    import numpy as np

    import resift
    from resift.reranker import Reranker

    pairs, counted = read(folder, data), Counted()
    loaded = resift.load(folder / model, precision=precision)
    counting = Reranker(loaded.scorer.with_engine(counted.engine))
    runs_on = loaded.scorer.info.runs_on
    return Contestant(
        lambda step: np.array(counting.score(pairs[::step]).values), counted, ("resift", "openvino"), runs_on=runs_on
    )


def products(folder):
    """Not a contestant: the seconds that the model's matrix products alone would take, at the rate of bare products."""
    import resift
    from resift.engine.roofline import product_rate, shapes_of
    from resift.inspection.observed_engine import BatchCount
    from resift.reranker import Reranker

    pairs, count = read(folder, "pairs"), BatchCount()
    scorer = resift.load(folder / "cross-encoder").scorer
    Reranker(scorer.with_engine(count.wrap)).score(pairs)
    shapes = shapes_of(count.engine)
    flops = shapes.flops(count.lengths)
    contestant = Contestant(None, flops=flops)
    contestant.seconds = lambda: flops / product_rate(shapes, count.engine.precision)
    return contestant


def fastembed_pairs(folder):
    import numpy as np
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    pairs = [tuple(p) for p in read(folder, "pairs")]
    TextCrossEncoder.add_custom_model("peers/cross-encoder", ModelSource(hf="peers/none"), "model.onnx")
    loaded = TextCrossEncoder("peers/cross-encoder", specific_model_path=str(folder / "cross-encoder-onnx"))
    counted = Counted()
    loaded.model.model = counted.session(loaded.model.model)

    def run(step, size):
        return np.array(list(loaded.rerank_pairs(pairs[::step], batch_size=size)))

    return Contestant(run, counted, ("fastembed", "onnxruntime"), (1, 2, 4, 8, 16, 32, 64))


def flashrank_pairs(folder):
    import numpy as np
    from flashrank import Ranker, RerankRequest

    pairs = read(folder, "pairs")
    loaded = Ranker("ms-marco-MiniLM-L-12-v2", cache_dir=str(folder / "flashrank"))
    counted = Counted()
    loaded.session = counted.session(loaded.session)

    def run(step):
        scores, asked = np.empty(len(pairs)), {}
        for i, (query, text) in enumerate(pairs):
            asked.setdefault(query, []).append({"id": i, "text": text})
        for query, own in asked.items():
            for passage in loaded.rerank(RerankRequest(query, own)):
                scores[passage["id"]] = passage["score"]
        return np.log(scores / (1 - scores))

    return Contestant(run, counted, ("FlashRank", "onnxruntime"), batch_size="all passages of a question")


# Stored token vectors


def resift_stored(folder, precision="auto", stored=True):
    import numpy as np

    import resift
    from resift.rerank.drive import drive
    from resift.types import Document, Query, Ranking

    asked = read(folder, "requests")
    loaded = resift.load("resift-mini-en", precision=precision)
    texts = list(dict.fromkeys(d for r in asked for d in r["documents"]))
    windows = {t: d.windows for t, d in zip(texts, loaded.scorer.encode_documents(texts), strict=True)}

    class Store:
        def windows_of(self, document):
            return windows[document.text]

    stage = loaded.stage(blend=False, store=Store() if stored else None)
    rankings = [
        Ranking.unscored(Query(r["query"]), [Document(str(i), d) for i, d in enumerate(r["documents"])]) for r in asked
    ]

    def run(step):
        found = []
        for ranking in rankings[::step]:
            by_id = {c.document.id: float(c.score) for c in drive(stage, [ranking])[0]}
            found += [by_id[c.document.id] for c in ranking]
        return np.array(found)

    return Contestant(run, packages=("resift", "openvino"), requests=len(asked))


def st_stored(folder):
    from sentence_transformers import CrossEncoder

    asked, counted = read(folder, "requests"), Counted()
    loaded = CrossEncoder(str(folder / "cross-encoder"))
    counted.forward(loaded.model)

    def run(step):
        import numpy as np

        found = [
            loaded.predict([(r["query"], d) for d in r["documents"]], show_progress_bar=False) for r in asked[::step]
        ]
        return np.concatenate(found)

    packages = ("sentence-transformers", "transformers", "torch")
    return Contestant(run, counted, packages, requests=len(asked), batch_size=32)


# Embedding


def st_passages(folder, bf16=False, sizes=()):
    import torch
    from sentence_transformers import SentenceTransformer

    texts = read(folder, "passages")
    given = {"model_kwargs": {"torch_dtype": torch.bfloat16}} if bf16 else {}
    loaded = SentenceTransformer(str(folder / "embedder"), **given)
    counted = Counted(256)
    counted.forward(loaded[0].auto_model)

    def run(step, size=32):
        # A bf16 model's vectors are bf16 tensors, which NumPy lacks.
        found = loaded.encode(texts[::step], batch_size=size, show_progress_bar=False, convert_to_tensor=bf16)
        return found.float().numpy() if bf16 else found

    said = {} if sizes else {"batch_size": 32}
    return Contestant(run, counted, ("sentence-transformers", "transformers", "torch"), sizes, **said)


def fastembed_passages(folder):
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    texts = read(folder, "passages")
    source = ModelSource(hf="peers/none")
    TextEmbedding.add_custom_model("peers/embedder", PoolingType.MEAN, True, source, 384, "model.onnx")
    loaded = TextEmbedding("peers/embedder", specific_model_path=str(folder / "embedder-onnx"))
    counted = Counted()
    loaded.model.model = counted.session(loaded.model.model)

    def run(step, size):
        return np.array(list(loaded.embed(texts[::step], batch_size=size)))

    return Contestant(run, counted, ("fastembed", "onnxruntime"), (2, 8, 32, 256))


def resift_passages(folder, precision="auto"):
    from resift.score.load import load_embedder

    texts, counted = read(folder, "passages"), Counted(256)
    loaded = load_embedder(str(folder / "embedder"), precision)
    loaded._engine = counted.engine(loaded._engine)
    return Contestant(lambda step: loaded.embed(texts[::step], "document"), counted, ("resift", "openvino"))


SIZES = (2, 4, 8, 16, 32, 64)
LONG = {"model": "xlm-r", "data": "long_pairs"}
CONTESTANTS = {
    "resift": resift_pairs,
    "resift f32": lambda f: resift_pairs(f, precision="f32"),
    "products": products,
    "sentence-transformers f32": st_pairs,
    "sentence-transformers bf16": lambda f: st_pairs(f, bf16=True, sizes=SIZES),
    "sentence-transformers onnx": lambda f: st_pairs(f, backend="onnx", sizes=SIZES, model_kwargs={"export": True}),
    "sentence-transformers openvino": lambda f: st_pairs(
        f, backend="openvino", sizes=SIZES, model_kwargs={"export": True}
    ),
    "fastembed": fastembed_pairs,
    "flashrank": flashrank_pairs,
    "resift xlm-r": lambda f: resift_pairs(f, **LONG),
    "resift xlm-r f32": lambda f: resift_pairs(f, precision="f32", **LONG),
    "sentence-transformers xlm-r f32": lambda f: st_pairs(f, **LONG),
    "sentence-transformers xlm-r bf16": lambda f: st_pairs(f, bf16=True, sizes=(2, 8, 32), **LONG),
    "resift stored": resift_stored,
    "resift stored f32": lambda f: resift_stored(f, "f32", stored=False),
    "sentence-transformers stored": st_stored,
    "resift encode": resift_passages,
    "resift encode f32": lambda f: resift_passages(f, "f32"),
    "sentence-transformers encode f32": st_passages,
    "sentence-transformers encode bf16": lambda f: st_passages(f, bf16=True, sizes=SIZES),
    "fastembed encode": fastembed_passages,
}


def contest(name: str, folder: Path, answer) -> None:
    contestant = CONTESTANTS[name](folder)
    import importlib.metadata

    versions = {p: importlib.metadata.version(p) for p in contestant.packages}
    answer({"versions": versions, "pid": os.getpid(), **contestant.said})
    scores, runs = None, 0
    for line in sys.stdin:
        if contestant.run is None:
            answer({"seconds": contestant.seconds()})
            continue
        step = int(line)
        if contestant.counted:
            contestant.counted.clear()
        began = time.perf_counter()
        scores = contestant.run(step)
        answer({"seconds": time.perf_counter() - began})
        runs += 1
    if scores is not None:
        import numpy as np

        (folder / "scores").mkdir(exist_ok=True)
        np.save(folder / "scores" / f"{name}.npy", np.asarray(scores, np.float32))
    counted = contestant.counted
    if counted and counted.slots:
        answer({"tokens": counted.tokens, "padding": round(1 - counted.tokens / counted.slots, 4),
                "truncated_at_most": round(counted.full / counted.inputs, 4)})  # fmt: skip
    else:
        answer({})


PAIR = ("what makes rain fall", "Rain falls when drops of water in a cloud have grown too heavy for the air.")


def cold_resift(folder: Path) -> float:
    import resift

    return float(resift.load(folder / "cross-encoder").score([PAIR]).values[0])


def cold_st(folder: Path) -> float:
    from sentence_transformers import CrossEncoder

    return float(CrossEncoder(str(folder / "cross-encoder")).predict([PAIR], show_progress_bar=False)[0])


def cold_onnx(folder: Path) -> float:
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    model = folder / "cross-encoder-onnx"
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    encoded = Tokenizer.from_file(str(model / "tokenizer.json")).encode(*PAIR)
    inputs = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
    return float(session.run(None, {n: np.array([v], np.int64) for n, v in inputs.items()})[0][0, 0])


COLD = {"resift": cold_resift, "sentence-transformers": cold_st, "onnxruntime": cold_onnx}


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def scale(pairs: int, folder: Path, answer) -> None:
    import resift

    given = [tuple(p) for p in read(folder, f"scale-{pairs}")]
    loaded = resift.load(folder / "cross-encoder")
    loaded.score([tuple(p) for p in read(folder, "pairs")])  # compiles
    before, cpu, began = memory("VmRSS"), time.process_time(), time.perf_counter()
    scores = loaded.score(given)
    answer({
        "pairs": pairs, "tokens": scores.tokens, "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu, "rss_before_mib": round(before),
        "peak_rss_mib": round(memory("VmHWM")),
    })  # fmt: skip


def main() -> None:
    what, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer

    def answer(value: dict) -> None:
        out.write(json.dumps(value) + "\n")
        out.flush()

    if what == "contest":
        contest(name, folder, answer)
    elif what == "scale":
        scale(int(name), folder, answer)
    else:
        score = COLD[name](folder)
        answer({"at": time.time(), "score": score})


if __name__ == "__main__":
    main()
