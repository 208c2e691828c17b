"""A decoder is trained as a reranker by its logits of yes and no, and sentence-transformers alone runs it after."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resift
from resift.errors import InputError, UnknownFamily
from resift.train.neural.decoder import INSTRUCT, SYSTEM, open_decoder, template_for
from resift.train.neural.dry_run import dry_run
from resift.train.neural.plan import Plan, make_plan
from resift.train.neural.reranker import TRAINABLE
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from tests.train.neural import tiny

PAIRS = [("what is the water", "the lamp of oslo"), ("where is bread", "the ferry in the north of the city " * 9)]
MARKS = ("<|im_start|>", "<|im_end|>", "<pad>")


def decoder(folder: Path, answers: tuple[str, ...] = ("yes", "no")) -> Path:
    """A Llama of two layers, with a tokenizer of whole words and the marks of a chat."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = f"{SYSTEM} {INSTRUCT} Query Document system user assistant lamp ferry".replace('"', " ").replace(".", " ")
    pieces = [*MARKS, "<unk>", "\n", *'<>:".,', *answers, *tiny.FILLERS, *"0123456789"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, *words.split()]))}
    if "yes" not in answers:
        vocabulary.pop("yes", None)
    vocabulary = {piece: i for i, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]"), "removed", invert=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    fast.save_pretrained(folder)
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decoder(tmp_path_factory.mktemp("decoder"))


def plan_of(base: Path, **changes: Any) -> Plan:
    values = {
        "learning_rate": 1e-2, "epochs": 3.0, "evaluations": 3, "candidates": "given", "precision": "f32", "lora": 4,
        "warmup": 0.0, "force": True, "losses": ("group-softmax",), **changes,
    }  # fmt: skip
    return make_plan([tiny.examples()], TrainingSettings(str(base), **values))


def logits(folder: Path) -> np.ndarray:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu")
    return np.asarray(model.predict(PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False))


def test_a_score_is_the_logit_of_yes_minus_that_of_no_behind_the_prompt(base: Path) -> None:
    """By transformers alone, with the prompt written out."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from resift.models.folder import ModelFolder

    opened = open_decoder(ModelFolder(base), 1, None, "f32")
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    expected = []
    for query, document in PAIRS:
        prompt = (
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<Instruct>: {INSTRUCT}\n<Query>: {query}\n"
            f"<Document>: {document}<|im_end|>\n<|im_start|>assistant\n"
        )
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            last = model(**ids).logits[0, -1]
        yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
        expected.append(float(last[yes] - last[no]))
    assert opened.score(PAIRS) == pytest.approx(expected, abs=1e-5)


def test_adapters_learn_and_what_is_written_scores_the_same(base: Path, tmp_path: Path) -> None:
    report = train(plan_of(base), tmp_path / "out")
    row = report.comparisons[0]
    assert row.trained > row.base + 0.1
    assert set(report.reload_delta) == {"peft", "sentence-transformers"} and max(report.reload_delta.values()) < 1e-4
    settings = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert settings["task_type"] == "CAUSAL_LM" and settings["base_model_name_or_path"] == str(base)
    assert np.isfinite(logits(tmp_path / "out")).all()
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "run what is written with sentence-transformers" in card and "prompt of Qwen3-Reranker" in card
    with pytest.raises(UnknownFamily, match="run it with sentence-transformers"):
        resift.load(str(tmp_path / "out"))
    again = TRAINABLE.open(plan_of(tmp_path / "out"), "f32")  # it is a reranker now, and is trained further as such
    assert again.score(PAIRS) == pytest.approx(logits(tmp_path / "out"), abs=1e-5) and len(again.notes) == 1


def test_adapters_alone_are_trained_and_all_weights_without_them(base: Path) -> None:
    adapted = TRAINABLE.open(plan_of(base), "f32").model
    assert {name.split(".")[-3] for name, p in adapted.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}
    assert all(p.requires_grad for p in TRAINABLE.open(plan_of(base, lora=0), "f32").model.parameters())


def test_all_weights_can_be_trained(base: Path, tmp_path: Path) -> None:
    report = train(plan_of(base, lora=0, epochs=1.0, losses=("bce",)), tmp_path / "out")
    assert set(report.reload_delta) == {"sentence-transformers"} and report.out


def test_the_dry_run_shows_the_prompt_at_its_seams(base: Path) -> None:
    look = dry_run(plan_of(base, max_tokens=120))
    shown = look.examples[0]
    parts = shown.text.split(" | ")
    assert len(parts) == 5
    assert parts[0].startswith("<|im_start|> system \n Judge") and parts[0].endswith("< Query > :")
    assert parts[1].startswith("what is the water") and parts[2].endswith("< Document > :")
    assert parts[4].startswith("<|im_end|> \n <|im_start|> assistant")
    assert shown.tokens <= 120 and not shown.cut


def test_a_document_is_cut_before_the_end_of_the_prompt(base: Path) -> None:
    opened = TRAINABLE.open(plan_of(base, max_tokens=90), "f32")
    seen = opened.kind.seen(opened.model, PAIRS[1])
    assert seen.cut and seen.tokens == 90 and seen.text.endswith("<|im_end|> \n <|im_start|> assistant \n")
    assert not opened.kind.fits(opened.model, PAIRS[1])


def test_a_limit_that_leaves_no_room_for_texts_is_refused(base: Path) -> None:
    with pytest.raises(InputError, match=r"has \d+ tokens without the texts; max_tokens is \d+ at least, not 64"):
        TRAINABLE.open(plan_of(base, max_tokens=64), "f32")


def test_what_has_no_single_token_for_yes_is_refused(tmp_path: Path) -> None:
    folder = decoder(tmp_path, answers=("no",))
    with pytest.raises(UnknownFamily, match="no single token for 'yes' and for 'no'"):
        TRAINABLE.open(plan_of(folder), "f32")


def test_heads_at_inner_layers_are_refused(base: Path) -> None:
    with pytest.raises(InputError, match="heads at inner layers are those of encoders"):
        TRAINABLE.open(plan_of(base, lora=0, heads=(1,)), "f32")


def test_a_loss_of_two_outputs_is_refused(base: Path) -> None:
    with pytest.raises(InputError, match="gives one logit"):
        TRAINABLE.open(plan_of(base, losses=("ce",)), "f32")


def test_without_marks_of_a_chat_the_prompt_is_lines() -> None:
    import jinja2

    template = jinja2.Template(template_for({"yes": 0, "no": 1}))
    text = template.render(messages=[{"role": "query", "content": "q"}, {"role": "document", "content": "d"}])
    assert text == f"{SYSTEM}\n<Instruct>: {INSTRUCT}\n<Query>: q\n<Document>: d\nAnswer:"
    told = [{"role": "system", "content": "find code"}, {"role": "query", "content": "q"}]
    assert "<Instruct>: find code\n<Query>: q" in template.render(messages=told)
    assert template_for({"<|im_start|>": 0, "<|im_end|>": 1, "<think>": 2}).count("<think>") == 1
