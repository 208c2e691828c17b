"""An index on disk: the same results as in memory, incremental, atomic, and never silently wrong."""

import errno
import json
import multiprocessing
import os
import resource
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resift
from resift import Index, InputError, Reranker
from resift.engine.maxsim import TokenVectors
from resift.errors import MissingExtra
from resift.files import Skipped
from resift.index import layout
from resift.index.graph import wants_graph
from resift.index.layout import current, read_manifest
from resift.index.tensors import pooled

QUERIES = ["who lit the lamp in the tower", "starter smells of acetone", "reset password", "router address", "puffins"]


@pytest.fixture
def folder(corpus: Path, tmp_path: Path) -> Path:
    """A copy of the corpus that a test may change."""
    target = tmp_path / "docs"
    target.mkdir()
    for path in corpus.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def order(index: Index, query: str, reranker: Reranker | None = None) -> list[tuple[str, float]]:
    return [
        (c.document.id, round(float(c.score), 4) if c.score else 0.0)
        for c in index.search(query, 20, reranker=reranker or False)
    ]


@pytest.mark.parametrize("tensors", [False, True])
def test_disk_and_memory_agree(folder: Path, tmp_path: Path, mini: Reranker, tensors: bool) -> None:
    built = Index.build(tmp_path / "i", folder, tensors=tensors)
    index = Index.open(tmp_path / "i")
    memory = Index.of(resift.files.read_paths([folder]), "resift-mini-en" if tensors else "resift-static-en")
    assert built.passages == len(index.documents) == len(memory.documents) > 10
    for query in QUERIES:
        assert [i for i, _ in order(index, query)] == [i for i, _ in order(memory, query)]
        on_disk, in_memory = dict(order(index, query, mini)), dict(order(memory, query, mini))
        assert tensors or list(on_disk) == list(in_memory)
        # Stored vectors are rounded to int8: passages whose scores lie nearer than that spread may change places.
        assert on_disk == pytest.approx(in_memory, abs=0.05)
        other = [in_memory[i] for i in on_disk]
        assert all(b - a < 0.05 for a, b in pairwise(other))


def test_stored_vectors_replace_encoding(
    folder: Path, tmp_path: Path, mini: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.build(tmp_path / "i", folder, tensors=True)
    index = Index.open(tmp_path / "i")
    monkeypatch.setattr(
        type(mini.scorer), "encode_documents", lambda self, texts, rounded: [] if not texts else pytest.fail("encoded")
    )
    ranking = index.search(QUERIES[0], 5, reranker=mini)
    assert ranking[0].span is not None and "lamp" in ranking[0].document.text


def test_only_changed_files_are_read(folder: Path, tmp_path: Path) -> None:
    first = Index.build(tmp_path / "i", folder)
    assert (first.read, first.reused, first.removed) == (6, 0, 0)
    again = Index.build(tmp_path / "i", folder)
    assert (again.read, again.reused, again.removed) == (0, 6, 0)
    (folder / "bread.txt").write_text("Rye bread keeps for a week.\n")
    os.utime(folder / "faq.jsonl", ns=(1, 1))  # touched, not changed: the hash says so
    (folder / "parts.csv").unlink()
    (folder / "new.md").write_text("# Kelp\n\nKelp is a brown seaweed.\n")
    changed = Index.build(tmp_path / "i", folder)
    assert (changed.read, changed.reused, changed.removed) == (2, 4, 1)
    fresh = Index.build(tmp_path / "fresh", folder)
    assert changed.passages == fresh.passages
    a, b = Index.open(tmp_path / "i"), Index.open(tmp_path / "fresh")
    for query in [*QUERIES, "rye bread", "brown seaweed", "hydraulic brakes"]:
        assert order(a, query) == order(b, query)
    assert not [c for c in a.search("sourdough starter acetone") if "acetone" in c.document.text]


def test_tensors_of_unchanged_files_are_taken_over(folder: Path, tmp_path: Path, mini: Reranker) -> None:
    Index.build(tmp_path / "i", folder, tensors=True)
    (folder / "zz.txt").write_text("Kelp is a brown seaweed.\n")
    (folder / "aa.txt").write_text("Basalt is a dark rock.\n")
    assert Index.build(tmp_path / "i", folder, tensors=True).reused == 6
    Index.build(tmp_path / "fresh", folder, tensors=True)
    a, b = Index.open(tmp_path / "i"), Index.open(tmp_path / "fresh")
    for query in QUERIES:
        assert order(a, query, mini) == order(b, query, mini)


def test_the_order_of_paths_does_not_matter(folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.iterdir())
    Index.build(tmp_path / "a", paths)
    Index.build(tmp_path / "b", paths[::-1])
    for query in QUERIES:
        assert dict(order(Index.open(tmp_path / "a"), query)) == dict(order(Index.open(tmp_path / "b"), query))


def test_repeated_ids_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "a lamp"}\n{"id": "x", "text": "a lamp at sea"}\n')
    Index.build(tmp_path / "i", tmp_path / "a.jsonl")
    assert sorted(c.document.id for c in Index.open(tmp_path / "i").search("lamp")) == ["x", "x#2"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "passages.jsonl", "vectors.npy", "vocabulary.json", "passages_at.npy"]
)
@pytest.mark.parametrize("how", ["missing", "cut", "changed"])
def test_damage_is_named(folder: Path, tmp_path: Path, name: str, how: str) -> None:
    Index.build(tmp_path / "i", folder)
    path = current(tmp_path / "i") / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if how == "cut" else b"\0" + content[1:])
    with pytest.raises(InputError, match="damaged"):
        Index.open(tmp_path / "i")


