"""Which vocabulary files are read by which builder: one row for each class of tokenizers.

Without tokenizer.json this table decides. A tokenizer's class is the one that the folder names. Where it names none, it
is that of the first row for its kind of model, or else for any, whose files are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers import byte_level, japanese, phobert, sentencepiece, wordpiece
from resift.models.tokenizers.built import Built
from resift.models.tokenizers.names import VOCABULARY_FILES
from resift.models.tokenizers.settings import Settings


@dataclass(frozen=True, slots=True)
class Format:
    """A row.

    Attributes:
        kinds: the names of tokenizer classes, without "Tokenizer" and "Fast". The first one is the key of the special
            tokens in `settings`.
        files: which must all be there.
        build: makes the tokenizer.
        models: the entries `model_type` of config.json that mean this row where no class is named.

    """

    kinds: tuple[str, ...]
    files: tuple[str, ...]
    build: Callable[[ModelFolder, Settings], Built]
    models: tuple[str, ...] = ()


def _model(build: Callable[[ModelFolder, Settings, str], Built], name: str) -> Callable[[ModelFolder, Settings], Built]:
    return lambda folder, settings: build(folder, settings, name)


_XLM, _SPIECE, _TOKENIZER = "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"
FORMATS = (
    Format(("Phobert",), (phobert.VOCABULARY, phobert.CODES), phobert.build, ("roberta",)),
    Format(
        ("Bert", "DistilBert", "Electra"), (wordpiece.VOCABULARY,), wordpiece.build, ("bert", "distilbert", "electra")
    ),
    Format(("BertJapanese",), (wordpiece.VOCABULARY,), japanese.build),
    Format(("Roberta",), (byte_level.VOCABULARY, byte_level.MERGES), byte_level.build, ("roberta",)),
    Format(("GPT2",), (byte_level.VOCABULARY, byte_level.MERGES), byte_level.build, ("gpt2",)),
    Format(("XLMRoberta",), (_XLM,), _model(sentencepiece.build_xlm_roberta, _XLM), ("xlm-roberta",)),
    Format(("Camembert",), (_XLM,), _model(sentencepiece.build_camembert, _XLM), ("camembert",)),
    Format(("Albert",), (_SPIECE,), _model(sentencepiece.build_albert, _SPIECE), ("albert",)),
    Format(("T5", "MT5"), (_SPIECE,), _model(sentencepiece.build_t5, _SPIECE), ("t5", "mt5")),
    Format(("DebertaV2",), ("spm.model",), _model(sentencepiece.build_deberta, "spm.model"), ("deberta-v2",)),
    Format(("Llama",), (_TOKENIZER,), _model(sentencepiece.build_llama, _TOKENIZER), ("llama", "mistral")),
    Format(("Gemma",), (_TOKENIZER,), _model(sentencepiece.build_llama, _TOKENIZER), ("gemma", "gemma2")),
)
_GENERIC = ("PreTrained", "TokenizersBackend")  # the classes of whatever tokenizer.json holds
_OTHERS = ("*.tiktoken", "tekken.json", "*.spm", "*.model", "vocab*", "merges*", "bpe*")  # told apart by a message


def build_tokenizer(folder: ModelFolder, markers: Sequence[str] = ()) -> Built:
    """The tokenizer of a folder without tokenizer.json.

    Args:
        folder: has the vocabulary files.
        markers: tokens that a model puts into its inputs, special ones too.

    Raises:
        BrokenModel: the files are missing, damaged, or of a tokenizer that Resift can't build.
        MissingExtra: the tokenizer needs a library that is not installed.

    """
    row = _row(folder)
    if missing := [name for name in row.files if not folder.has(name)]:
        raise BrokenModel(
            f"{folder} has neither tokenizer.json nor {' and '.join(missing)}, from which the tokenizer of "
            f"{row.kinds[0]} is built{_there(folder)}; fetch it, or save the model with its fast tokenizer"
        )
    return row.build(folder, Settings(folder, row.kinds[0], markers))


def _row(folder: ModelFolder) -> Format:
    """The row of a folder."""
    name = _class(folder)
    kind = name.removesuffix("Fast").removesuffix("Tokenizer")
    if kind.startswith(_GENERIC):
        raise BrokenModel(
            f"{folder} has no tokenizer.json, and its {name} is kept there alone{_there(folder)}; fetch that file"
        )
    for row in FORMATS:
        if kind in row.kinds:
            return row
    if kind:
        known = ", ".join(kind for row in FORMATS for kind in row.kinds)
        raise BrokenModel(
            f"{folder} has no tokenizer.json, and Resift builds none for {name} (only for {known}); where Transformers "
            "has a fast one, save it with AutoTokenizer.from_pretrained(…).save_pretrained(…)"
        )
    of_model = [row for row in FORMATS if folder.model_type in row.models]
    if complete := [row for row in of_model or FORMATS if all(map(folder.has, row.files))]:
        return complete[0]
    if of_model:
        return of_model[-1]
    raise BrokenModel(
        f"{folder} has no tokenizer.json, and no files from which Resift builds a tokenizer{_there(folder)}; save the "
        "model with its fast tokenizer, or fetch its vocabulary"
    )


def _class(folder: ModelFolder) -> str:
    """The tokenizer's class, by tokenizer_config.json or config.json; empty where neither names one."""
    return str(folder.tokenizer_config.get("tokenizer_class") or folder.config.get("tokenizer_class") or "")


def _there(folder: ModelFolder) -> str:
    """What there is of vocabularies, for a message."""
    names = {p.name for pattern in (*VOCABULARY_FILES, *_OTHERS) for p in folder.path.glob(pattern)}
    return f" (it has {', '.join(sorted(names))})" if names else ""
