"""Step 2 of resift-mini-multi: train the projection and the last layers; goes on from the last checkpoint.

    python -m runs.resift_mini_multi.train --base build/e5 --work build/resift-mini-multi \
        --out build/resift-mini-multi/checkpoints --steps 500

Per step: 24 queries of one collection, each with its positive and one mined negative; every passage of the batch
serves every query. Loss = list softmax of MaxSim over the batch
+ KL and squared error to the MaxSim of the untrained model's 384-dimensional token outputs: nothing is forgotten
+ the same for the pooled vector's cosine, so that the one pass serves dense retrieval too.
With --layers-rate 0 the encoder stays untouched and the projection alone learns.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from runs.late_interaction.training import Batch, Example, Schedule, Training, batches
from runs.late_interaction.vectors import contrast, kl, maxsim, pad_vectors, principal_axes
from runs.resift_mini_multi.encoder import BaseTokenizer, States, TokenEncoder, read_base
from runs.resift_mini_multi.prepare import SOURCES

# What ships was planned for 800 steps, stopped after 200, and went on with rates for 500 in all: so does the recipe.
FIRST = (200, 800)
SHARPNESS = 40.0  # of MaxSim and cosine in every softmax: e5's cosines lie within a few tenths


@dataclass
class Source:
    """One collection's examples, and the base model's outputs for its texts."""

    examples: list[Example]
    queries: States
    documents: States

    @classmethod
    def read(cls, folder: Path) -> "Source":
        examples = json.loads((folder / "examples.json").read_text())
        return cls(examples, States(folder / "queries"), States(folder / "documents"))


def content(mask: Tensor, prefix: int) -> Tensor:
    """The tokens that are compared: all but the prefix, the last special token and padding."""
    rest = mask.clone()
    rest[:, :prefix] = False
    rest[torch.arange(len(mask)), mask.sum(1) - 1] = False
    return rest


def shares(mask: Tensor) -> Tensor:
    """The share of each query token in a score (Q, Tq): equal ones."""
    return mask.float() / mask.sum(-1, keepdim=True).clamp_min(1)


def losses(model: TokenEncoder, source: Source, rows, prefix: dict[str, int]) -> dict[str, Tensor]:
    q, d = [r[0] for r in rows], [r[1] for r in rows] + [r[2] for r in rows]
    inputs = {}
    for name, states, texts in (("query", source.queries, q), ("document", source.documents, d)):
        frozen, mask = pad_vectors([states.of(states.frozen, i) for i in texts])
        last, _ = pad_vectors([states.of(states.last, i) for i in texts])
        inputs[name] = frozen, mask, content(mask, prefix[name]), F.normalize(last, dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        q_tokens, q_pooled = model(*inputs["query"][:2])
        d_tokens, d_pooled = model(*inputs["document"][:2])
    q_shares, d_content = shares(inputs["query"][2]), inputs["document"][2]
    student, cosine = maxsim(q_tokens, q_shares, d_tokens, d_content), q_pooled @ d_pooled.T
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        teacher = maxsim(inputs["query"][3], q_shares, inputs["document"][3], d_content).float()
        teacher_cosine = torch.from_numpy(source.queries.pooled[q] @ source.documents.pooled[d].T)
    return {
        "list": contrast(student, d, SHARPNESS),
        "kl": 3 * kl(student, teacher, SHARPNESS),
        "square": 100 * F.mse_loss(student, teacher),
        "pooled_list": 0.5 * contrast(cosine, d, SHARPNESS),
        "pooled_kl": 3 * kl(cosine, teacher_cosine, SHARPNESS),
        "pooled_square": 100 * F.mse_loss(cosine, teacher_cosine),
    }


def sample(sources: dict[str, Source]) -> np.ndarray:
    """Token vectors of the untrained model (N, H), of each collection about as many."""
    parts = []
    for source in sources.values():
        last = source.documents.last
        part = np.asarray(last[:: max(1, len(last) // 25_000)], np.float32)
        parts.append(part / np.linalg.norm(part, axis=1, keepdims=True))
    return np.concatenate(parts)


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
    tokenizer = BaseTokenizer(args.base)
    prefix = {role: tokenizer.prefix_tokens(role) for role in ("query", "document")}
    sources = {name: Source.read(args.work / name) for name in SOURCES}
    model = TokenEncoder(read_base(args.base), args.dims)
    model.projection.weight.data.copy_(principal_axes(sample(sources), args.dims))
    model.layers.requires_grad_(args.layers_rate > 0)
    groups = [{"params": [model.projection.weight], "lr": 5e-4}]
    if args.layers_rate:
        groups.append({"params": model.layers.parameters(), "lr": args.layers_rate})
    examples = {name: source.examples for name, source in sources.items()}
    facts = {
        "dims": args.dims, "layers_rate": args.layers_rate,
        "examples": hashlib.sha256(json.dumps(examples).encode()).hexdigest(),
    }  # fmt: skip
    schedule = Schedule(args.steps, warmup=50, decay=0.995, checkpoints=100, seed=args.seed, first=FIRST)
    training = Training(model, groups, schedule, args.out, facts)

    def losses_of(batch: Batch) -> dict[str, Tensor]:
        name, rows = batch
        return losses(model, sources[name], rows, prefix)

    training.run(batches(examples, args.seed), losses_of)


if __name__ == "__main__":
    main()
