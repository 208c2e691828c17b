"""Step 2 of resift-mini-en: train projection, query-token weights and encoder; resumes from the last checkpoint.

    python runs/resift_mini_en/train.py --work build/resift-mini-en --steps 1200

Per step: 24 queries of one collection, each with its positive and one mined negative; every passage of the batch
serves every query. Loss = list softmax of 30 x MaxSim over the batch
+ KL and squared error to the MaxSim of the untrained encoder's 384-dimensional token outputs: nothing is forgotten
+ the same two for the pooled vector's cosine, so that the one pass serves dense retrieval too.
"""

import argparse
import copy
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from encoder import Ragged, TokenEncoder, content, pad, read_examples
from torch import Tensor
from torch.nn import functional as F

QUERIES, SHARPNESS = 24, 30.0


def batches(examples, seed: int):
    """Endless batches of one collection each; a passage is never a negative of a query that it answers."""
    epoch = 0
    while True:
        shuffle = random.Random(f"{seed}-{epoch}")
        by_source = defaultdict(list)
        for example in examples:
            by_source[example[3]].append(example)
        found = []
        for rows in by_source.values():
            shuffle.shuffle(rows)
            found += [rows[i : i + QUERIES] for i in range(0, len(rows) - QUERIES + 1, QUERIES)]
        shuffle.shuffle(found)
        for rows in found:
            yield [(q, p, shuffle.choice(n[:8])) for q, p, n, _ in rows]
        epoch += 1


def maxsim(query: Tensor, weights: Tensor, documents: Tensor, mask: Tensor) -> Tensor:
    """(Q, Tq, D), shares (Q, Tq), (N, Td, D), mask (N, Td) -> (Q, N): the shared-out mean of the best cosines."""
    similarity = torch.einsum("qtd,nsd->qnts", query, documents)
    best = similarity.masked_fill(~mask[None, :, None, :], -1.0).amax(-1)
    return (best * weights[:, None, :]).sum(-1)


def shares(log_weight: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Each query token's share of the score (Q, Tq): exp(log_weight), 0 for [CLS], [SEP] and padding, sum 1."""
    raw = log_weight[ids].exp() * content(ids, mask)
    return raw / raw.sum(-1, keepdim=True).clamp_min(1e-6)


def padded(rows: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Token vectors (B, T, D) in f32 and their mask (B, T)."""
    width = max(map(len, rows))
    out = torch.zeros(len(rows), width, rows[0].shape[1])
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.from_numpy(row.astype(np.float32))
        mask[i, : len(row)] = True
    return out, mask


def losses(model, log_idf, rows, queries: Ragged, documents: Ragged) -> dict[str, Tensor]:
    q, d = [r[0] for r in rows], [r[1] for r in rows] + [r[2] for r in rows]
    q_ids, q_mask = pad([queries.ids(i) for i in q])
    d_ids, d_mask = pad([documents.ids(i) for i in d])
    with torch.autocast("cpu", torch.bfloat16):
        q_tokens, q_pooled = model(q_ids, q_mask)
        d_tokens, d_pooled = model(d_ids, d_mask)
    student = maxsim(q_tokens, shares(model.log_weight, q_ids, q_mask), d_tokens, content(d_ids, d_mask))
    with torch.no_grad():
        tq, tq_mask = padded([queries.vectors(i) for i in q])
        td, td_mask = padded([documents.vectors(i) for i in d])
        idf_shares = shares(log_idf, q_ids, q_mask)[:, 1:][:, : tq.shape[1]]  # vectors leave [CLS] out
        teacher = maxsim(tq, idf_shares, td, td_mask)
        teacher_pooled = torch.from_numpy(queries.pooled[q] @ documents.pooled[d].T)
    cosine = q_pooled @ d_pooled.T
    target = torch.arange(len(q))
    same = torch.tensor([[a == b for b in d] for a in [r[1] for r in rows]])
    same[target, target] = False
    hide = same.float() * -1e4

    def kl(scores: Tensor, reference: Tensor) -> Tensor:
        return F.kl_div(
            F.log_softmax(SHARPNESS * scores, -1),
            F.log_softmax(SHARPNESS * reference, -1),
            log_target=True,
            reduction="batchmean",
        )

    return {
        "list": F.cross_entropy(SHARPNESS * student + hide, target),
        "kl": 10 * kl(student, teacher),
        "square": 50 * F.mse_loss(student, teacher),
        "pooled_list": 0.5 * F.cross_entropy(20 * cosine + hide, target),
        "pooled_kl": 5 * kl(cosine, teacher_pooled),
    }


def principal_axes(documents: Ragged, dims: int) -> Tensor:
    """Uncentred principal axes (dims, H) of a sample of the untrained token vectors."""
    sample = documents.all_vectors[:: max(1, len(documents.all_vectors) // 200_000)].astype(np.float32)
    _, axes = np.linalg.eigh(sample.T @ sample)
    return torch.from_numpy(np.ascontiguousarray(axes[:, ::-1][:, :dims].T))


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
    model = TokenEncoder.untrained(args.dims)
    model.projection.weight.data.copy_(principal_axes(documents, args.dims))
    model.log_weight.data.copy_(log_idf)
    average = copy.deepcopy(model)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # a teacher is matched: noise in the student only hurts
    optimizer = torch.optim.AdamW(
        [
            {"params": model.bert.parameters(), "lr": 2e-5},
            {"params": [model.projection.weight], "lr": 5e-4},
            {"params": [model.log_weight], "lr": 2e-3},
        ],
        weight_decay=0.0,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / 80, max(0.02, (args.steps - s) / (args.steps - 80)))
    )
    checkpoint, start = args.work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        for part, name in ((model, "model"), (average, "average"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(state[name])
    else:
        torch.save(average.state_dict(), args.work / "step-0.pt")
    log = (args.work / "train.jsonl").open("a")
    sums: dict[str, float] = defaultdict(float)
    began = time.monotonic()
    for step, rows in enumerate(batches(read_examples(args.work), args.seed)):
        if step >= args.steps:
            break
        if step < start:
            continue
        parts = losses(model, log_idf, rows, queries, documents)
        optimizer.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        for name, value in parts.items():
            sums[name] += value.item()
        done = step + 1
        if done % 20 == 0:
            entry = {
                "step": done,
                **{k: round(v / 20, 4) for k, v in sums.items()},
                "seconds": round(time.monotonic() - began),
            }
            print(json.dumps(entry), file=log, flush=True)
            sums.clear()
        if done % 200 == 0 or done == args.steps:
            torch.save(average.state_dict(), args.work / f"step-{done}.pt")
            state = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
            torch.save({k: v.state_dict() for k, v in state.items()} | {"step": done}, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)


if __name__ == "__main__":
    main()
