"""Which units and stemmers BM25 works best with, by language: `python bench/lexical.py`.

Units (pairs of characters or syllables, segmenters' words, both) on Chinese, Japanese and Vietnamese collections;
stemmers (none, English, the collection's own, one guessed per text) on XQuAD in eleven languages and mixtures of them.
Defaults are chosen on the tune halves; the report halves are what to quote. Needs the extras zh, ja, vi and evaluate.
Writes the JSON file and a Markdown table beside it.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from beir import Collection, data_folder, read
from bootstrap import interval, per_query
from machine import machine
from resift import files
from resift.retrieve.bm25 import BM25Retriever
from resift.text.analysis import Analyzer, Term, sample
from resift.types import Document

UNITS = {"vi_vicov19qa": "vi", "xquad_vi": "vi", "zh_qbqtc": "zh", "xquad_zh": "zh", "ja_jsquad": "ja"}
STEMMED = {
    "en": "english", "de": "german", "es": "spanish", "ro": "romanian", "tr": "turkish", "ru": "russian",
    "ar": "arabic", "el": "greek", "hi": "hindi", "vi": "", "th": "",
}  # fmt: skip
MIXTURES = {
    "mixed en+de": ("en", "de"),
    "mixed Latin": ("en", "es", "ro", "tr", "de", "vi"),
    "mixed all": tuple(STEMMED),
}
MEASURES = ("nDCG@10", "R@100")


class OnlyWords(Analyzer):
    """Vietnamese words without the syllables that they are made of."""

    def terms(self, text: str) -> Iterator[Term]:
        end = 0
        for term in super().terms(text):
            if term.start >= end:
                yield term
                end = term.end


class Both:
    """The terms of two analyzers; those that both make count once per place."""

    def __init__(self, *analyzers: Analyzer) -> None:
        self.analyzers = analyzers

    def words(self, text: str) -> list[str]:
        return [t.text for t in sorted({t for a in self.analyzers for t in a.terms(text)}, key=lambda t: t[1:])]


def fitted(documents: list[Document]) -> Analyzer:
    return Analyzer.fitting(f"{documents[i].title} {documents[i].text}" for i in sample(len(documents)))


def collection(name: str, which: str) -> Collection:
    """As `read`, but only the dev queries of QBQTC, whose test queries are kept for the rerankers."""
    c = read(name, which)
    if name != "zh_qbqtc":
        return c
    dev = files.read_qrels(data_folder() / name / "qrels/dev.tsv")
    queries = [q for q in c.queries if q.id in dev]
    return replace(c, queries=queries, qrels={q.id: c.qrels[q.id] for q in queries})


def mixture(languages: tuple[str, ...], which: str) -> Collection:
    """XQuAD in several languages as one collection; a query's answers are those in its own language."""
    parts = [(code, read(f"xquad_{code}", which)) for code in languages]
    return Collection(
        "+".join(languages),
        [replace(d, id=code + d.id) for code, c in parts for d in c.documents],
        [replace(q, id=code + q.id) for code, c in parts for q in c.queries],
        {code + q: {code + d: v for d, v in judged.items()} for code, c in parts for q, judged in c.qrels.items()},
    )


def units(c: Collection, language: str) -> dict[str, object]:
    """The first row is the default."""
    default = fitted(c.documents)
    words = Analyzer(default.language, f"words-{language}")
    if language == "vi":
        return {
            "syllables": default, "words": OnlyWords(default.language, "words-vi"), "words and syllables": words,
        }  # fmt: skip
    return {
        "pairs and characters": default, "pairs": Analyzer(default.language), "words": words,
        "words, pairs and characters": Both(default, words),
    }  # fmt: skip


def stemmers(c: Collection, stemmer: str) -> dict[str, object]:
    """The first row is the default: what fits the collection."""
    one = fitted(c.documents).language.removeprefix("guess:")
    rows = {"fitted": fitted(c.documents), "none": Analyzer(""), "English": Analyzer()}
    return rows | {"one per script": Analyzer(one), "guessed per text": Analyzer(f"guess:{stemmer or one}")}


def measure(c: Collection, analyzers: dict[str, object]) -> dict:
    rows: dict[str, dict] = {}
    base = None
    for label, analyzer in analyzers.items():
        began = time.perf_counter()
        retriever = BM25Retriever(c.documents, analyzer)
        built = time.perf_counter() - began
        values = per_query(retriever.retrieve(c.queries, 100), c.qrels)
        base = base or values
        rows[label] = {"seconds_to_index": round(built, 2), "settings": getattr(analyzer, "signature", label)}
        for name in MEASURES:
            gain = values[name] - base[name]
            rows[label][name] = {
                "mean": round(float(values[name].mean()), 4), "interval": [round(x, 4) for x in interval(values[name])],
                "gain": round(float(gain.mean()), 4), "gain_interval": [round(x, 4) for x in interval(gain)],
            }  # fmt: skip
    print(c.name, {k: (v["nDCG@10"]["mean"], v["R@100"]["mean"]) for k, v in rows.items()}, flush=True)
    return {"queries": len(c.queries), "documents": len(c.documents), "rows": rows}


def half(which: str) -> dict:
    figures: dict[str, dict] = {"units": {}, "stemmers": {}}
    for name, language in UNITS.items():
        c = collection(name, which)
        figures["units"][name] = measure(c, units(c, language))
    for code, stemmer in STEMMED.items():
        c = read(f"xquad_{code}", which)
        figures["stemmers"][c.name] = measure(c, stemmers(c, stemmer))
    for name, languages in MIXTURES.items():
        c = mixture(languages, which)
        figures["stemmers"][name] = measure(c, stemmers(c, ""))
    return figures


def markdown(result: dict) -> str:
    lines = []
    for part in ("units", "stemmers"):
        lines += [
            f"| set | {part} | nDCG@10 (95 %) | against the default | R@100 | tune half: nDCG@10 |",
            "|---|---|---|---|---|---|",
        ]
        for name, entry in result["report"][part].items():
            for label, row in entry["rows"].items():
                n, r = row["nDCG@10"], row["R@100"]
                low, high = n["interval"]
                a, b = n["gain_interval"]
                gain = "" if label == next(iter(entry["rows"])) else f"{n['gain']:+.3f} ({a:+.3f} … {b:+.3f})"
                tuned = result["tune"][part][name]["rows"][label]["nDCG@10"]["mean"]
                cells = f"{n['mean']:.3f} ({low:.3f} … {high:.3f}) | {gain} | {r['mean']:.3f} | {tuned:.3f}"
                lines.append(f"| {name} | {label} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("bench/results/lexical.json"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "what": "BM25 with one analyzer per row; first row of a set = Resift's default; gain = paired difference to it",
        "tune": half("tune"), "report": half("report"), "machine": machine(),
    }  # fmt: skip
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
