"""PyTorch with the modelling code of Transformers (extra `torch`): sequence classifiers on CPU, CUDA or MPS."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resift.engine import varlen
from resift.engine.batching import MANY_CHARACTERS, Backend, Batch, FloatArray, groups
from resift.engine.once import Once
from resift.engine.torch_layers import Cut, CutEncoder, read_cut
from resift.errors import BrokenModel, MissingExtra, UnknownFamily

_DTYPES = {"f32": "float32", "bf16": "bfloat16", "fp16": "float16"}
PRECISIONS = tuple(_DTYPES)
_PASS = 65_536  # tokens of one pass without padding: the GPU is busy, and a large model's activations fit 2 GB
_GPU_NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of the drivers of NVIDIA, WSL and AMD


def has_gpu() -> bool:
    """Whether torch is installed and sees a CUDA device; torch is imported only where there is a driver."""
    if not any(Path(node).exists() for node in _GPU_NODES):
        return False
    try:
        return bool(_torch().cuda.is_available())
    except MissingExtra:
        return False


def _torch() -> Any:  # noqa: ANN401
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("engine='torch'", "torch") from error
    return torch


def reads(folder: Path) -> bool:
    """Whether Transformers has a classifier for a folder in its own code, and not only as code on the hub."""
    _torch()
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as KNOWN

    if not (folder / "config.json").exists():
        return False
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config.get("position_embedding_type", "absolute") != "absolute":
        return False  # Transformers would read the weights and ignore the positions
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        return False  # the head is in files of its own, or Transformers would not know how many labels it has
    return "auto_map" not in config and config.get("model_type") in KNOWN and any(folder.glob("*.safetensors"))


class TorchEngine:
    """A folder that AutoModelForSequenceClassification reads without remote code.

    On CUDA at half precision, models of `varlen.MODEL_TYPES` run without padding, many batches in one pass.

    Args:
        folder: of the model; its weights are read at the first batch.
        precision: "f32", "bf16" or "fp16"; "auto" is bf16 on a GPU that has it, fp16 on other GPUs, f32 on the CPU.
        cut: where the model stops at an inner layer, that layer and its head; None for the whole classifier.

    Raises:
        MissingExtra: torch or transformers is not installed.

    """

    name: Backend = "torch"
    characters = MANY_CHARACTERS

    def __init__(self, folder: Path, precision: str = "auto", cut: Cut | None = None) -> None:
        torch, self._cut = _torch(), cut
        self.device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.precision = self._fastest(torch) if precision == "auto" else precision
        kind = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
        self._joins = self.device == "cuda" and self.precision != "f32" and kind in varlen.MODEL_TYPES
        self.pads = not self._joins
        self._model = Once(lambda: self._read(torch, folder))

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its logits (B, labels), in order."""
        torch, model = _torch(), self._model()
        if self._joins:
            for group in groups(batches, _PASS, lambda batch: int(batch.mask.sum())):
                with torch.inference_mode():
                    logits = varlen.logits(model, group).float().cpu()
                for batch, rows in zip(group, logits.split([len(b.rows) for b in group]), strict=True):
                    yield batch, (np.asarray(rows.numpy(), dtype=np.float32),)
            return
        segmented = "token_type_ids" in inspect.signature(model.base_model.forward).parameters
        for batch in batches:
            arrays = {"input_ids": batch.ids, "attention_mask": batch.mask}
            if segmented:
                arrays["token_type_ids"] = batch.segments
            with torch.inference_mode():
                output = model(**{name: torch.from_numpy(a).to(self.device) for name, a in arrays.items()})
            yield batch, (np.asarray(output.logits.float().cpu().numpy(), dtype=np.float32),)

    def _fastest(self, torch: Any) -> str:  # noqa: ANN401
        if self.device != "cuda":
            return "f32"
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"

    def _read(self, torch: Any, folder: Path) -> Any:  # noqa: ANN401
        attention, dtype = varlen.register() if self._joins else None, getattr(torch, _DTYPES[self.precision])
        if self._cut is not None:
            encoder = read_cut(folder, self._cut.layers, dtype, attention)
            return CutEncoder(encoder.to(self.device), self._cut.head())
        model, report = read_classifier(folder, dtype, attention)
        if report["missing_keys"]:
            some = ", ".join(sorted(report["missing_keys"])[:3])
            raise BrokenModel(
                f"{folder} lacks tensors ({some}) that torch would fill with random numbers; "
                "use a checkpoint that was trained as a reranker, or fetch it again"
            )
        return model.to(self.device).eval()


def read_classifier(folder: Path, dtype: Any, attention: str | None = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """The model in eval mode on the CPU, and Transformers' report on its keys; quiet, offline, no remote code.

    `attention` is Transformers' name of an implementation; with None Transformers chooses.

    Raises:
        UnknownFamily: an architecture that Transformers does not have.
        BrokenModel: unreadable files.

    """
    _torch()
    import transformers

    logging: Any = transformers.utils.logging
    progress_bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model_and_report: tuple[Any, dict[str, Any]] = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True,
            attn_implementation=attention,
        )  # fmt: skip
        return model_and_report
    except ValueError as error:
        raise UnknownFamily(f"Transformers has no classifier for {folder}: use engine='openvino'") from error
    except (OSError, RuntimeError) as error:
        raise BrokenModel(f"{folder} can't be read by Transformers ({error}); fetch the model again") from error
    finally:
        if progress_bar:
            logging.enable_progress_bar()


def tokenized(folder: Path, pairs: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[list[int], list[int]]] | None]:
    """The version of Transformers, and the ids and segment ids that it gives each pair; None where it can't."""
    import transformers

    version = f"Transformers {transformers.__version__}"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        encodings = [tokenizer(first, second) for first, second in pairs]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError):
        return version, None
    return version, [(e["input_ids"], e.get("token_type_ids", [0] * len(e["input_ids"]))) for e in encodings]


def export_onnx(folder: Path, target: Path) -> None:
    """Write a folder's classifier as an f32 ONNX file with free batch and length.

    The inputs go by keyword, because their order differs between architectures. Segment ids are among them where the
    model has more than one kind of segment.

    Raises:
        BrokenModel: see `read_classifier`.
        MissingExtra: torch or transformers is not installed.

    """
    torch = _torch()
    model, _ = read_classifier(folder, torch.float32)
    ids = torch.arange(4, 22).reshape(2, 9)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if (getattr(model.config, "type_vocab_size", 0) or 0) > 1:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    axes = dict.fromkeys(inputs, {0: "batch", 1: "tokens"}) | {"logits": {0: "batch"}}
    with warnings.catch_warnings():  # the exporter is deprecated, and the check of the result finds wrong branches
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (), str(target), kwargs=inputs, dynamo=False, opset_version=17,
            input_names=list(inputs), output_names=["logits"], dynamic_axes=axes,
        )  # fmt: skip
