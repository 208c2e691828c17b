"""Step 2 of resift-mini-en: train projection, query-token weights and encoder; goes on from the last checkpoint.

    python -m runs.resift_mini_en.train --work build/resift-mini-en --steps 1200

Per step: 24 queries of one collection, each with its positive and one mined negative; every passage of the batch
serves every query. Loss = list softmax of 30 x MaxSim over the batch
+ KL and squared error to the MaxSim of the untrained encoder's 384-dimensional token outputs: nothing is forgotten
+ list softmax and KL of the pooled vector's cosine, so that the one pass serves dense retrieval too.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from runs.late_interaction.training import Batch, Example, Schedule, Training, batches
from runs.late_interaction.vectors import contrast, kl, maxsim, pad_ids, pad_vectors, principal_axes
from runs.resift_mini_en.encoder import PADDING, Ragged, TokenEncoder, content

SHARPNESS, POOLED_SHARPNESS = 30.0, 20.0  # of MaxSim and of the cosine in a softmax


def read_examples(work: Path) -> dict[str, list[Example]]:
    """By source, in the order in which they stand."""
    examples: dict[str, list[Example]] = defaultdict(list)
    for line in (work / "examples.jsonl").read_text("utf-8").splitlines():
        query, answer, negatives, source = json.loads(line)
        examples[source].append((query, answer, negatives))
    return examples


def shares(log_weight: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Each query token's share of the score (Q, Tq): exp(log_weight), 0 for [CLS], [SEP] and padding, sum 1."""
    raw = log_weight[ids].exp() * content(ids, mask)
    return raw / raw.sum(-1, keepdim=True).clamp_min(1e-6)


def losses(model: TokenEncoder, log_idf: Tensor, batch: Batch, queries: Ragged, documents: Ragged) -> dict[str, Tensor]:
    _, rows = batch
    q, d = [r[0] for r in rows], [r[1] for r in rows] + [r[2] for r in rows]
    q_ids, q_mask = pad_ids([queries.ids(i) for i in q], PADDING)
    d_ids, d_mask = pad_ids([documents.ids(i) for i in d], PADDING)
    with torch.autocast("cpu", torch.bfloat16):
        q_tokens, q_pooled = model(q_ids, q_mask)
        d_tokens, d_pooled = model(d_ids, d_mask)
    student = maxsim(q_tokens, shares(model.log_weight, q_ids, q_mask), d_tokens, content(d_ids, d_mask))
    with torch.no_grad():
        tq, _ = pad_vectors([queries.vectors(i) for i in q])
        td, td_mask = pad_vectors([documents.vectors(i) for i in d])
        idf_shares = shares(log_idf, q_ids, q_mask)[:, 1:][:, : tq.shape[1]]  # vectors leave [CLS] out
        teacher = maxsim(tq, idf_shares, td, td_mask)
        teacher_pooled = torch.from_numpy(queries.pooled[q] @ documents.pooled[d].T)
    cosine = q_pooled @ d_pooled.T
    return {
        "list": contrast(student, d, SHARPNESS),
        "kl": 10 * kl(student, teacher, SHARPNESS),
        "square": 50 * F.mse_loss(student, teacher),
        "pooled_list": 0.5 * contrast(cosine, d, POOLED_SHARPNESS),
        "pooled_kl": 5 * kl(cosine, teacher_pooled, SHARPNESS),
    }


def begin(documents: Ragged, log_idf: Tensor, dims: int) -> TokenEncoder:
    """The untrained encoder with a projection onto the principal axes of its token vectors, and IDF as weights."""
    model = TokenEncoder.untrained(dims)
    sample = documents.all_vectors[:: max(1, len(documents.all_vectors) // 200_000)].astype(np.float32)
    model.projection.weight.data.copy_(principal_axes(sample, dims))
    model.log_weight.data.copy_(log_idf)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    queries, documents = Ragged(args.work / "queries"), Ragged(args.work / "documents")
    log_idf = torch.from_numpy(np.log(np.load(args.work / "idf.npy")))
    model = begin(documents, log_idf, args.dims)
    groups = [
        {"params": model.bert.parameters(), "lr": 2e-5},
        {"params": [model.projection.weight], "lr": 5e-4},
        {"params": [model.log_weight], "lr": 2e-3},
    ]
    examples = hashlib.sha256((args.work / "examples.jsonl").read_bytes()).hexdigest()
    schedule = Schedule(args.steps, warmup=80, decay=0.998, checkpoints=200, seed=args.seed)
    training = Training(model, groups, schedule, args.work, {"dims": args.dims, "examples": examples})
    steps = batches(read_examples(args.work), args.seed)
    training.run(steps, lambda batch: losses(model, log_idf, batch, queries, documents))


if __name__ == "__main__":
    main()
