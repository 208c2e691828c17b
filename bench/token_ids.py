"""Our token ids beside those of Transformers and SentencePiece, for tokenizers built from vocabulary files.

    python bench/token_ids.py record      # in the environment of `make .venv-tokenizers/installed`
    python bench/token_ids.py compare     # writes bench/results/tokenizers.json

`record` trains small vocabularies on the lines of tests/tokenizer_texts.py, writes them to tests/data/tokenizers/, and
beside each the ids that the slow tokenizers of Transformers 4 give to the lines. `compare` reads them with Resift.

A line that holds a special token of the tokenizer is read by the reference with `split_special_tokens`, as plain text,
since that is what Resift does with all lines. Ids are recorded as one checksum for 20 lines.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path
from zlib import crc32

sys.path.pop(0)  # this folder has modules whose names are those of libraries
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.tokenizer_texts import DATA, lines  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "tokenizers.json"
BLOCK = 20
HARD = 110  # of so many lines the ids themselves are recorded
BRACKETS = "[PAD] [UNK] [CLS] [SEP] [MASK]".split()


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            (folder / name).write_text(text, "utf-8")


# Vocabularies.


def training_lines():
    return [line for line in lines() if line.strip() and len(line) < 300]


def wordpiece(lower, words=None):
    """vocab.txt, with frequent words and all characters; every character may go on."""
    from transformers.models.bert.tokenization_bert import BasicTokenizer

    split = words or BasicTokenizer(do_lower_case=lower).tokenize
    counts, characters = Counter(), Counter()
    for line in training_lines():
        for word in split(line):
            for n in range(2, 7):
                counts[word[:n]] += 1
                if len(word) > n:
                    counts["##" + word[-n:]] += 1
            characters.update(c for c in word if not c.isspace())
    common = [w for w, _ in counts.most_common(700) if " " not in w]
    singles = [c for c, n in characters.most_common(600) if n > 1]
    pieces = dict.fromkeys([*BRACKETS, "[unused0]", *singles, *(f"##{c}" for c in singles), *common])
    return "".join(f"{piece}\n" for piece in pieces)


def byte_level(folder):
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(training_lines(), vocab_size=900, special_tokens=special, show_progress=False)
    with tempfile.TemporaryDirectory() as target:
        tokenizer.save_model(target)
        return {name: (Path(target) / name).read_text("utf-8") for name in ("vocab.json", "merges.txt")}


def phobert():
    """Merges as fastBPE learns them; rare pieces are left out of the vocabulary, as PhoBERT's are."""
    special = "<s> </s> <unk> <pad> <mask>".split()
    words = Counter(w for line in training_lines() for w in line.split() if not any(name in w for name in special))
    symbols = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    for _ in range(700):
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(symbols[word], symbols[word][1:], strict=False):
                pairs[pair] += n
        best, count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        merges.append(f"{best[0]} {best[1]} {count}\n")
        for parts in symbols.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = ["".join(best)]
                at += 1
    pieces = Counter()
    for word, n in words.items():
        for part in symbols[word]:
            pieces[part[:-4] if part.endswith("</w>") else part + "@@"] += n
    common = "".join(f"{piece} {n}\n" for piece, n in pieces.most_common() if n > 3)
    return {"vocab.txt": common, "bpe.codes": "".join(merges)}


def rules(folder):
    """The rules of nmt_nfkc whose characters are in the lines: the whole table would take 240 kB for each model."""
    import sentencepiece
    from resift_charsmap import read_charsmap

    target = folder / "full"
    train(target, normalization_rule_name="nmt_nfkc", vocab_size=900)
    proto = sentencepiece_proto(Path(f"{target}.model").read_bytes())
    table = read_charsmap(proto.normalizer_spec.precompiled_charsmap)
    seen = {c for line in lines() for form in ("NFC", "NFD") for c in unicodedata.normalize(form, line)} | set("\t\n\r")
    seen |= {c for line in lines() for c in line}
    rows = (
        f"{' '.join(f'{ord(c):X}' for c in key)}\t{' '.join(f'{ord(c):X}' for c in value)}\n"
        for key, value in table.items()
        if set(key) <= seen
    )
    path = folder / "rules.tsv"
    path.write_text("".join(rows))
    assert sentencepiece.__version__
    return path


def sentencepiece_proto(content):
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(content)


