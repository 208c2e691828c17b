"""What a cross-encoder is fed, token by token: truncation rules, windows, segments, literals of special tokens.

`golden_inputs.json` holds what the libraries themselves gave (`bench/flag_embedding.py` makes it): FlagEmbedding 1.4.0
for "only_second", Transformers' tokenizer as sentence-transformers calls it for "longest_first".
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from resift.engine.batching import Batch, FloatArray
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import EncoderInput
from resift.models.tokenizer import Tokens
from resift.score.cross_encoder import CrossEncoderScorer
from resift.types import Candidate, Document, Query, ScoreKind, Scores
from tests.checkpoints import save_tokenizer
from tests.tiny_tokenizers import TOKENIZERS

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_inputs.json").read_text())
LIMIT = GOLDEN["max_tokens"]


class Recorder:
    """An engine that keeps what it is given; its output is a number made of the ids."""

    name, precision, characters = "onnx", "f32", 1 << 20

    def __init__(self) -> None:
        self.ids: list[list[int]] = []
        self.segments: list[list[int]] = []

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        for batch in batches:
            for ids, mask, segments in zip(batch.ids, batch.mask, batch.segments, strict=True):
                self.ids.append(ids[mask == 1].tolist())
                self.segments.append(segments[mask == 1].tolist())
            yield batch, ((batch.ids * batch.mask).sum(1, keepdims=True).astype(np.float32) % 101,)


def fed(folder: Path, query: str, document: str, *, limit: int = LIMIT, **options: str) -> Recorder:
    """What the engine gets for a pair."""
    recorder = Recorder()
    truncation = options.pop("truncation", "only_second")
    contract = Contract("m", "encoder", ScoreKind.LOGIT, limit, limit, EncoderInput(truncation))  # type: ignore[arg-type]
    scorer = CrossEncoderScorer(contract, Tokens(ModelFolder(folder)), recorder, 0, **options)  # type: ignore[arg-type]
    scorer.score([(Query(query), Candidate(Document("d", document)))])
    return recorder


@pytest.fixture(scope="module", params=[(kind, double) for kind in TOKENIZERS for double in (False, True)], ids=str)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind, double = request.param
    path = tmp_path_factory.mktemp(kind)
    save_tokenizer(path, double, LIMIT, kind)
    (path / "case").write_text(f"{kind} {'double' if double else 'single'}")
    return path


@pytest.mark.parametrize("rule", ["only_second", "longest_first"])
def test_golden_ids(folder: Path, rule: str) -> None:
    golden = GOLDEN[rule].get((folder / "case").read_text(), [])
    assert rule == "only_second" or len(golden) >= 6
    for case in golden:
        recorder = fed(folder, case["query"], case["document"], long_documents="truncate", truncation=rule)
        assert recorder.ids == [case["ids"]], case["name"]
        assert recorder.segments == [case["segments"]], case["name"]


def test_flag_embedding_is_covered() -> None:
    assert set(GOLDEN["only_second"]) == {"wordpiece single", "unigram double"}
    assert all(len(cases) >= 6 for cases in GOLDEN["only_second"].values())


@pytest.mark.parametrize("rule", ["only_second", "longest_first"])
def test_the_input_never_passes_the_window(folder: Path, rule: str) -> None:
    for query in ("lamp", "lamp " * 30, "lamp " * 300):
        for document in ("bread", "bread " * 30, "bread " * 300):
            for long_documents in ("truncate", "windows", "strides"):
                recorder = fed(folder, query, document, long_documents=long_documents, truncation=rule)
                assert max(map(len, recorder.ids)) <= LIMIT
                for ids in recorder.ids:
                    assert ids[0] == 2 and ids[-1] == 3  # the template is never cut


def test_literals_of_special_tokens_are_text(folder: Path) -> None:
    """In a SentencePiece vocabulary the special tokens are pieces too, which a text must not reach."""
    for literal in ("[SEP]", "[CLS]", "</s>", "<s>", "<pad>", "<|endoftext|>"):
        (ids,) = fed(folder, f"lamp {literal}", f"a {literal} b").ids
        plain = fed(folder, "lamp x", "a x b").ids[0]
        assert [i for i in ids if i in (0, 2, 3)] == [i for i in plain if i in (0, 2, 3)]


def test_an_empty_document_is_not_fed(folder: Path) -> None:
    assert fed(folder, "lamp", "").ids == fed(folder, "lamp", " \n").ids == []


def test_a_query_of_bytes_counts_in_tokens(folder: Path) -> None:
    (ids,) = fed(folder, "lamp " * 40, "bread " * 40, long_documents="truncate").ids
    assert len(ids) == LIMIT


def seconds_of_start(tokens: Tokens, text: str) -> float:
    began = time.perf_counter()
    (encoded,) = tokens.encode_start([text], 512)
    assert 1024 <= len(encoded.ids) < 20_000
    return time.perf_counter() - began


@pytest.mark.parametrize("rule", ["only_second", "longest_first"])
def test_of_a_long_document_only_the_start_is_tokenised(
    folder: Path, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids are those of the whole; also where one word is the whole, and where the query is long too."""
    tokens = Tokens(ModelFolder(folder))
    for query in ("lamp", "lamp bread " * 400):
        for document in ("bread and water in oslo, " * 4000, "a" * 50_000, "b" * 50_000 + " lamp" * 50):
            (ids,) = fed(folder, query, document, long_documents="truncate", truncation=rule).ids
            with monkeypatch.context() as patch:
                patch.setattr("resift.models.tokenizer._CHARACTERS", 10**9)
                assert [ids] == fed(folder, query, document, long_documents="truncate", truncation=rule).ids
    long = "bread and water in oslo, " * 400_000
    assert (
        min(seconds_of_start(tokens, long) / seconds_of_start(tokens, long[:20_000]) for _ in range(3)) < 50
    )  # of 500