@pytest.mark.parametrize(("format_", "remedy"), [(99, "update Resift"), (1, "index again into a new folder")])
def test_another_format_is_refused(folder: Path, tmp_path: Path, format_: int, remedy: str) -> None:
    Index.build(tmp_path / "i", folder)
    path = current(tmp_path / "i") / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": format_}))
    with pytest.raises(InputError, match=f"format {format_}; this Resift reads 2: {remedy}"):
        Index.open(tmp_path / "i")


def test_an_update_keeps_the_settings_of_the_index(folder: Path, tmp_path: Path, mini: Reranker) -> None:
    Index.build(tmp_path / "i", folder, tensors=True, pool=2)
    before = read_manifest(current(tmp_path / "i")).settings
    (folder / "new.md").write_text("# Kelp\n\nKelp is a brown seaweed.\n")
    built = Index.build(tmp_path / "i", folder)
    assert (built.read, built.reused) == (1, 6)
    assert read_manifest(current(tmp_path / "i")).settings == before
    assert Index.open(tmp_path / "i").store_for(mini) is not None


def test_a_setting_that_is_named_is_changed(folder: Path, tmp_path: Path) -> None:
    """All that the index holds is read anew, also what other paths gave."""
    (tmp_path / "more.txt").write_text("Kelp is a brown seaweed.\n")
    Index.build(tmp_path / "i", tmp_path / "more.txt")
    Index.build(tmp_path / "i", folder)
    for wish, embedder in ((True, "resift-mini-en"), (False, "resift-static-en")):
        built = Index.build(tmp_path / "i", folder, tensors=wish)
        assert (built.read, built.reused, built.others, built.removed) == (7, 0, 0, 0)
        settings = read_manifest(current(tmp_path / "i")).settings
        assert (settings.tensors, settings.model, settings.embedder) == (wish, embedder, "")
        assert Index.open(tmp_path / "i").search("brown seaweed", 1)[0].document.text == "Kelp is a brown seaweed."
    (tmp_path / "more.txt").unlink()
    with pytest.raises(InputError, match=r"more\.txt, which the index holds, is not there.*--replace"):
        Index.build(tmp_path / "i", folder, tensors=True)
    assert Index.build(tmp_path / "i", folder, tensors=True, replace=True).gone == (str(tmp_path / "more.txt"),)


def test_a_pooling_without_token_vectors_is_refused(folder: Path, tmp_path: Path) -> None:
    for tensors in (None, False):
        with pytest.raises(InputError, match="add --tensors"):
            Index.build(tmp_path / "i", folder, tensors=tensors, pool=2)
        with pytest.raises(InputError, match="add --tensors"):
            Index.build(tmp_path / "i", folder, tensors=tensors, model="resift-mini-en")


