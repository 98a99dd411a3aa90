#!/usr/bin/env python3
"""Writes a stand-in for BAAI/bge-m3 into a new directory: the same configuration, files and shapes, but random weights.

It serves tests of size and speed: 568 million parameters, 250,002 tokens, 8,194 positions, and a pytorch_model.bin of
2.3 GB instead of a model.safetensors. The tokenizer's pieces for English come from the vocabulary of the demo's model, so
that ordinary text becomes about as many tokens as with the real model; the rest are Chinese and Korean. Needs torch. The
same arguments write the same weights.
"""
import argparse
import itertools
import json
import math
import pathlib

import torch

HIDDEN, INNER, HEADS = 1024, 4096, 16
TOKENS, POSITIONS, PADDING = 250_002, 8194, 1
FIRST, LAST = ["<s>", "<pad>", "</s>", "<unk>"], "<mask>"
STANDARD_DEVIATION = 0.02
# Pieces taken from the English vocabulary; with as many, a word of plain text is 1.3 tokens, of medical text 1.5.
ENGLISH = 12_000


def config(layers):
    return {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "vocab_size": TOKENS,
        "hidden_size": HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": STANDARD_DEVIATION,
        "position_embedding_type": "absolute",
        "bos_token_id": 0,
        "pad_token_id": PADDING,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }


def pieces(words):
    """Pieces with their log probabilities, which fall with a word's rank by Zipf's law."""
    found = {"▁": -6.0}
    for rank, word in enumerate(words[:ENGLISH], start=1):
        score = round(-4.0 - math.log(rank), 4)
        if word.startswith("##"):
            found.setdefault(word[2:], score)
        else:
            # The vocabulary is in lower case; capitalised words, as at the start of a sentence, are rarer.
            found.setdefault("▁" + word, score)
            found.setdefault("▁" + word.capitalize(), round(score - 2.0, 4))
    hangul = [chr(code) for code in range(0xAC00, 0xD7A4)]
    han = [chr(code) for code in range(0x4E00, 0x9FA6)]
    characters = [chr(code) for code in range(0x21, 0x24F)]
    for piece in characters + han + hangul:
        found.setdefault(piece, -14.0)
    for pair in itertools.product(hangul, repeat=2):
        if len(found) == TOKENS - len(FIRST) - 1:
            return list(found.items())
        found.setdefault("".join(pair), -15.0)


def tokenizer(words):
    vocabulary = [(token, 0.0) for token in FIRST] + pieces(words) + [(LAST, 0.0)]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    special = [
        {
            "id": len(vocabulary) - 1 if token == LAST else FIRST.index(token),
            "content": token,
            "single_word": False,
            "lstrip": token == LAST,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in FIRST + [LAST]
    ]
    token = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    text = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("<s>"), text("A"), token("</s>")],
            "pair": [token("<s>"), text("A"), token("</s>"), token("</s>"), text("B"), token("</s>")],
            "special_tokens": {
                name: {"id": name, "ids": [FIRST.index(name)], "tokens": [name]} for name in ("<s>", "</s>")
            },
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False},
    }


def weights(layers):
    def linear(name, outputs, inputs):
        return {f"{name}.weight": random(outputs, inputs), f"{name}.bias": torch.zeros(outputs)}

    def norm(name):
        return {f"{name}.weight": torch.ones(HIDDEN), f"{name}.bias": torch.zeros(HIDDEN)}

    tensors = {
        "embeddings.word_embeddings.weight": random(TOKENS, HIDDEN),
        "embeddings.position_embeddings.weight": random(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": random(1, HIDDEN),
    }
    for name in ("word", "position"):
        tensors[f"embeddings.{name}_embeddings.weight"][PADDING] = 0.0
    tensors |= norm("embeddings.LayerNorm")
    for layer in range(layers):
        layer = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            tensors |= linear(f"{layer}.attention.self.{part}", HIDDEN, HIDDEN)
        tensors |= linear(f"{layer}.attention.output.dense", HIDDEN, HIDDEN)
        tensors |= norm(f"{layer}.attention.output.LayerNorm")
        tensors |= linear(f"{layer}.intermediate.dense", INNER, HIDDEN)
        tensors |= linear(f"{layer}.output.dense", HIDDEN, INNER)
        tensors |= norm(f"{layer}.output.LayerNorm")
    return tensors | linear("pooler.dense", HIDDEN, HIDDEN)


def random(*shape):
    return torch.empty(shape).normal_(0.0, STANDARD_DEVIATION)


def head(outputs):
    """One of bge-m3's other heads, which sentence-transformers does not read."""
    return {"weight": random(outputs, HIDDEN).half(), "bias": torch.zeros(outputs).half()}


def write_json(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=24, help="fewer make a smaller model [default: 24]")
    parser.add_argument(
        "--words",
        type=pathlib.Path,
        default=".deps/models/all-MiniLM-L6-v2/vocab.txt",
        help="a WordPiece vocabulary, frequent words first [default: the demo's model's]",
    )
    options = parser.parse_args()
    words = [word for word in options.words.read_text(encoding="utf-8").split("\n") if word and word[0] != "["]
    directory = options.directory
    directory.mkdir(parents=True)
    torch.manual_seed(0)
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind}" if index else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]
    pooling = {"word_embedding_dimension": HIDDEN} | {f"pooling_mode_{mode}": mode == modes[0] for mode in modes}
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": LAST,
    }
    write_json(directory / "config.json", config(options.layers))
    write_json(directory / "modules.json", modules)
    write_json(directory / "1_Pooling" / "config.json", pooling)
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": POSITIONS - 2, "do_lower_case": False})
    tokenizer_config = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": POSITIONS - 2}
    write_json(directory / "tokenizer_config.json", tokenizer_config | special)
    write_json(directory / "special_tokens_map.json", special)
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer(words), ensure_ascii=False), encoding="utf-8")
    torch.save(weights(options.layers), directory / "pytorch_model.bin")
    torch.save(head(HIDDEN), directory / "colbert_linear.pt")
    torch.save(head(1), directory / "sparse_linear.pt")


if __name__ == "__main__":
    main()