def train(target, **options):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_lines()), model_prefix=str(target), minloglevel=2, hard_vocab_limit=False,
        **{"vocab_size": 900, "character_coverage": 0.99, **options},
    )  # fmt: skip
    return Path(f"{target}.model").read_bytes()


def folders(scratch):
    """Name -> files. The class names the format, the rest of the name what is special about it."""
    nmt = {"normalization_rule_tsv": str(rules(scratch))}
    identity = {"normalization_rule_name": "identity"}
    unigram = train(scratch / "unigram", model_type="unigram", **nmt)
    first = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    t5 = train(scratch / "t5", model_type="unigram", **nmt, **first)
    albert = train(
        scratch / "albert", model_type="unigram", **nmt, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1,
        control_symbols="[CLS],[SEP]", user_defined_symbols="[MASK],(,)",
    )  # fmt: skip
    deberta = train(
        scratch / "deberta", model_type="unigram", **nmt, pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]",
        eos_id=2, eos_piece="[SEP]", unk_id=3, unk_piece="[UNK]",
    )  # fmt: skip
    llama = {"model_type": "bpe", **identity, "byte_fallback": True, "remove_extra_whitespaces": False,
             "vocab_size": 1300, "character_coverage": 0.98}  # fmt: skip
    llama_model = train(scratch / "llama", **llama, allow_whitespace_only_pieces=True)
    gemma = train(
        scratch / "gemma", **llama, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, eos_piece="<eos>",
        bos_piece="<bos>", user_defined_symbols="\n\n,▁▁,<start_of_turn>,the,東京",
    )  # fmt: skip
    bert = {"tokenizer_class": "BertTokenizer"}
    pho = phobert()
    roberta = byte_level(scratch)
    words = {"added_tokens.json": {"<mask>": len(pho["vocab.txt"].splitlines()) + 4}}
    mecab = {
        "tokenizer_class": "BertJapaneseTokenizer",
        "word_tokenizer_type": "mecab",
        "mecab_kwargs": {"mecab_dic": "ipadic"},
    }
    cased, uncased = wordpiece(False), wordpiece(True)
    size = len(cased.splitlines())
    yield "bert-uncased", {"vocab.txt": uncased, "tokenizer_config.json": bert}
    yield "bert-cased", {"vocab.txt": cased, "tokenizer_config.json": {**bert, "do_lower_case": False}}
    yield (
        "bert-accents",
        {
            "vocab.txt": uncased,
            "tokenizer_config.json": {**bert, "strip_accents": False, "tokenize_chinese_chars": False},
        },
    )
    yield "bert-added-words", {
        "vocab.txt": cased, "added_tokens.json": {"newword": size, "[X]": size + 1},
        "special_tokens_map.json": {"additional_special_tokens": ["[X]"]},
        "tokenizer_config.json": {**bert, "do_lower_case": False},
    }  # fmt: skip
    yield "phobert", {**pho, **words, "tokenizer_config.json": {"tokenizer_class": "PhobertTokenizer"}}
    yield "roberta", {**roberta, "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer"}}
    yield "roberta-prefix-space", {
        **roberta, "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}
    }  # fmt: skip
    yield (
        "gpt2",
        {
            **roberta,
            "tokenizer_config.json": {
                "tokenizer_class": "GPT2Tokenizer",
                "add_bos_token": True,
                "add_prefix_space": True,
            },
            "special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        },
    )
    yield (
        "xlm-roberta",
        {"sentencepiece.bpe.model": unigram, "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer"}},
    )
    yield (
        "xlm-roberta-bpe",
        {
            "sentencepiece.bpe.model": train(scratch / "bpe", model_type="bpe", **nmt),
            "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer"},
        },
    )
    yield (
        "xlm-roberta-identity",
        {
            "sentencepiece.bpe.model": train(scratch / "identity", **identity),
            "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer"},
        },
    )
    yield (
        "camembert",
        {"sentencepiece.bpe.model": unigram, "tokenizer_config.json": {"tokenizer_class": "CamembertTokenizer"}},
    )
    yield "albert", {"spiece.model": albert, "tokenizer_config.json": {"tokenizer_class": "AlbertTokenizer"}}
    yield "t5", {"spiece.model": t5, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer"}}
    yield (
        "t5-not-legacy",
        {"spiece.model": t5, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "legacy": False}},
    )
    yield (
        "mt5-no-extra-ids",
        {"spiece.model": t5, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}},
    )
    yield "deberta-v2", {"spm.model": deberta, "tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer"}}
    yield "deberta-v2-lower", {
        "spm.model": deberta, "tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True}
    }  # fmt: skip
    yield "llama", {"tokenizer.model": llama_model, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}}
    yield (
        "llama-not-legacy",
        {
            "tokenizer.model": llama_model,
            "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_eos_token": True},
        },
    )
    yield "gemma", {"tokenizer.model": gemma, "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer"}}
    japanese = wordpiece(False, mecab_words())
    yield "japanese-wordpiece", {"vocab.txt": japanese, "tokenizer_config.json": mecab}
    yield "japanese-lower", {"vocab.txt": japanese, "tokenizer_config.json": {**mecab, "do_lower_case": True}}
    yield "japanese-character", {
        "vocab.txt": japanese, "tokenizer_config.json": {**mecab, "subword_tokenizer_type": "character"}
    }  # fmt: skip