def test_other_paths_are_added(folder: Path, tmp_path: Path) -> None:
    first, second = folder / "bread.txt", folder / "faq.jsonl"
    alone = Index.build(tmp_path / "i", first).passages
    built = Index.build(tmp_path / "i", second)
    assert (built.read, built.reused, built.others, built.gone) == (1, 0, 1, ())
    assert built.passages == Index.build(tmp_path / "fresh", [first, second]).passages > alone
    assert {c.document.metadata["path"] for c in Index.open(tmp_path / "i").search("the", 100)} == {
        str(first),
        str(second),
    }
    again = Index.build(tmp_path / "i", second)
    assert (again.read, again.reused, again.others) == (0, 1, 1)
    replaced = Index.build(tmp_path / "i", second, replace=True)
    assert (replaced.removed, replaced.gone, replaced.others) == (1, (str(first),), 0)
    assert replaced.passages < built.passages


def test_what_is_deleted_under_a_named_path_goes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the folder is named in another way than before; a folder of a like name is another."""
    like = tmp_path / "docs2"
    like.mkdir()
    (like / "bread.txt").write_text("Rye bread keeps for a week.\n")
    monkeypatch.chdir(tmp_path)
    Index.build(tmp_path / "i", ["docs", "docs2"])
    (folder / "bread.txt").unlink()
    built = Index.build(tmp_path / "i", "docs")
    assert (built.gone, built.others) == (("docs/bread.txt",), 1)
    renamed = Index.build(tmp_path / "i", str(folder))
    assert len(renamed.gone) == renamed.read == 5 and renamed.passages == built.passages


def test_not_an_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an index"):
        Index.open(tmp_path)
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        Index.build(tmp_path, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "x"


@pytest.mark.parametrize("room", [0, 200, 1500, 6000])
def test_a_full_disk_leaves_the_old_index(folder: Path, tmp_path: Path, room: int) -> None:
    """The kernel itself refuses to let files grow: at the first line, amid the vectors, the terms or the tensors."""
    Index.build(tmp_path / "i", folder, tensors=True)
    (folder / "new.txt").write_text("a new text")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(InputError, match="is full"):
            Index.build(tmp_path / "i", folder, tensors=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(list((tmp_path / "i").glob("g*"))) == 1
    assert order(Index.open(tmp_path / "i"), "lamp")
    Index.build(tmp_path / "i", folder, tensors=True)
    assert "new.txt" in str(order(Index.open(tmp_path / "i"), "a new text"))


def _hold(folder: Path, started: object, release: object) -> None:
    with layout.writing(folder):
        started.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_two_writers(folder: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", folder)
    context = multiprocessing.get_context("fork")
    started, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "i", started, release))
    other.start()
    try:
        assert started.wait(30)
        with pytest.raises(InputError, match="another process is writing"):
            Index.build(tmp_path / "i", folder)
        assert order(Index.open(tmp_path / "i"), "lamp")  # readers go on
    finally:
        release.set()
        other.join()


def test_a_reader_keeps_what_it_opened(folder: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", folder)
    opened = Index.open(tmp_path / "i")
    before = order(opened, "lamp")
    (folder / "lighthouse.md").unlink()
    Index.build(tmp_path / "i", folder)
    assert order(opened, "lamp") == before != order(Index.open(tmp_path / "i"), "lamp")


def test_files_that_vanish_or_fail_are_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "binary.txt").write_bytes(b"\x7fELF\0\0")
    listing = list(resift.files.list_paths([folder]))
    (folder / "bread.txt").unlink()
    monkeypatch.setattr("resift.files.list_paths", lambda *a: iter(listing))
    skipped: list[Skipped] = []
    Index.build(tmp_path / "i", folder, on_skip=skipped.append)
    assert {Path(s.path).name for s in skipped} == {"binary.txt", "bread.txt"}


def test_a_stopped_run_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resift.index import writer

    monkeypatch.setattr(writer, "CHUNK", 3)
    seen: list[float] = []

    def stop(what: str, n: int, share: float) -> None:
        if what != "passages":
            return
        seen.append(share)
        if n > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Index.build(tmp_path / "i", folder, tensors=True, on_progress=stop)
    assert seen == sorted(seen) and seen[0] == 0 < seen[-1] <= 1  # nothing is done before it is encoded
    kept = len(list((tmp_path / "i" / "partial").glob("*.npz")))
    assert kept >= 2 and not list((tmp_path / "i").glob("g*"))
    encoded: list[int] = []
    late = type(resift.load("resift-mini-en").scorer)
    original = late.encode_documents
    monkeypatch.setattr(
        late, "encode_documents", lambda self, texts: encoded.append(len(texts)) or original(self, texts)
    )
    built = Index.build(tmp_path / "i", folder, tensors=True)
    assert sum(encoded) < built.passages
    assert not (tmp_path / "i" / "partial").exists()
    Index.build(tmp_path / "fresh", folder, tensors=True)
    a, b = (current(tmp_path / n) for n in ("i", "fresh"))
    np.testing.assert_array_equal(np.load(a / "tokens.npy"), np.load(b / "tokens.npy"))


def test_nothing_to_index(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to index"):
        Index.build(tmp_path / "i", tmp_path / "empty")
    with pytest.raises(InputError, match="no such file"):
        Index.build(tmp_path / "i", tmp_path / "missing")


def test_pooling_halves_the_tokens(folder: Path, tmp_path: Path, mini: Reranker) -> None:
    whole = Index.build(tmp_path / "one", folder, tensors=True)
    halved = Index.build(tmp_path / "two", folder, tensors=True, pool=2)
    one, two = (np.load(current(tmp_path / n) / "tokens.npy", mmap_mode="r") for n in ("one", "two"))
    assert len(one) / 2 <= len(two) < len(one) * 0.6
    assert halved.bytes < whole.bytes
    assert (
        order(Index.open(tmp_path / "two"), QUERIES[0], mini)[0][0]
        == order(Index.open(tmp_path / "one"), QUERIES[0], mini)[0][0]
    )


def test_pooling_is_the_mean_of_neighbours() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 2]]
    window = TokenVectors.quantized(vectors, np.array([[0, 1], [2, 3], [4, 5]], np.int32))
    found = pooled(window, 2)
    values = found.values * found.scales[:, None]
    np.testing.assert_allclose(values, [[0.5**0.5, 0.5**0.5, 0, 0], [0, 0, 1, 0]], atol=0.01)
    assert found.spans.tolist() == [[0, 3], [4, 5]]
    assert pooled(window, 1) is window


def test_the_manifest_lists_everything(folder: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", folder)
    generation = current(tmp_path / "i")
    manifest = read_manifest(generation)
    assert set(manifest.contents) == {
        str(p.relative_to(generation)) for p in generation.rglob("*") if p.is_file() and p.name != "manifest.json"
    }
    assert not [p for p in generation.rglob("*") if p.suffix in (".pkl", ".pickle")]


def test_an_id_that_comes_later_gives_way(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.jsonl").write_text('{"id": "1", "text": "Oslo is a capital"}\n')
    Index.build(tmp_path / "i", tmp_path / "d")
    (tmp_path / "d" / "a.jsonl").write_text('{"id": "1", "text": "Paris is a capital"}\n')
    Index.build(tmp_path / "i", tmp_path / "d")
    found = {c.document.id: c.document.text for c in Index.open(tmp_path / "i").search("capital")}
    assert found == {"1": "Oslo is a capital", "1#2": "Paris is a capital"}


def test_a_path_named_twice_is_read_once(folder: Path, tmp_path: Path) -> None:
    paths = [folder, folder / "bread.txt"]
    once = Index.build(tmp_path / "one", folder)
    assert Index.build(tmp_path / "two", paths).passages == once.passages
    assert Index.build(tmp_path / "two", paths).passages == once.passages
    assert len(list(resift.files.read_paths(paths))) == once.passages


def test_an_index_does_not_index_itself(folder: Path) -> None:
    first = Index.build(folder / "own.index", folder)
    (folder / "new.txt").write_text("Kelp is a brown seaweed.")
    second = Index.build(folder / "own.index", folder)
    assert second.passages == first.passages + 1
    assert len(list(resift.files.read_paths([folder]))) == second.passages


def test_nothing_changed_nothing_written(folder: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", folder)
    before = current(tmp_path / "i")
    assert Index.build(tmp_path / "i", folder).read == 0
    assert current(tmp_path / "i") == before and [p.name for p in (tmp_path / "i").glob("g*")] == [before.name]


def test_another_version_of_a_model_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    from resift.score.load import BUNDLED

    own = tmp_path / "my-static"
    shutil.copytree(BUNDLED / "resift-static-en", own)
    Index.build(tmp_path / "i", folder, embedder=str(own))
    assert order(Index.open(tmp_path / "i"), "lamp")
    scales = np.load(own / "scales.npy")
    np.save(own / "scales.npy", scales * 2)
    with pytest.raises(InputError, match="another version"):
        Index.open(tmp_path / "i")
    (folder / "new.txt").write_text("Kelp")
    with pytest.raises(InputError, match=f"another version of {own}; .* name the model"):
        Index.build(tmp_path / "i", folder)
    assert Index.build(tmp_path / "i", folder, embedder=str(own)).reused == 0
    assert order(Index.open(tmp_path / "i"), "kelp")


def test_below_the_depth_no_cosine_is_blended(folder: Path, tmp_path: Path, mini: Reranker) -> None:
    Index.build(tmp_path / "i", folder, tensors=True)
    ranking = Index.open(tmp_path / "i").search("lamp of the tower", 10, depth=3, reranker=mini)
    assert [c.score.kind.value for c in ranking if c.score][:3] == ["fused"] * 3
    assert [c.signals[-1].source for c in ranking][:3] == ["blend"] * 3
    assert all("resift-mini-en" not in [s.source for s in c.signals] for c in ranking.candidates[3:])


def test_an_index_that_is_replaced_while_it_opens(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resift.index import open as opening

    Index.build(tmp_path / "i", folder)
    original, replaced = opening.read_manifest, []

    def meanwhile(generation: Path) -> layout.Manifest:
        manifest = original(generation)
        if not replaced:
            replaced.append(True)
            (folder / "new.txt").write_text("Kelp is a brown seaweed.")
            Index.build(tmp_path / "i", folder)
        return manifest

    monkeypatch.setattr(opening, "read_manifest", meanwhile)
    assert "seaweed" in Index.open(tmp_path / "i").search("seaweed")[0].document.text


def test_a_file_that_failed_is_tried_again(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jsonl").write_text('{"text": "kelp"}\n{"text": \n')
    for _ in range(2):
        skipped: list[Skipped] = []
        Index.build(tmp_path / "i", folder, on_skip=skipped.append)
        assert [Path(s.path).name for s in skipped] == ["broken.jsonl"]
    with pytest.raises(InputError, match="broken.jsonl:2"):
        Index.build(tmp_path / "i", [folder, folder / "broken.jsonl"])


def test_a_place_that_is_no_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="can't make the folder"):
        Index.build(tmp_path / "file", folder)


def test_a_generation_that_is_replaced_while_its_name_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.build(tmp_path / "i", folder)
    old = current(tmp_path / "i").name
    (folder / "new.txt").write_text("kelp")
    Index.build(tmp_path / "i", folder)
    names = [old]
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda p, e=None: names.pop() if p.name == "CURRENT" and names else read(p, e)
    )
    assert "kelp" in Index.open(tmp_path / "i").search("kelp")[0].document.text and not names


def test_a_graph_of_the_vectors(folder: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "exact", folder)
    Index.build(tmp_path / "i", folder, hnsw=True)
    first, second = Index.open(tmp_path / "i"), Index.open(tmp_path / "i")  # reading changes nothing that is checked
    for query in ("lamp", "bread and water", "a tower by the sea"):
        assert order(first, query) == order(second, query) == order(Index.open(tmp_path / "exact"), query)
    assert any(s.source.startswith("hnsw:") for c in first.search("lamp") for s in c.signals)
    (folder / "new.txt").write_text("a new text about glaciers")
    Index.build(tmp_path / "i", folder, hnsw=True)
    assert "new.txt" in str(order(Index.open(tmp_path / "i"), "glaciers"))
    assert order(first, "lamp")  # an older one stays open


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A hundred passages, a file each."""
    source = tmp_path / "lines"
    source.mkdir()
    for i in range(100):
        (source / f"{i:02d}.txt").write_text(f"lamp number {i} stands in room {i * 7 % 100}")
    return source


