"""Step 2 of resift-mini-multi: train the projection and the last layers; resumes from the last checkpoint.

    python runs/resift_mini_multi/train.py --base build/e5 --work build/resift-mini-multi --steps 500

Per step: 24 queries of one collection, each with its positive and one mined negative; every passage of the batch
serves every query. Loss = list softmax of MaxSim over the batch
+ KL and squared error to the MaxSim of the untrained model's 384-dimensional token outputs: nothing is forgotten
+ the same for the pooled vector's cosine, so that the one pass serves dense retrieval too.
With --layers-rate 0 the encoder stays untouched and the projection alone learns.
"""

import argparse
import copy
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from encoder import BaseTokenizer, States, TokenEncoder, read_base
from prepare import SOURCES
from torch import Tensor
from torch.nn import functional as F

QUERIES = 24
SHARPNESS = 40.0  # of MaxSim and cosine in every softmax: e5's cosines lie within a few tenths


@dataclass
class Source:
    """One collection's examples (query, positive, negatives), and the base model's outputs for its texts."""

    examples: list[tuple[int, int, list[int]]]
    queries: States
    documents: States

    @classmethod
    def read(cls, folder: Path) -> "Source":
        examples = json.loads((folder / "examples.json").read_text())
        return cls(examples, States(folder / "queries"), States(folder / "documents"))


def batches(sources: dict[str, Source], seed: int) -> Iterator[tuple[Source, list[tuple[int, int, int]]]]:
    """Endless batches of one collection each; no passage stands twice in a batch as an answer."""
    epoch = 0
    while True:
        shuffle = random.Random(f"{seed}-{epoch}")
        rows = []
        for source in sources.values():
            examples = list(source.examples)
            shuffle.shuffle(examples)
            rows += [(source, examples[i : i + QUERIES]) for i in range(0, len(examples) - QUERIES + 1, QUERIES)]
        shuffle.shuffle(rows)
        for source, examples in rows:
            yield source, [(q, p, shuffle.choice(n)) for q, p, n in examples]
        epoch += 1


def padded(rows: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Vectors (B, T, H) in f32 and their mask (B, T)."""
    width = max(map(len, rows))
    out = torch.zeros(len(rows), width, rows[0].shape[1])
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.from_numpy(row.astype(np.float32))
        mask[i, : len(row)] = True
    return out, mask


def content(mask: Tensor, prefix: int) -> Tensor:
    """The tokens that are compared: all but the prefix, the last special token and padding."""
    compared = mask.clone()
    compared[:, :prefix] = False
    compared[torch.arange(len(mask)), mask.sum(1) - 1] = False
    return compared


def maxsim(query: Tensor, query_mask: Tensor, documents: Tensor, mask: Tensor) -> Tensor:
    """(Q, Tq, D), mask (Q, Tq), (N, Td, D), mask (N, Td) -> (Q, N): the mean over query tokens of the best cosines."""
    similarity = torch.einsum("qtd,nsd->qnts", query, documents)
    best = similarity.masked_fill(~mask[None, :, None, :], -1.0).amax(-1)
    share = query_mask.float() / query_mask.sum(-1, keepdim=True).clamp_min(1)
    return (best * share[:, None, :]).sum(-1)


def kl(scores: Tensor, reference: Tensor) -> Tensor:
    log_scores, log_reference = (F.log_softmax(SHARPNESS * x, -1) for x in (scores, reference))
    return F.kl_div(log_scores, log_reference, log_target=True, reduction="batchmean")


def losses(model: TokenEncoder, source: Source, rows, prefix: dict[str, int]) -> dict[str, Tensor]:
    q, d = [r[0] for r in rows], [r[1] for r in rows] + [r[2] for r in rows]
    inputs = {}
    for name, states, texts in (("query", source.queries, q), ("document", source.documents, d)):
        frozen, mask = padded([states.of(states.frozen, i) for i in texts])
        last, _ = padded([states.of(states.last, i) for i in texts])
        inputs[name] = frozen, mask, content(mask, prefix[name]), F.normalize(last, dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        q_tokens, q_pooled = model(*inputs["query"][:2])
        d_tokens, d_pooled = model(*inputs["document"][:2])
    q_content, d_content = inputs["query"][2], inputs["document"][2]
    student, cosine = maxsim(q_tokens, q_content, d_tokens, d_content), q_pooled @ d_pooled.T
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        teacher = maxsim(inputs["query"][3], q_content, inputs["document"][3], d_content).float()
        teacher_cosine = torch.from_numpy(source.queries.pooled[q] @ source.documents.pooled[d].T)
    target = torch.arange(len(q))
    same = torch.tensor([[a == b for b in d] for a in [r[1] for r in rows]])
    same[target, target] = False
    hide = same.float() * -1e4
    return {
        "list": F.cross_entropy(SHARPNESS * student + hide, target),
        "kl": 3 * kl(student, teacher),
        "square": 100 * F.mse_loss(student, teacher),
        "pooled_list": 0.5 * F.cross_entropy(SHARPNESS * cosine + hide, target),
        "pooled_kl": 3 * kl(cosine, teacher_cosine),
        "pooled_square": 100 * F.mse_loss(cosine, teacher_cosine),
    }


def principal_axes(sources: dict[str, Source], dims: int) -> Tensor:
    """Uncentred principal axes (dims, H) of a sample of the untrained token vectors, each collection equally."""
    samples = []
    for source in sources.values():
        last = source.documents.last
        sample = np.asarray(last[:: max(1, len(last) // 25_000)], np.float32)
        samples.append(sample / np.linalg.norm(sample, axis=1, keepdims=True))
    joined = np.concatenate(samples)
    _, axes = np.linalg.eigh(joined.T @ joined)
    return torch.from_numpy(np.ascontiguousarray(axes[:, ::-1][:, :dims].T))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--layers-rate", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = BaseTokenizer(args.base)
    prefix = {role: tokenizer.prefix_tokens(role) for role in ("query", "document")}
    sources = {name: Source.read(args.work / name) for name in SOURCES}
    model = TokenEncoder(read_base(args.base), args.dims)
    model.projection.weight.data.copy_(principal_axes(sources, args.dims))
    average = copy.deepcopy(model)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # a teacher is matched: noise in the student only hurts
    model.layers.requires_grad_(args.layers_rate > 0)
    groups = [{"params": [model.projection.weight], "lr": 5e-4}]
    if args.layers_rate:
        groups.append({"params": model.layers.parameters(), "lr": args.layers_rate})
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / 50, max(0.02, (args.steps - s) / (args.steps - 50)))
    )
    parts = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    checkpoint, start = args.out / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    else:
        torch.save(average.state_dict(), args.out / "step-0.pt")
    log = (args.out / "train.jsonl").open("a")
    sums: dict[str, float] = defaultdict(float)
    began = time.monotonic()
    for step, (source, rows) in enumerate(batches(sources, args.seed)):
        if step >= args.steps:
            break
        if step < start:
            continue
        values = losses(model, source, rows, prefix)
        optimizer.zero_grad(set_to_none=True)
        sum(values.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(0.995, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        for name, value in values.items():
            sums[name] += value.item()
        done = step + 1
        if done % 20 == 0:
            means = {name: round(value / 20, 4) for name, value in sums.items()}
            print(json.dumps({"step": done, **means, "seconds": round(time.monotonic() - began)}), file=log, flush=True)
            sums.clear()
        if done % 100 == 0 or done == args.steps:
            torch.save(average.state_dict(), args.out / f"step-{done}.pt")
            torch.save({k: v.state_dict() for k, v in parts.items()} | {"step": done}, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)


if __name__ == "__main__":
    main()
