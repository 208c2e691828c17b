"""Tiny tokenizers of the kinds that encoders have, made without training."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
VIETNAMESE = "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ"
JAPANESE = "灯台の番人は毎晩ランプに火をともした。"
WORDS = "the of and to in is it how what where water lamp bread city capital norway oslo north south 1871 ferry".split()


def wordpiece(bos: str, eos: str, pad: str, unk: str, double: bool, extra: str = "") -> Tokenizer:
    """A WordPiece tokenizer; `double` puts two separators between a pair, as RoBERTa does, and segment ids to 0."""
    pieces = [
        pad,
        unk,
        bos,
        eos,
        *WORDS,
        *ALPHABET,
        *(f"##{c}" for c in ALPHABET),
        *(c for c in extra if c not in ALPHABET),
    ]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return with_template(tokenizer, bos, eos, double)


def unigram(bos: str, eos: str, pad: str, unk: str, double: bool) -> Tokenizer:
    """A SentencePiece-like tokenizer, as XLM-R and DeBERTa have."""
    scores = [(pad, 0.0), (unk, 0.0), (bos, 0.0), (eos, 0.0), *((f"▁{w}", -2.0) for w in WORDS), ("▁", -4.0)]
    tokenizer = Tokenizer(models.Unigram([*scores, *((c, -5.0) for c in ALPHABET)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return with_template(tokenizer, bos, eos, double)


def byte_level(bos: str, eos: str, pad: str, unk: str, double: bool) -> Tokenizer:
    """A byte-level BPE tokenizer without merges, as ModernBERT's and RoBERTa's would be untrained."""
    pieces = [pad, unk, bos, eos, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return with_template(tokenizer, bos, eos, double)


def roberta(bos: str, eos: str, pad: str, unk: str, double: bool) -> Tokenizer:
    """A SentencePiece-like tokenizer with the ids of XLM-R's special tokens, and Vietnamese and Japanese letters."""
    words = [(f"▁{w}", -2.0) for w in WORDS]
    letters = [(c, -5.0) for c in dict.fromkeys(ALPHABET + "_" + VIETNAMESE + JAPANESE)]
    scores = [(bos, 0.0), (pad, 0.0), (eos, 0.0), (unk, 0.0), *words, ("▁", -4.0), *letters]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return with_template(tokenizer, bos, eos, double)


TOKENIZERS = {"wordpiece": wordpiece, "unigram": unigram, "byte_level": byte_level}  # of the golden token ids


def with_template(tokenizer: Tokenizer, bos: str, eos: str, double: bool) -> Tokenizer:
    second = 0 if double else 1
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}" if double else f"{bos}:0 $A:0 {eos}:0 $B:{second} {eos}:{second}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (bos, eos)],
    )
    return tokenizer