def sources(index: Index) -> set[str]:
    return {
        s.source
        for c in index.search("lamp", 3, reranker=False)
        for s in c.signals
        if s.source.partition(":")[0] in ("hnsw", "dense")
    }


def test_a_graph_is_changed_until_a_tenth_has_changed(lines: Path, tmp_path: Path) -> None:
    def built(unbuilt: int) -> None:
        Index.build(tmp_path / "i", lines, hnsw=True)
        Index.build(tmp_path / f"exact{unbuilt}", lines, hnsw=False)
        now, exact = Index.open(tmp_path / "i"), Index.open(tmp_path / f"exact{unbuilt}")
        assert read_manifest(current(tmp_path / "i")).unbuilt == unbuilt
        assert sources(now) == {"hnsw:resift-static-en"} and sources(exact) == {"dense:resift-static-en"}
        for query in ("lamp number 5", "a ferry on the lake", "room 33"):
            assert order(now, query) == order(exact, query)

    built(0)
    before = [d.id for d in Index.open(tmp_path / "i").documents]
    (lines / "05.txt").write_text("the ferry sails, so does a boat")
    built(2)
    assert [d.id for d in Index.open(tmp_path / "i").documents] == before  # one of them stands for another text
    (lines / "50.txt").unlink()
    built(3)
    (lines / "00a.txt").write_text("a ferry sinks")  # every passage after it moves
    (lines / "99.txt").write_text("a lamp sinks")
    built(6)
    for i in range(60, 63):
        (lines / f"{i}.txt").unlink()
    built(9)
    (lines / "98.txt").unlink()  # 10 of 96
    built(0)


