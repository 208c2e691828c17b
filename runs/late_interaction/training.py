"""The loop of both recipes: AdamW, a warm-up and a line to almost 0, an average of the weights, checkpoints."""

import copy
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

QUERIES = 24  # of a batch, each with its answer and one negative; every document serves every query
LOGGED = 20  # steps between two lines of the log

Example = tuple[int, int, Sequence[int]]  # places of query, answer and negatives
Batch = tuple[str, list[tuple[int, int, int]]]  # the collection; places of query, answer and one negative


@dataclass(frozen=True)
class Schedule:
    """How long, and by what rates.

    Attributes:
        steps, warmup: of the whole training, and until the peak.
        decay: of the average of the weights.
        checkpoints: steps between two of them.
        seed: of the order and the negatives.
        first: how many steps have the rates of a longer training, and its number of steps.

    """

    steps: int
    warmup: int
    decay: float
    checkpoints: int
    seed: int
    first: tuple[int, int] = (0, 0)

    def rate(self, step: int) -> float:
        count, plan = self.first
        steps = plan if step <= count and plan else self.steps
        return min((step + 1) / self.warmup, max(0.02, (steps - step) / (steps - self.warmup)))


def batches(examples: Mapping[str, Sequence[Example]], seed: int) -> Iterator[Batch]:
    """Endless batches of one collection each; each epoch has another order, and draws other negatives."""
    epoch = 0
    while True:
        shuffle = random.Random(f"{seed}-{epoch}")
        parts = []
        for name, rows in examples.items():
            order = list(rows)
            shuffle.shuffle(order)
            parts += [(name, order[i : i + QUERIES]) for i in range(0, len(order) - QUERIES + 1, QUERIES)]
        shuffle.shuffle(parts)
        for name, rows in parts:
            yield name, [(query, answer, shuffle.choice(negatives)) for query, answer, negatives in rows]
        epoch += 1


class Training:
    """The state of one training, which lies in a folder and goes on from there."""

    def __init__(self, model: torch.nn.Module, groups: list[dict], schedule: Schedule, folder: Path, facts: Any):
        """Begin, or go on from the last checkpoint.

        Args:
            model: with the weights at which it begins.
            groups: parameters with their peak rates.
            schedule: of the training.
            folder: of checkpoints and log.
            facts: all else that the training depends on, as JSON; with others it does not go on.

        """
        self.model, self.schedule, self.folder, self.step = model, schedule, folder, 0
        self.average = copy.deepcopy(model)
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # a teacher is matched: noise in the student only hurts
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, schedule.rate)
        folder.mkdir(parents=True, exist_ok=True)
        facts = json.loads(json.dumps({"schedule": asdict(schedule), "facts": facts}))
        if (folder / "checkpoint.pt").exists():
            self._restore(facts)
        else:
            (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
            (folder / "train.jsonl").unlink(missing_ok=True)

    @property
    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer, "schedule": self.rates}

    def run(self, steps: Iterator[Batch], losses: Callable[[Batch], dict[str, Tensor]]) -> None:
        sums: dict[str, float] = defaultdict(float)
        start, clock = self.step, time.monotonic()
        for number, batch in enumerate(steps):
            if number >= self.schedule.steps:
                break
            if number < start:
                continue
            values = losses(batch)
            self._learn(sum(values.values()))
            for name, value in values.items():
                sums[name] += value.item()
            if self.step % LOGGED == 0:
                self._log({name: round(value / LOGGED, 4) for name, value in sums.items()}, clock)
                sums.clear()
            if self.step % self.schedule.checkpoints == 0 or self.step == self.schedule.steps:
                self._save()

    def _learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        decay = min(self.schedule.decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        self.step += 1

    def _log(self, means: dict[str, float], clock: float) -> None:
        entry = {"step": self.step, **means, "seconds": round(time.monotonic() - clock)}
        with (self.folder / "train.jsonl").open("a") as file:
            print(json.dumps(entry), file=file)

    def _save(self) -> None:
        """Write the average as step-N.pt, which export reads, and all that is needed to go on."""
        _write(self.average.state_dict(), self.folder / f"step-{self.step}.pt")
        state = {name: part.state_dict() for name, part in self._parts.items()}
        _write(state | {"step": self.step}, self.folder / "checkpoint.pt")

    def _restore(self, facts: dict) -> None:
        path = self.folder / "training.json"
        record = json.loads(path.read_text("utf-8")) if path.exists() else None
        if record != facts:
            raise SystemExit(
                f"{self.folder} holds checkpoints of another training; delete it, or name another --work.\n"
                f"It was {json.dumps(record)}\nand is now {json.dumps(facts)}"
            )
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        self.step = state["step"]
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        print(f"goes on from step {self.step} of {self.schedule.steps}", flush=True)
        log = self.folder / "train.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        log.write_text("".join(line for line in lines if json.loads(line)["step"] <= self.step))


def _write(state: dict, path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
