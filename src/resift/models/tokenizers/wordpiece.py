"""vocab.txt: the WordPiece vocabulary of BERT, ELECTRA and DistilBERT."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.built import BERT, UNWRITABLE, Built, add_words, set_layout
from resift.models.tokenizers.settings import Settings
from resift.models.tokenizers.vocabulary_files import vocabulary_lines

VOCABULARY = "vocab.txt"


def build(folder: ModelFolder, settings: Settings) -> Built:
    """BERT's tokenizer: clean, split at spaces, punctuation and Han characters, then the longest pieces.

    Texts are composed (NFC) first, as BertTokenizer of Transformers 4 does and its fast form does not.

    Raises:
        BrokenModel: the file is damaged, or a setting is one for which nothing can be built.

    """
    settings.refuse("do_basic_tokenize", True)
    settings.refuse("never_split", [])
    vocabulary = read_vocabulary(folder, settings)
    special, added = settings.assign(vocabulary, len(vocabulary))
    unknown = settings.token("unk_token")
    tokenizer = Tokenizer(models.WordPiece(writable(vocabulary, special, added, unknown), unk_token=unknown))
    accents = settings.entries.get("strip_accents")
    if accents not in (None, True, False):
        raise settings.wrong("strip_accents", accents, "true, false or null")
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.BertNormalizer(
                clean_text=True,
                handle_chinese_chars=settings.flag("tokenize_chinese_chars", True),
                strip_accents=accents,
                lowercase=settings.flag("do_lower_case", True),
            ),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    add_words(tokenizer, settings, added)
    set_layout(tokenizer, BERT, settings, special)
    size = 1 + max(*vocabulary.values(), *added.values())
    return Built(tokenizer, VOCABULARY, special, added, special[unknown], size)


def read_vocabulary(folder: ModelFolder, settings: Settings) -> dict[str, int]:
    """The tokens of vocab.txt with their ids.

    Raises:
        BrokenModel: the file is damaged, or lacks the token for what it lacks, the first or the last of a text.

    """
    vocabulary = {token: i for i, token in enumerate(vocabulary_lines(folder, VOCABULARY))}
    stated = {token.content for token in settings.added.values()}
    lacking = [t for r in ("unk_token", "cls_token", "sep_token") if (t := settings.token(r)) not in vocabulary]
    if lacking := [token for token in lacking if token not in stated]:
        raise BrokenModel(
            f"{folder.path / VOCABULARY} has no {', '.join(lacking)}: it is cut, or of another kind of tokenizer than "
            f"{settings.kind}; fetch the model again"
        )
    return vocabulary


def writable(
    vocabulary: Mapping[str, int], special: Mapping[str, int], added: Mapping[str, int], unknown: str
) -> dict[str, int]:
    """The vocabulary for a model of the tokenizers library, where texts can't hold special tokens.

    The one for unknown words keeps its name: the library asks for it by name.
    """
    hidden = {UNWRITABLE + name: i for name, i in special.items() if name != unknown}
    plain = {token: i for token, i in vocabulary.items() if token not in special}
    return plain | dict(added) | hidden | {unknown: special[unknown]}
