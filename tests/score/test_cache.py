"""The pair cache: keys that can't collide, equal answers with and without it, bounds, threads, the file."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import resift
from resift import Index, InputError, PairCache, Reranker, Span
from resift.score.cache import Cached, digest
from resift.types import Candidate, Document, Flag, Judgement, Pair, Query
from tests.checkpoints import cross_encoder

PAIRS = [
    ("capital of norway", "Oslo is the capital of Norway."),
    ("capital of norway", " "),
    ("capital of norway", {"id": "t", "title": "Norway", "text": "Its capital is Oslo."}),
    ("lamp", "a \ud800 lamp shines"),
    ("lamp", "The keeper lit the lamp every evening. " * 80),
    ("lamp", "bread"),
]


def cached(mini: Reranker, cache: PairCache) -> Reranker:
    return Reranker(mini.scorer, cache)


def test_parts_can_not_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc") != digest("abc", "")


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_parts_have_different_keys(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


def test_query_and_document_can_not_run_together(mini: Reranker) -> None:
    scorer = Cached(mini.scorer, PairCache())

    def key(query: Query, document: Document) -> bytes:
        return scorer.key((query, Candidate(document)))

    keys = [
        key(Query("ab"), Document("1", "c")),
        key(Query("a"), Document("1", "bc")),
        key(Query("b", instruction="a"), Document("1", "c")),
        key(Query("ab"), Document("1", "", title="c")),
    ]
    assert len(set(keys)) == 4
    assert key(Query("ab"), Document("2", "c", metadata={"n": 1})) == keys[0]  # what the model does not read


def test_the_answer_is_the_same_with_and_without(mini: Reranker) -> None:
    cache = PairCache()
    plain, first = mini.score(PAIRS), cached(mini, cache).score(PAIRS)
    assert (cache.hits, cache.lookups) == (0, len(PAIRS))
    again = cached(mini, cache).score(PAIRS)
    assert cache.hit_rate == 0.5
    assert first == plain and (again.kind, again.source) == (plain.kind, plain.source)
    assert again.judgements == tuple(replace(j, tokens=0) for j in plain.judgements)  # nothing was read now
    assert first.tokens == plain.tokens and again.tokens == 0
    assert again.values[1] is None and again.flags[1] == {"empty"}
    assert "windowed" in again.flags[4] and again.spans[4] is not None


def test_rankings_are_the_same_with_and_without(mini: Reranker) -> None:
    texts = [d for _, d in PAIRS]
    with_cache = cached(mini, PairCache())
    expected = [(c.document.id, c.score, c.span, c.flags) for c in mini.rerank("lamp", texts)]
    for _ in range(2):
        assert [(c.document.id, c.score, c.span, c.flags) for c in with_cache.rerank("lamp", texts)] == expected


def test_only_what_is_new_is_scored(mini: Reranker) -> None:
    cache = PairCache()
    reranker = cached(mini, cache)
    alone = reranker.score([PAIRS[0]])
    mixed = reranker.score([PAIRS[5], PAIRS[0]])
    assert mixed.values[1] == alone.values[0] and cache.hits == 1
    assert mixed.tokens < mini.score([PAIRS[5], PAIRS[0]]).tokens


def test_stored_vectors_are_not_mixed_with_kept_scores(mini: Reranker, tmp_path: Path) -> None:
    """An index may hold merged vectors, whose scores are others; without vectors in it scores are kept."""
    (tmp_path / "texts.jsonl").write_text("".join(f'{{"text": "the lamp of tower {i}"}}\n' for i in range(6)))
    for pool, lookups in ((3, 0), (0, 6)):
        folder, cache = tmp_path / f"index {pool}", PairCache()
        Index.build(folder, tmp_path / "texts.jsonl", tensors=bool(pool), pool=pool or 1)
        index = Index.open(folder)
        for _ in range(2):
            found = index.search("which tower has the lamp", reranker=cached(mini, cache), blend=False)
            expected = index.search("which tower has the lamp", reranker=mini, blend=False)
            assert [c.score for c in found] == [c.score for c in expected]
        assert cache.lookups == 2 * lookups and cache.hits == lookups


def test_models_precisions_and_policies_do_not_share_scores(tmp_path: Path) -> None:
    cache = PairCache()
    folder = cross_encoder(tmp_path / "m", "bert")
    scorers = [
        resift.load(folder, precision="f32").scorer,
        resift.load(folder, precision="bf16", engine="torch").scorer,
        resift.load(folder, precision="f32", engine="torch").scorer,
        resift.load(folder, precision="f32", long_documents="truncate").scorer,
        resift.load(cross_encoder(tmp_path / "other", "bert", initializer_range=0.3), precision="f32").scorer,
        resift.load(cross_encoder(tmp_path / "longer", "bert", limit=128), precision="f32").scorer,
    ]
    pair: Pair = (Query("lamp"), Candidate(Document("1", "a lamp")))
    assert len({Cached(s, cache).key(pair) for s in scorers}) == len(scorers)


def test_memory_is_bounded_and_forgets_what_was_used_least_recently() -> None:
    cache = PairCache(entries=2)
    kept = {n: Judgement(float(n), None, frozenset()) for n in range(3)}
    cache.put([(b"0", kept[0]), (b"1", kept[1])])
    cache.get([b"0"])
    cache.put([(b"2", kept[2])])
    assert cache.get([b"0", b"1", b"2"]) == [kept[0], None, kept[2]] and len(cache) == 2


def test_a_file_outlives_the_process_and_the_bound(mini: Reranker, tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    first = PairCache(entries=1, path=path)
    scores = cached(mini, first).score(PAIRS)
    first.close()
    second = PairCache(path=path)
    again = cached(mini, second).score(PAIRS)
    assert again.judgements == tuple(replace(j, tokens=0) for j in scores.judgements)
    assert second.hit_rate == 1
    second.close()
    assert second.get([b"x"]) == [None]


@pytest.mark.parametrize("content", [b"not a database at all, just some bytes" * 40, None])
def test_a_file_that_is_no_cache_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "scores.sqlite"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE pairs (a TEXT)")
        other.close()
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="can't be used as a cache"):
        PairCache(path=path)
    with pytest.raises(InputError, match="1 entry or more"):
        PairCache(entries=0)


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache = PairCache(entries=50, path=tmp_path / "scores.sqlite")
    wrong: list[object] = []

    def work(seed: int) -> None:
        for i in range(40):
            key = digest(str((seed + i) % 60))
            kept = Judgement(float((seed + i) % 60), Span(0, 1), frozenset({Flag.WINDOWED}))
            (found,) = cache.get([key])
            if found not in (None, kept):
                wrong.append(found)
            cache.put([(key, kept)])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(cache) == 50 and cache.lookups == 16 * 40
    cache.close()
