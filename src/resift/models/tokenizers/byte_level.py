"""vocab.json with merges.txt: the byte-level BPE of GPT-2 and RoBERTa."""

from __future__ import annotations

import json

from tokenizers import Tokenizer, models, pre_tokenizers

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.built import ROBERTA, UNWRITABLE, Built, add_words, set_layout, with_ends
from resift.models.tokenizers.settings import MOST_IDS, Settings
from resift.models.tokenizers.text_steps import substitution
from resift.models.tokenizers.vocabulary_files import complete_lines, read_text

VOCABULARY, MERGES = "vocab.json", "merges.txt"


def build(folder: ModelFolder, settings: Settings) -> Built:
    """RoBERTa's tokenizer, or GPT-2's: bytes, merged within words.

    Raises:
        BrokenModel: a file is damaged, or the two are of different models.

    """
    vocabulary = _vocabulary(folder)
    special, added = settings.assign(vocabulary, len(vocabulary))
    unknown = settings.token("unk_token")
    hidden = {UNWRITABLE + name: i for name, i in special.items()}
    pieces = {token: i for token, i in vocabulary.items() if token not in special} | dict(added) | hidden
    merges = _merges(folder)
    for first, second in merges:
        if lacking := [piece for piece in (first, second, first + second) if piece not in pieces]:
            raise BrokenModel(
                f"{folder}: {MERGES} makes {lacking[0]!r}, which {VOCABULARY} does not have; one is cut, or they are "
                "of different models: copy both from one place"
            )
    tokenizer = Tokenizer(models.BPE(pieces, merges, unk_token=UNWRITABLE + unknown, fuse_unk=False))
    roberta = settings.kind == "Roberta"
    # RoBERTa's space is put before a text that does not begin with white space, GPT-2's before every one.
    space = substitution(r"\A(?=\S)" if roberta else r"\A", " ")
    steps = (space,) if settings.flag("add_prefix_space", False) else ()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    add_words(tokenizer, settings, added)
    set_layout(tokenizer, ROBERTA if roberta else with_ends(settings, bos=False, eos=False), settings, special)
    size = 1 + max(*vocabulary.values(), *added.values())
    return Built(tokenizer, f"{VOCABULARY} and {MERGES}", special, added, special[unknown], size, steps)


def _vocabulary(folder: ModelFolder) -> dict[str, int]:
    """Token -> id.

    Raises:
        BrokenModel: the file is damaged, or two tokens have one id.

    """
    path = folder.path / VOCABULARY
    try:
        value = json.loads(read_text(folder, VOCABULARY))
    except ValueError as error:
        raise BrokenModel(f"{path} is damaged or cut ({error}); fetch the model again") from error
    if (
        not isinstance(value, dict)
        or not value
        or not all(type(i) is int and 0 <= i < MOST_IDS for i in value.values())
    ):
        raise BrokenModel(f"{path} holds no tokens with their ids; fetch the model again")
    if len(set(value.values())) < len(value):
        raise BrokenModel(f"{path} gives one id to two tokens; fetch the model again")
    return value


def _merges(folder: ModelFolder) -> list[tuple[str, str]]:
    """The merges in their order; the first line is the version."""
    merges = []
    for i, line in enumerate(complete_lines(folder, MERGES)[1:], 2):
        parts = line.split(" ")
        if len(parts) != 2 or not all(parts):
            raise BrokenModel(
                f"{folder.path / MERGES}, line {i}, is no merge of two pieces: {line[:60]!r}; fetch the model again"
            )
        merges.append((parts[0], parts[1]))
    return merges