def test_many_pairs_are_scored_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tokenizer(tmp_path, double=False, limit=64)
    contract = Contract("m", "encoder", ScoreKind.LOGIT, 64, 64, EncoderInput())
    pairs = [(Query(f"lamp {i % 3}"), Candidate(Document(str(i), f"bread {i}" if i % 7 else ""))) for i in range(200)]

    def run() -> tuple[Recorder, Scores]:
        recorder = Recorder()
        return recorder, CrossEncoderScorer(contract, Tokens(ModelFolder(tmp_path)), recorder, 0).score(pairs)

    whole = run()
    monkeypatch.setattr("resift.score.pairs._SLICE", 16)
    sliced = run()
    assert sorted(whole[0].ids) == sorted(sliced[0].ids) and len(whole[0].ids) == 171
    assert whole[1] == sliced[1]


def test_strides_are_bcembeddings(tmp_path: Path) -> None:
    """Its recipe: n tokens each, the next begins min(80, n // 4) before the end of the last, which may be short."""
    save_tokenizer(tmp_path, double=True, limit=512)
    words = [f"{w}" for _ in range(60) for w in ("lamp", "bread", "north", "oslo", "city", "south", "water", "ferry")]
    tokens = Tokens(ModelFolder(tmp_path))
    document, query = tokens.ids([" ".join(words)])[0], tokens.ids(["what is it"])[0]
    recorder = fed(tmp_path, "what is it", " ".join(words), limit=256, long_documents="strides")
    n = 256 - (len(query) + 2) - 2
    overlap, expected, start = min(80, n // 4), [], 0
    while start < len(document):
        end = start + n
        expected.append([2, *query, 3, 3, *document[start:end], 3])
        start = end - overlap if end < len(document) else end
    assert len(expected) == 3 and len(expected[-1]) < 256
    assert sorted(recorder.ids) == sorted(expected)


def test_segments_that_the_model_is_not_given(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, double=False, limit=64)
    assert set(fed(tmp_path, "lamp", "bread").segments[0]) == {0, 1}
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"model_input_names": ["input_ids", "attention_mask"]}
    path.write_text(json.dumps(config))
    assert set(fed(tmp_path, "lamp", "bread").segments[0]) == {0}
