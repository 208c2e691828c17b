"""vocab.txt with bpe.codes: PhoBERT, whose pieces end with "@@" where a word goes on."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.built import ROBERTA, UNWRITABLE, Built, add_words, set_layout
from resift.models.tokenizers.settings import Settings
from resift.models.tokenizers.vocabulary_files import check_end, check_unique, complete_lines, read_text

VOCABULARY, CODES = "vocab.txt", "bpe.codes"
_END, _ON = "</w>", "@@"
_FIRST = ("bos_token", "pad_token", "eos_token", "unk_token")  # ids 0 to 3, which fairseq keeps out of its files


def build(folder: ModelFolder, settings: Settings) -> Built:
    """PhoBERT's tokenizer: texts are split at white space alone, so that words must be joined by "_" beforehand.

    The merges of bpe.codes make symbols that vocab.txt does not have; each is an unknown token.

    Raises:
        BrokenModel: a file is damaged.

    """
    vocabulary = _vocabulary(folder, settings)
    special, added = settings.assign(vocabulary, len(vocabulary))
    unknown = settings.token("unk_token")
    size = 1 + max(*vocabulary.values(), *added.values())
    symbols = {_symbol(token): i for token, i in vocabulary.items() if token not in special}
    merges, behind = _merges(folder), max(size, *(i + 1 for i in special.values()))
    replaced: dict[int, tuple[int, ...]] = {}
    for first, second in merges:
        for symbol in (first, second, first + second):
            if symbol not in symbols:
                symbols[symbol] = behind + len(replaced)
                replaced[symbols[symbol]] = (vocabulary.get(_token(symbol), special[unknown]),)
    names = {UNWRITABLE + name: i for name, i in special.items()} | dict(added)
    tokenizer = Tokenizer(
        models.BPE(symbols | names, merges, unk_token=UNWRITABLE + unknown, end_of_word_suffix=_END, fuse_unk=False)
    )
    # A line's end belongs to the word before it, as in PhobertTokenizer, where it makes that word's last piece unknown.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S+\n?"), behavior="removed", invert=True)
    add_words(tokenizer, settings, added)
    set_layout(tokenizer, ROBERTA, settings, special)
    return Built(tokenizer, f"{VOCABULARY} and {CODES}", special, added, special[unknown], size, (), replaced)


def _vocabulary(folder: ModelFolder, settings: Settings) -> dict[str, int]:
    """The four tokens that fairseq puts first, then one for each line, "token count"."""
    tokens = []
    for i, line in enumerate(read_text(folder, VOCABULARY).rstrip("\n").split("\n"), 1):
        token, space, count = line.strip().rpartition(" ")
        if not space or not count.isdigit():
            raise BrokenModel(
                f"{folder.path / VOCABULARY}, line {i}, is no token with its count: {line[:60]!r}; the file is cut, or "
                "of another tokenizer than PhoBERT's: fetch the model again"
            )
        tokens.append(token)
    check_end(folder, VOCABULARY, len(tokens) + len(_FIRST))
    check_unique(folder, VOCABULARY, tokens)
    first = [settings.token(role) for role in _FIRST]
    if doubled := [token for token in first if token in tokens]:
        raise BrokenModel(
            f"{folder.path / VOCABULARY} has {doubled[0]!r}, which PhoBERT keeps out; fetch the model again"
        )
    return {token: i for i, token in enumerate([*first, *tokens])}


def _merges(folder: ModelFolder) -> list[tuple[str, str]]:
    """The merges of bpe.codes in their order; of one that is there twice, the last counts, as in PhobertTokenizer."""
    merges: dict[tuple[str, str], int] = {}
    for i, line in enumerate(complete_lines(folder, CODES), 1):
        parts = line.split()
        if parts and parts[0].startswith("#version"):
            continue
        if len(parts) != 3 or not parts[2].isdigit():
            raise BrokenModel(
                f"{folder.path / CODES}, line {i}, is no merge of two symbols with its count: {line[:60]!r}; fetch the "
                "model again"
            )
        merges[parts[0], parts[1]] = i
    return sorted(merges, key=lambda merge: merges[merge])


def _symbol(token: str) -> str:
    """A token of vocab.txt as BPE has it: what ends a word is marked, not what goes on."""
    return token[: -len(_ON)] if token.endswith(_ON) and len(token) > len(_ON) else token + _END


def _token(symbol: str) -> str:
    """The token of vocab.txt for a symbol of BPE."""
    return symbol[: -len(_END)] if symbol.endswith(_END) else symbol + _ON
