"""Our token ids beside those of Transformers and SentencePiece, for tokenizers built from vocabulary files.

    python bench/token_ids.py record      # in the environment of `make token-ids-golden`
    python bench/token_ids.py compare     # writes bench/results/tokenizers.json

`record` trains small vocabularies on the lines of tests/tokenizer_texts.py, and writes them to tests/data/tokenizers/
with checksums of the ids that the slow tokenizers of Transformers 4 give to the lines. `compare` has Resift read them.

A line that holds a special token of the tokenizer is read by the reference with `split_special_tokens`, as plain text,
since that is what Resift does with all lines. Ids are recorded as one checksum for 20 lines.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random

from machine import machine

sys.path.pop(0)  # this folder has modules whose names are those of libraries
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.tokenizer_texts import BLOCK, CASES, DATA, checksums, lines, write_folder  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "tokenizers.json"
PIECES = 250_000
BRACKETS = "[PAD] [UNK] [CLS] [SEP] [MASK]".split()


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


def byte_level():
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(training_lines(), vocab_size=900, special_tokens=special, show_progress=False)
    with tempfile.TemporaryDirectory() as target:
        tokenizer.save_model(target)
        for name in ("vocab.json", "merges.txt"):
            yield f"roberta.{name}", (Path(target) / name).read_text("utf-8")


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
    yield "phobert.vocab.txt", common
    yield "phobert.bpe.codes", "".join(merges)


def rules(scratch):
    """The rules of nmt_nfkc for characters of the lines: the whole table would take 240 kB of each model."""
    content = train(scratch, normalization_rule_name="nmt_nfkc")
    table = charsmap(sentencepiece_proto(content).normalizer_spec.precompiled_charsmap)
    seen = {c for line in lines() for form in ("NFC", "NFD") for c in (*line, *unicodedata.normalize(form, line))}
    rows = (
        f"{' '.join(f'{ord(c):X}' for c in key)}\t{' '.join(f'{ord(c):X}' for c in value)}\n"
        for key, value in table.items()
        if set(key) <= seen
    )
    path = scratch / "rules.tsv"
    path.write_text("".join(rows))
    return path


def charsmap(content):
    """Every rule of a compiled table; the format is explained in src/resift/models/tokenizers/charsmap.py."""
    size = int.from_bytes(content[:4], "little")
    units, strings = memoryview(content[4 : 4 + size]).cast("I"), content[4 + size :]
    table, stack = {}, [(0, b"")]
    while stack:
        node, key = stack.pop()
        base = node ^ (units[node] >> 10 << ((units[node] & 0x200) >> 6))
        if units[node] & 0x100:
            value = units[base] & 0x7FFFFFFF
            table[key.decode()] = strings[value : strings.index(b"\0", value)].decode()
        for byte in range(1, 256):
            if base ^ byte < len(units) and units[base ^ byte] & 0x800000FF == byte:
                stack.append((base ^ byte, key + bytes([byte])))
    return table


def sentencepiece_proto(content):
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(content)


def train(scratch, **options):
    import sentencepiece

    target = scratch / "model"

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_lines()), model_prefix=str(target), minloglevel=2, hard_vocab_limit=False,
        **{"vocab_size": 900, "character_coverage": 0.99, **options},
    )  # fmt: skip
    proto = sentencepiece_proto(Path(f"{target}.model").read_bytes())
    proto.trainer_spec.ClearField("model_prefix")  # paths of this run
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto.SerializeToString()


def vocabularies(scratch):
    """Name -> content of a file; the names are those of tests/data/tokenizers/."""
    nmt = {"normalization_rule_tsv": str(rules(scratch))}
    identity = {"normalization_rule_name": "identity"}
    byte_fallback = {**identity, "model_type": "bpe", "byte_fallback": True, "remove_extra_whitespaces": False,
                     "vocab_size": 1300, "character_coverage": 0.98}  # fmt: skip
    yield "cased.vocab.txt", wordpiece(lower=False)
    yield "uncased.vocab.txt", wordpiece(lower=True)
    yield "japanese.vocab.txt", wordpiece(lower=False, words=mecab_words())
    yield from phobert()
    yield from byte_level()
    yield "unigram.model", train(scratch, **nmt)
    yield "identity.model", train(scratch, **identity)
    yield "bpe.model", train(scratch, model_type="bpe", **nmt)
    yield "t5.model", train(scratch, **nmt, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    yield "albert.model", train(
        scratch, **nmt, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]",
        user_defined_symbols="(,)",
    )  # fmt: skip
    yield "deberta.model", train(
        scratch, **nmt, pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]",
        unk_id=3, unk_piece="[UNK]",
    )  # fmt: skip
    yield "llama.model", train(scratch, **byte_fallback, allow_whitespace_only_pieces=True)
    yield "gemma.model", train(
        scratch, **byte_fallback, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, eos_piece="<eos>",
        bos_piece="<bos>", user_defined_symbols="\n\n,▁▁,<start_of_turn>,the,東京",
    )  # fmt: skip


def cases():
    """Name, vocabulary files, and settings; the first word of the name is the class, the rest what is special."""
    cased, uncased, japanese = ({"vocab.txt": f"{name}.vocab.txt"} for name in ("cased", "uncased", "japanese"))
    size, pho_size = (len((DATA / f"{name}.vocab.txt").read_text().split("\n")) - 1 for name in ("cased", "phobert"))
    pho = {"vocab.txt": "phobert.vocab.txt", "bpe.codes": "phobert.bpe.codes"}
    bytes_ = {"vocab.json": "roberta.vocab.json", "merges.txt": "roberta.merges.txt"}
    xlm, spiece, tokenizer = "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"
    mecab = {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "ipadic"}}

    def case(name, kind, files, other=None, **entries):
        return (
            name,
            files,
            {"tokenizer_config.json": {"tokenizer_class": f"{kind}Tokenizer", **entries}, **(other or {})},
        )

    yield case("bert-uncased", "Bert", uncased)
    yield case("bert-cased", "Bert", cased, do_lower_case=False)
    yield case("bert-accents", "Bert", uncased, strip_accents=False, tokenize_chinese_chars=False)
    words = {"added_tokens.json": {"newword": size, "[X]": size + 1}}
    words["special_tokens_map.json"] = {"additional_special_tokens": ["[X]"]}
    yield case("bert-added-words", "Bert", cased, words, do_lower_case=False)
    yield case("phobert", "Phobert", pho, {"added_tokens.json": {"<mask>": pho_size + 4}})
    yield case("roberta", "Roberta", bytes_)
    yield case("roberta-prefix-space", "Roberta", bytes_, add_prefix_space=True)
    ends = {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}}
    yield case("gpt2-prefix-space", "GPT2", bytes_, ends, add_bos_token=True, add_prefix_space=True)
    yield case("xlm-roberta", "XLMRoberta", {xlm: "unigram.model"})
    yield case("xlm-roberta-bpe", "XLMRoberta", {xlm: "bpe.model"})
    yield case("xlm-roberta-identity", "XLMRoberta", {xlm: "identity.model"})
    yield case("camembert", "Camembert", {xlm: "unigram.model"})
    yield case("albert", "Albert", {spiece: "albert.model"})
    yield case("albert-accents", "Albert", {spiece: "albert.model"}, do_lower_case=False, keep_accents=True)
    yield case("t5", "T5", {spiece: "t5.model"})
    yield case("t5-not-legacy", "T5", {spiece: "t5.model"}, legacy=False)
    yield case("mt5-no-extra-ids", "T5", {spiece: "t5.model"}, extra_ids=0)
    yield case("deberta-v2", "DebertaV2", {"spm.model": "deberta.model"})
    yield case("deberta-v2-lower", "DebertaV2", {"spm.model": "deberta.model"}, do_lower_case=True)
    yield case("llama", "Llama", {tokenizer: "llama.model"})
    yield case("llama-not-legacy", "Llama", {tokenizer: "llama.model"}, legacy=False, add_eos_token=True)
    yield case("gemma", "Gemma", {tokenizer: "gemma.model"})
    yield case("japanese-wordpiece", "BertJapanese", japanese, **mecab)
    yield case("japanese-lower", "BertJapanese", japanese, do_lower_case=True, **mecab)
    yield case("japanese-character", "BertJapanese", japanese, subword_tokenizer_type="character", **mecab)


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


def record(arguments):
    import sentencepiece
    import transformers

    texts, golden = lines(), {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in vocabularies(Path(scratch)):
            (DATA / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, files, settings in cases():
        golden[name] = {"files": files, "settings": settings}
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder), files, settings)
            rows, pair, segments = reference(Path(folder), texts)
        golden[name] |= {"pair": pair, "segments": segments, "blocks": checksums(rows)}
        if arguments.all:
            (Path(arguments.all) / f"{name}.json").write_text(json.dumps(rows))
        print(name, sum(map(len, rows)), "ids")
    by = f"Transformers {transformers.__version__}, SentencePiece {sentencepiece.__version__}"
    CASES.write_text(json.dumps({"by": by, "cases": golden}, ensure_ascii=False, separators=(",", ":")) + "\n")


def compare(arguments):
    from resift.models.folder import ModelFolder
    from resift.models.tokenizer import Tokens

    texts, rows, golden = lines(), [], json.loads(CASES.read_text())
    for name, case in golden["cases"].items():
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder), case["files"], case["settings"])
            ids = Tokens(ModelFolder(Path(folder))).ids(texts)
        blocks = [a == b for a, b in zip(checksums(ids), case["blocks"], strict=True)]
        differing = sum(not same for same in blocks) * BLOCK  # of so many lines at most
        rows.append({"tokenizer": name, "files": list(case["files"]), "lines": len(texts), "ids": sum(map(len, ids)),
                     "differing": differing})  # fmt: skip
        print(rows[-1])
        if arguments.all:
            expected = json.loads((Path(arguments.all) / f"{name}.json").read_text())
            for text, a, b in zip(texts, ids, expected, strict=True):
                if a != b:
                    print("  ", repr(text[:100]), a[:30], b[:30])
    seconds = {algorithm: round(build_seconds(algorithm), 2) for algorithm in ("unigram", "bpe")}
    print(seconds)
    result = {"by": golden["by"], "machine": machine(), "pieces": PIECES, "seconds to build": seconds, "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def build_seconds(algorithm):
    """Processor time to build a tokenizer from a .model file with many pieces, made of syllables: the least of five."""
    from tests.sentencepiece_files import FIRST, NORMAL, model

    from resift.models.folder import ModelFolder
    from resift.models.tokenizer import Tokens

    random, texts = Random(1), set("abcdefghijklmnopqrstuvwxyz▁")
    while len(texts) < PIECES:
        syllables = "".join(
            random.choice("bcdghklmnprst") + random.choice("aeiou") for _ in range(random.randint(1, 5))
        )
        texts.add(random.choice(["▁", ""]) + syllables + random.choice(["", "", "n", "s", "r"]))
    pieces = [*FIRST, *((text, -8 - i / 20000, NORMAL) for i, text in enumerate(sorted(texts, key=len)))]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sentencepiece.bpe.model").write_bytes(model(pieces, algorithm=1 + (algorithm == "bpe")))
        for _ in range(5):
            began = time.process_time()
            Tokens(ModelFolder(Path(folder)))
            seconds.append(time.process_time() - began)
    return min(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("--all", help="a folder for all ids of all lines, to see which line differs")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    {"record": record, "compare": compare}[options.what](options)
