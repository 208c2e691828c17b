"""An encoder of Transformers that ends at one of its layers, with a head that makes logits of its token vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from resift.engine.graphs.heads import HeadStep, Linear, Pooling
from resift.errors import BrokenModel, UnknownFamily


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an encoder ends.

    Attributes:
        layers: how many of its layers are computed.
        head: gives what comes behind them: one pooling, and two linear layers with GELU between.

    """

    layers: int
    head: Callable[[], Sequence[HeadStep]]


class CutEncoder:
    """Called as a classifier of Transformers is; of the layers above its last one nothing is kept.

    Attributes:
        base_model: the encoder.
        config: of the encoder.

    """

    def __init__(self, encoder: Any, steps: Sequence[HeadStep]) -> None:  # noqa: ANN401
        pooling, *linears = steps
        assert isinstance(pooling, Pooling)
        self.base_model, self.config = encoder, encoder.config
        self._modes = pooling.modes
        self._linears = [_tensors(step, encoder.device) for step in linears if isinstance(step, Linear)]

    @property
    def device(self) -> Any:  # noqa: ANN401
        """Where it runs."""
        return self.base_model.device

    def __call__(self, attention_mask: Any, **inputs: Any) -> Any:  # noqa: ANN401
        """Logits (B, labels) in f32, as an attribute of what is returned."""
        hidden = self.base_model(attention_mask=attention_mask, **inputs).last_hidden_state
        return SimpleNamespace(logits=self._logits(pooled(hidden, attention_mask, self._modes)))

    def of_joined(self, hidden: Any, starts: Any) -> Any:  # noqa: ANN401
        """Logits (n, labels) of hidden states (tokens, H) without padding; `starts` (n + 1,) are the texts' ends."""
        import torch

        hidden, lengths = hidden.float(), starts.diff()
        parts = [
            hidden[starts[:-1]] if mode == "cls" else torch.segment_reduce(hidden, mode, lengths=lengths, axis=0)
            for mode in self._modes
        ]
        return self._logits(torch.cat(parts, dim=1))

    def _logits(self, x: Any) -> Any:  # noqa: ANN401
        from torch.nn import functional

        (inner, inner_bias), (weight, bias) = self._linears
        return functional.linear(functional.gelu(functional.linear(x, inner, inner_bias)), weight, bias)


def pooled(hidden: Any, mask: Any, modes: Sequence[str]) -> Any:  # noqa: ANN401
    """(B, modes x H) f32 of hidden states (B, T, H), of which the mask (B, T) attends to some: "mean", "max", "cls"."""
    import torch

    hidden = hidden.float()
    parts = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.masked_fill(mask[:, :, None] == 0, float("-inf")).amax(dim=1),
        "mean": lambda: (hidden * (mask.float() / mask.sum(dim=1, keepdim=True))[:, :, None]).sum(dim=1),
    }
    return torch.cat([parts[mode]() for mode in modes], dim=1)


def _tensors(step: Linear, device: Any) -> tuple[Any, Any]:  # noqa: ANN401
    import torch

    assert step.bias is not None
    return torch.from_numpy(step.weight).to(device), torch.from_numpy(step.bias).to(device)


def read_cut(folder: Path, layers: int, dtype: Any, attention: str | None = None) -> Any:  # noqa: ANN401
    """The encoder of a folder in eval mode on the CPU, without the layers above the first so many.

    `attention` is Transformers' name of an implementation; with None Transformers chooses.

    Raises:
        UnknownFamily: its layers are not in one list.
        BrokenModel: unreadable files, or missing tensors.

    """
    import transformers

    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # a classifier's head is not read, and its message would look like a fault
    logging.disable_progress_bar()
    try:
        encoder, report = transformers.AutoModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True,
            attn_implementation=attention,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        raise BrokenModel(f"{folder} can't be read by Transformers ({error}); fetch the model again") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise BrokenModel(f"{folder} lacks tensors ({', '.join(missing[:3])}); fetch the model again")
    _cut(encoder, layers)
    return encoder.eval()


def _cut(encoder: Any, layers: int) -> None:  # noqa: ANN401
    from torch import nn

    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            del module[layers:]
            return
    raise UnknownFamily(f"{type(encoder).__name__} has no list of layers to end in; use engine='openvino'")
