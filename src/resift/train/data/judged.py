"""A BEIR folder, or judgements with a TREC run, as examples."""

from __future__ import annotations

from pathlib import Path

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.read_data import DataFiles, read_dataset
from resift.train.data.collect import content_hash
from resift.train.data.labels import kind_of
from resift.train.examples import DataIssue, Detection, ExampleSet, Labelled, Shape, TrainingQuery

_SPLIT, _MEASURED = "train", ("dev", "validation", "test")


def is_beir(path: Path) -> bool:
    """Whether a folder has a corpus and judgements."""
    return path.is_dir() and (path / "qrels").is_dir() and any(path.glob("corpus.*"))


def read_judged(
    folder: Path | None,
    split: str | None,
    queries: Path | None,
    documents: Path | None,
    qrels: Path | None,
    run: Path | None,
) -> ExampleSet:
    """Queries with their judged documents, and with the candidates of a run where one is named.

    A candidate of the run that nobody judged has the label 0. Without a split the training split is taken, and never
    another one in its place.

    Raises:
        InputError: a file is missing or malformed, there is no training split and none is named, or no query has a
            relevant document.

    """
    if qrels is None and folder is not None and split is None:
        splits = sorted({p.name.split(".")[0] for p in (folder / "qrels").glob("*.tsv*")})
        if _SPLIT not in splits:
            raise InputError(f"{folder} has no split 'train'; name one with --split: {', '.join(splits)}")
        split = _SPLIT
    data = read_dataset(DataFiles(folder, queries, documents, qrels, run, split))
    examples, unjudged = _queries(data)
    issues = [DataIssue(str(issue.code), issue.count, str(issue)) for issue in data.issues]
    if unjudged:
        message = f"{unjudged} candidates of the run were judged by nobody, and have the label 0"
        issues.append(DataIssue("unjudged_candidates", unjudged, message))
    shape = Shape.BEIR if data.run is None else Shape.RUN
    kind = kind_of(c.label for q in examples for c in q.candidates if c.label is not None)
    candidates = sum(len(q.candidates) for q in examples)
    what = "judgements" if data.run is None else "judgements and a run"
    sentence = (
        f"{data.name} was read as {what} with {kind} labels{f', split {data.split!r}' if data.split else ''}: "
        f"{len(examples):,} queries, {candidates:,} candidates, {len(data.documents):,} documents"
    )
    detection = Detection(shape, {}, kind, candidates, sentence)
    return ExampleSet(data.name, examples, detection, tuple(issues), data.documents)


def read_measured(path: Path) -> Dataset:
    """Judged queries on which a training is measured: of a BEIR folder the split dev, else validation, else test.

    A test split that has chosen a checkpoint is no test of it any more.

    Raises:
        InputError: it has other splits only, or as `read_dataset` says.

    """
    splits = sorted({p.name.split(".")[0] for p in (path / "qrels").glob("*.tsv*")})
    split = next((name for name in _MEASURED if name in splits), None)
    if splits and split is None:
        raise InputError(f"{path} has the split {', '.join(splits)}, and none of {', '.join(_MEASURED)} to measure on")
    return read_dataset(DataFiles(path, split=split))


def _queries(data: Dataset) -> tuple[tuple[TrainingQuery, ...], int]:
    """The queries with candidates, and how many of these come from the run and have no judgement."""
    unjudged = 0
    examples = []
    for query in data.queries:
        grades = {id_: grade for id_, grade in data.qrels[query.id].items() if data.documents.has(id_)}
        others = [id_ for id_ in (data.run or {}).get(query.id, ()) if id_ not in grades]
        unjudged += len(others)
        labels = {**{id_: max(0, grade) for id_, grade in grades.items()}, **dict.fromkeys(others, 0)}
        candidates: dict[tuple[str, str], Labelled] = {}
        same: dict[str, str] = {}  # of each id the one that stands for its text
        for id_, label in sorted(labels.items(), key=lambda item: (-item[1], item[0])):
            document = data.documents.read(data.documents.row(id_))
            first = candidates.setdefault((document.title, document.text), Labelled(document, float(label)))
            same[id_] = first.document.id
        ordered = sorted(candidates.values(), key=lambda c: content_hash(c.document.title, c.document.text))
        if ordered:
            run = None if data.run is None else tuple(dict.fromkeys(same[i] for i in data.run.get(query.id, ())))
            examples.append(TrainingQuery(query, tuple(ordered), run=run))
    examples.sort(key=lambda q: (content_hash(q.query.text, q.prompt), q.query.id))
    return tuple(examples), unjudged
