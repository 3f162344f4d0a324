"""A GGUF file of a Llama model → an ordinary model folder: float32 weights, tokenizer, template, configs."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phichat.models.catalogue import CatalogueEntry

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader, ReaderTensor

# Names on both sides as llama.cpp's convert_hf_to_gguf.py and gguf-py's tensor_mapping.py have them.
_WHOLE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(source: Path, folder: Path, entry: CatalogueEntry, progress: Callable[[int, int], None]) -> None:
    """Write the model in `source` to `folder`; `progress` gets the bytes of weights written, and of all.

    Written tensor by tensor without torch: loading through transformers takes five times as long, its
    tokenizer lacks the pre-tokenizer that sets digits apart, and a model loaded so refuses to be saved.

    Raises:
        ValueError: the file is not of a kind that is understood here.
    """
    from gguf import GGUFReader

    reader = GGUFReader(source)
    meta = {name: field.contents() for name, field in reader.fields.items()}
    kind = tuple(
        meta.get(key) for key in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre")
    )
    if kind != ("llama", "gpt2", "smollm"):
        raise ValueError(f"{source.name} holds a model of an unknown kind: {kind}")
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    special = _special_ids(meta, entry)
    _write_json(folder / "config.json", _config(meta, tied) | special)
    _write_json(folder / "generation_config.json", special)
    _write_tokenizer(meta, folder, entry)
    _write_weights(reader, meta, folder / "model.safetensors", progress)


def _special_ids(meta: dict[str, Any], entry: CatalogueEntry) -> dict[str, Any]:
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": [tokens.index(token) for token in entry.stop_tokens],
        "pad_token_id": tokens.index(entry.pad_token),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _config(meta: dict[str, Any], tied: bool) -> dict[str, Any]:
    heads = meta["llama.attention.head_count"]
    theta = meta["llama.rope.freq_base"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": meta["llama.vocab_size"],
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": meta["llama.embedding_length"] // heads,
        "hidden_act": "silu",
        "max_position_embeddings": meta["llama.context_length"],
        # Stored as a 32-bit float: 9.99…e-06 is 1e-05.
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "dtype": "float32",
    }


def _write_tokenizer(meta: dict[str, Any], folder: Path, entry: CatalogueEntry) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    # "smollm" in llama.cpp: every digit alone, then GPT-2's pattern.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # TokenType.CONTROL
    kinds = meta["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == control
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[meta["tokenizer.ggml.bos_token_id"]],
            "eos_token": entry.stop_tokens[0],
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "pad_token": entry.pad_token,
            "model_max_length": meta["llama.context_length"],
            "clean_up_tokenization_spaces": False,
        },
    )
    template = meta["tokenizer.chat_template"]
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="")


def _write_weights(
    reader: GGUFReader, meta: dict[str, Any], path: Path, progress: Callable[[int, int], None]
) -> None:
    """Write a safetensors file: eight bytes of header length, the header as JSON, then the tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for tensor in reader.tensors:
        start, total = total, total + int(tensor.n_elements) * 4
        shape = [int(n) for n in reversed(tensor.shape)]
        header[_name(tensor.name)] = {"dtype": "F32", "shape": shape, "data_offsets": [start, total]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    done = 0
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for array in _arrays(reader, meta):
            file.write(array.tobytes())
            done += array.nbytes
            progress(done, total)


def _arrays(reader: GGUFReader, meta: dict[str, Any]) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    heads = {
        "attn_q": meta["llama.attention.head_count"],
        "attn_k": meta["llama.attention.head_count_kv"],
    }
    for tensor in reader.tensors:
        array = _dequantized(tensor)
        part = tensor.name.split(".")[-2]
        if part in heads:
            # llama.cpp keeps the two halves of every head's rotary dimensions interleaved.
            array = array.reshape(heads[part], -1, 2, array.shape[-1]).swapaxes(1, 2).reshape(array.shape)
        yield array


def _dequantized(tensor: ReaderTensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    import numpy as np
    from gguf.quants import dequantize

    array: np.ndarray[Any, np.dtype[np.float32]] = dequantize(tensor.data, tensor.tensor_type)
    return array.astype(np.float32, copy=False)


def _name(name: str) -> str:
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if block:
        return f"model.layers.{block[1]}.{_IN_BLOCK[block[2]]}.weight"
    return f"{_WHOLE[name.removesuffix('.weight')]}.weight"