def test_a_graph_by_the_number_of_passages(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    automatic = layout.IndexSettings("", "resift-static-en", "", False, 1)
    assert not wants_graph(automatic, 50_000) and wants_graph(automatic, 50_001)
    monkeypatch.setattr("resift.index.graph.EXACT", 99)
    Index.build(tmp_path / "i", lines)
    assert sources(Index.open(tmp_path / "i")) == {"hnsw:resift-static-en"}
    Index.build(tmp_path / "no", lines, hnsw=False)
    assert sources(Index.open(tmp_path / "no")) == {"dense:resift-static-en"}
    (lines / "00.txt").unlink()
    Index.build(tmp_path / "i", lines)  # ninety-nine
    assert sources(Index.open(tmp_path / "i")) == {"dense:resift-static-en"}


def test_a_graph_without_its_engine(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came by itself is done without, one that was asked for is missed, before any work is done."""
    monkeypatch.setattr("resift.index.graph.EXACT", 98)
    Index.build(tmp_path / "own", lines)
    Index.build(tmp_path / "asked", lines, hnsw=True)
    monkeypatch.setattr("resift.index.graph.has_hnsw", lambda: False)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    assert sources(Index.open(tmp_path / "own")) == {"dense:resift-static-en"}
    with pytest.raises(MissingExtra, match="qdrant"):
        Index.open(tmp_path / "asked")
    (lines / "00.txt").write_text("a ferry")
    Index.build(tmp_path / "own", lines)
    assert "00.txt" in order(Index.open(tmp_path / "own"), "ferry")[0][0]
    counted: list[str] = []
    for name, wish in (("new", True), ("asked", None)):
        with pytest.raises(MissingExtra, match="qdrant"):
            Index.build(tmp_path / name, lines, hnsw=wish, on_progress=lambda what, count, share: counted.append(what))
    assert not counted
    Index.build(tmp_path / "asked", lines, hnsw=False)
    assert sources(Index.open(tmp_path / "asked")) == {"dense:resift-static-en"}


def test_the_wish_for_a_graph_stays_until_it_changes(lines: Path, tmp_path: Path) -> None:
    for wish, source, read in ((True, "hnsw", 100), (None, "hnsw", 1), (False, "dense", 0), (None, "dense", 1)):
        if read == 1:
            (lines / "00.txt").write_text(f"a ferry, {source}")
        assert Index.build(tmp_path / "i", lines, hnsw=wish).read == read
        assert sources(Index.open(tmp_path / "i")) == {f"{source}:resift-static-en"}


def test_no_room_for_a_graph(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was asked for needs it; one that was not is left out. A quota shows in no free space."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("resift.index.graph.EXACT", 99)
    Index.build(tmp_path / "own", lines)
    Index.build(tmp_path / "asked", lines, hnsw=True)
    monkeypatch.setattr("resift.retrieve.hnsw._copy_file", refuse)
    (lines / "00.txt").write_text("a ferry")
    Index.build(tmp_path / "own", lines)
    assert sources(Index.open(tmp_path / "own")) == {"dense:resift-static-en"}
    assert not (current(tmp_path / "own") / "hnsw").exists()
    with pytest.raises(InputError, match=r"^the disk that holds \S+asked is full; the index is as it was before$"):
        Index.build(tmp_path / "asked", lines)
    assert order(Index.open(tmp_path / "asked"), "lamp")


def open_again_and_again(folder: Path, stop: Any) -> None:
    while not stop.is_set():
        assert len(Index.open(folder).search("lamp", 3)) == 3


def test_a_graph_is_changed_while_others_read_it(lines: Path, tmp_path: Path) -> None:
    """Their engines write files that are gone in a moment."""
    Index.build(tmp_path / "i", lines, hnsw=True)
    process = multiprocessing.get_context("spawn")
    stop = process.Event()
    readers = [process.Process(target=open_again_and_again, args=(tmp_path / "i", stop)) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for i in range(30):
            (lines / "00.txt").write_text(f"ferry {i}")
            Index.build(tmp_path / "i", lines)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0]
    assert not [p for p in (tmp_path / "i").rglob("*") if "atomicwrite" in p.name]


@pytest.mark.parametrize(
    ("name", "content"),
    [("graph.bin", b""), ("status.dat", b""), ("id_tracker.mappings", bytes(64)), ("segment.json", b"{")],
)
def test_a_damaged_graph_is_named_and_built_again(lines: Path, tmp_path: Path, name: str, content: bytes) -> None:
    Index.build(tmp_path / "i", lines, hnsw=True)
    damaged = list((current(tmp_path / "i") / "hnsw").rglob(name))
    assert damaged
    for path in damaged:
        path.write_bytes(content)
    with pytest.raises(InputError, match="hnsw (is damaged|holds 0 vectors)"):
        Index.open(tmp_path / "i").search("lamp")
    (lines / "05.txt").write_text("a ferry")
    Index.build(tmp_path / "i", lines)
    again = Index.open(tmp_path / "i")
    assert sources(again) == {"hnsw:resift-static-en"}
    assert read_manifest(current(tmp_path / "i")).unbuilt == 0


def test_a_graph_of_other_ids(lines: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", lines, hnsw=True)
    for path in lines.iterdir():
        path.rename(lines / f"other-{path.name}")
    Index.build(tmp_path / "other", lines, hnsw=True)
    graph = current(tmp_path / "i") / "hnsw"
    shutil.rmtree(graph)
    shutil.copytree(current(tmp_path / "other") / "hnsw", graph)
    with pytest.raises(InputError, match="of other vectors"):
        Index.open(tmp_path / "i").search("lamp")


def test_a_graph_that_is_gone_is_named(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resift.index.graph.EXACT", 99)
    Index.build(tmp_path / "i", lines)
    shutil.rmtree(current(tmp_path / "i") / "hnsw")
    with pytest.raises(InputError, match="hnsw is damaged"):
        Index.open(tmp_path / "i")
    (lines / "05.txt").write_text("a ferry")
    Index.build(tmp_path / "i", lines)
    assert sources(Index.open(tmp_path / "i")) == {"hnsw:resift-static-en"}


def test_bm25_of_a_pipeline_is_a_setting_of_the_index(lines: Path, tmp_path: Path) -> None:
    """It changes the matrix of words alone, stays until another is named, and equals an index made with it at once."""
    pipeline = "bm25(k1=0.4, b=0.1) + dense(weight=0.3)"
    Index.build(tmp_path / "i", lines)
    assert Index.build(tmp_path / "i", lines, pipeline=pipeline).read == 0
    assert Index.build(tmp_path / "i", lines).read == 0  # a setting that is not named stays
    settings = read_manifest(current(tmp_path / "i")).settings
    assert (settings.k1, settings.b) == (0.4, 0.1)
    Index.build(tmp_path / "new", lines, pipeline=pipeline)
    opened = [Index.open(tmp_path / name) for name in ("i", "new")]
    memory = Index.of(resift.files.read_paths([lines]), pipeline=pipeline)
    scores = [[(c.document.id, c.score) for c in index.run(pipeline, "lamp room 7")] for index in (*opened, memory)]
    assert scores[0] == scores[1] == scores[2] and len(scores[0]) > 50
    before = current(tmp_path / "i").name
    Index.build(tmp_path / "i", lines, pipeline=pipeline)
    assert current(tmp_path / "i").name == before  # nothing to write
    with pytest.raises(InputError, match=r"k1=0.4 and b=0.1, .* k1=0.4 and b=0.75; index again with the pipeline"):
        opened[0].run("bm25(b=0.75)", "ferry")


def test_an_index_of_before_bm25_was_a_setting_opens(lines: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", lines)
    manifest = current(tmp_path / "i") / "manifest.json"
    value = json.loads(manifest.read_text())
    del value["settings"]["k1"], value["settings"]["b"]
    manifest.write_text(json.dumps(value))
    assert len(Index.open(tmp_path / "i").run("bm25(k1=1.5, b=0.75)", "lamp"))
    assert Index.build(tmp_path / "i", lines).read == 0
