"""Writes the folder of a model: all of it beside the old one first, with golden scores of what was written."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from resift import load

CONFIG = (
    "model_type", "pad_token_id", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "layer_norm_eps", "max_position_embeddings", "type_vocab_size", "vocab_size",
)  # fmt: skip
BUNDLED = Path(__file__).resolve().parents[2] / "src/resift/bundled"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder whose files replace those of `folder` where the block ends without an error; others stay."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part)
        raise
    folder.mkdir(exist_ok=True)
    for path in part.iterdir():
        path.chmod(0o644)  # the writer of safetensors leaves them to their owner alone
        path.replace(folder / path.name)
    part.rmdir()


def write_config(folder: Path, config: dict) -> None:
    entries = {name: config[name] for name in CONFIG}
    (folder / "config.json").write_text(json.dumps(entries, indent=1) + "\n", "utf-8")


def write_contract(folder: Path, contract: dict, pairs: Sequence[tuple[str, str]]) -> None:
    """Write contract.json with the scores of pairs at f32, and print how far they are from those that ship."""
    _write_json(folder / "contract.json", contract)  # without scores, by which the model is loaded
    if not pairs:
        return
    scores = load(str(folder), precision="f32").score(pairs).values
    golden = [{"query": q, "document": d, "score": round(v, 6)} for (q, d), v in zip(pairs, scores, strict=True)]
    _write_json(folder / "contract.json", {**contract, "golden": golden})
    bundled = BUNDLED / contract["name"] / "contract.json"
    if bundled.exists():
        scores_that_ship = {
            (entry["query"], entry["document"]): entry["score"]
            for entry in json.loads(bundled.read_text("utf-8"))["golden"]
        }
        changes = [abs(v - scores_that_ship[p]) for p, v in zip(pairs, scores, strict=True) if p in scores_that_ship]
        print(f"the scores of {len(changes)} pairs are within {max(changes, default=0):.4f} of those that ship")


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