def mecab_words():
    from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

    return MecabTokenizer(mecab_dic="ipadic").tokenize


# Reference ids.


def reference(folder, texts):
    """The ids of texts without special tokens, and of one pair with them, by the slow tokenizer of Transformers."""
    import transformers

    config = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer = getattr(transformers, config["tokenizer_class"]).from_pretrained(str(folder))
    special = [name for name in tokenizer.all_special_tokens if name]

    def ids(text):
        plain = any(name in text for name in special)
        if plain and config["tokenizer_class"] == "BertTokenizer":  # whose `tokenize` forgets to pass it on
            return tokenizer.convert_tokens_to_ids(tokenizer._tokenize(text, split_special_tokens=True))
        return tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text, split_special_tokens=plain))

    pair = tokenizer("a lamp", "Oslo is big", return_token_type_ids=True)
    return [ids(text) for text in texts], pair["input_ids"], pair["token_type_ids"]


def checksums(rows):
    return [crc32(json.dumps(rows[i : i + BLOCK]).encode()) for i in range(0, len(rows), BLOCK)]


def record(arguments):
    import types

    import sentencepiece
    import transformers

    # Two modules of Resift, without Resift itself, which this environment does not have.
    source = (ROOT / "src/resift/models/tokenizers/charsmap.py").read_text()
    source = source.replace("from resift.models.tokenizers.text_steps import Substitution", "Substitution = object")
    module = types.ModuleType("resift_charsmap")
    exec(source, module.__dict__)
    sys.modules["resift_charsmap"] = module
    texts = lines()
    for old in (p for p in DATA.iterdir() if p.is_dir()):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory() as scratch:
        for name, files in folders(Path(scratch)):
            write(DATA / name, files)
            rows, pair, segments = reference(DATA / name, texts)
            versions = f"transformers {transformers.__version__}, sentencepiece {sentencepiece.__version__}"
            golden = {"by": versions, "pair": pair, "segments": segments, "ids": rows[:HARD], "blocks": checksums(rows)}
            (DATA / name / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
            if arguments.all:
                (Path(arguments.all) / f"{name}.json").write_text(json.dumps(rows))
            print(name, sum(map(len, rows)), "ids")


def compare(arguments):
    from resift.models.folder import ModelFolder
    from resift.models.tokenizer import Tokens

    texts, rows = lines(), []
    for folder in sorted(p for p in DATA.iterdir() if p.is_dir()):
        golden = json.loads((folder / "golden.json").read_text())
        ids = Tokens(ModelFolder(folder)).ids(texts)
        blocks = [a == b for a, b in zip(checksums(ids), golden["blocks"], strict=True)]
        rows.append({"tokenizer": folder.name, "lines": len(texts), "ids": sum(map(len, ids)),
                     "differing": sum(not same for same in blocks) * BLOCK, "by": golden["by"]})  # fmt: skip
        print(rows[-1])
        if arguments.all:
            expected = json.loads((Path(arguments.all) / f"{folder.name}.json").read_text())
            for text, a, b in zip(texts, ids, expected, strict=True):
                if a != b:
                    print("  ", repr(text[:100]), a[:30], b[:30])
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("--all", help="a folder for all ids of all lines, to see which line differs")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    {"record": record, "compare": compare}[options.what](options)
