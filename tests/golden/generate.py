#!/usr/bin/python3
"""Writes tests/golden/data/{mha,sdpa}.zip: what PyTorch answers, for golden_test.cc.

Made with Debian 12's python3-torch 1.13.0 and python3-numpy; not needed to run the tests.
Each case is a folder in a stored (not compressed) zip: `case.txt` holds its scalars, one
"name value" a line, and each tensor is a .npy. The same torch gives the same bytes.

mha.zip   nn.MultiheadAttention, dropout 0. Gradients stay enabled, so that torch takes its
          documented path and not the fused one, whose NaN rules differ. y and weights are
          module(...) in float32; y64 and weights64 are module.double()(...) of the same numbers.
sdpa.zip  scaled_dot_product_attention. torch 1.13 has only a private one, without scale, grouped
          heads, softcap or window, so y64 is the definition in float64 torch operations; where the
          private function knows the case, it is asked too and must agree.

No row is fully masked: torch gives NaN there, and heed's rule (0) is tested in tests/unit.
"""
import io
import itertools
import math
import os
import zipfile

import numpy as np
import torch

SEED = 20240611
HERE = os.path.dirname(os.path.abspath(__file__))


class Archive:
    """A stored zip whose bytes depend on nothing but its contents."""

    def __init__(self, name):
        self.path = os.path.join(HERE, "data", name)
        self.zip = zipfile.ZipFile(self.path, "w", zipfile.ZIP_STORED)
        self.cases = 0

    def write(self, name, data):
        self.zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def case(self, name, scalars, tensors):
        text = "".join(f"{key} {value}\n" for key, value in scalars.items())
        self.write(f"{name}/case.txt", text)
        for key, tensor in tensors.items():
            if tensor is None:
                continue
            array = tensor.detach().numpy()
            if array.dtype == np.bool_:
                array = array.astype(np.uint8)
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(array))
            self.write(f"{name}/{key}.npy", buffer.getvalue())
        self.cases += 1

    def close(self):
        self.zip.close()
        print(f"{self.path}: {self.cases} cases, {os.path.getsize(self.path)} bytes")


def random_bool(*shape, percent):
    return torch.rand(*shape) < percent / 100.0


def attn_mask_of(kind, batch, heads, query_len, key_len):
    """None, a bool mask (True is ignored) or a float one, 2-D or [B * H, Sq, Sk]. Key 0 stays."""
    if kind == "none":
        return None
    if kind == "causal":  # top left, also where lengths differ
        return torch.ones(query_len, key_len, dtype=torch.bool).triu(1)
    shape = (query_len, key_len) if kind.endswith("2d") else (batch * heads, query_len, key_len)
    mask = random_bool(*shape, percent=40)
    mask[..., 0] = False
    if kind.startswith("bool"):
        return mask
    return torch.randn(*shape).masked_fill(mask & random_bool(*shape, percent=60), -math.inf)


def mha_case(archive, name, *, batch, query_len, key_len, embed_dim, num_heads, mask="none",
             padding="none", bias=True, kdim=None, vdim=None, bias_kv=False, zero_attn=False,
             weights="none", cross=False):
    """batch 0 is the unbatched form. Without `cross`, query, key and value are one tensor."""
    module = torch.nn.MultiheadAttention(
        embed_dim, num_heads, bias=bias, add_bias_kv=bias_kv, add_zero_attn=zero_attn, kdim=kdim,
        vdim=vdim, batch_first=True)
    with torch.no_grad():  # torch starts biases at 0 and weights small: neither tests anything
        for parameter in module.parameters():
            fan_in = parameter.shape[1] if parameter.dim() == 2 else 4
            parameter.copy_(torch.randn_like(parameter) / math.sqrt(fan_in))
    lead = (batch,) if batch else ()
    query = torch.randn(*lead, query_len, embed_dim)
    separate_value = vdim is not None or kdim is not None
    key = torch.randn(*lead, key_len, kdim or embed_dim) if cross else query
    value = torch.randn(*lead, key_len, vdim or embed_dim) if separate_value else key

    attn_mask = attn_mask_of(mask, batch or 1, num_heads, query_len, key_len)
    key_padding = None
    if padding != "none":
        key_padding = random_bool(*lead, key_len, percent=30)
        key_padding[..., 0] = False
    if padding == "float":
        key_padding = torch.randn(*lead, key_len).masked_fill(key_padding, -math.inf)

    def run(m, dtype):
        def cast(t):
            return t if t is None or t.dtype == torch.bool else t.to(dtype)
        return m(cast(query), cast(key), cast(value), attn_mask=cast(attn_mask),
                 key_padding_mask=cast(key_padding), need_weights=weights != "none",
                 average_attn_weights=weights == "average")

    y, w = run(module, torch.float32)
    parameters = dict(module.named_parameters())
    tensors = {"query": query, "key": key if cross else None,
               "value": value if separate_value else None}
    if module._qkv_same_embed_dim:
        parts = module.in_proj_weight.chunk(3)
    else:
        parts = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    tensors.update(zip(("q_weight", "k_weight", "v_weight"), [p.clone() for p in parts]))
    tensors["out_weight"] = module.out_proj.weight.clone()
    if bias:
        tensors.update(zip(("q_bias", "k_bias", "v_bias"),
                           [p.clone() for p in module.in_proj_bias.chunk(3)]))
        tensors["out_bias"] = module.out_proj.bias.clone()
    for added in ("bias_k", "bias_v"):
        if parameters.get(added) is not None:
            tensors[added] = parameters[added].reshape(-1).clone()
    if attn_mask is not None:
        tensors["attn_ignore" if attn_mask.dtype == torch.bool else "attn_bias"] = attn_mask
    if key_padding is not None:
        tensors["key_padding" if padding == "bool" else "key_padding_bias"] = key_padding
    y64, w64 = run(module.double(), torch.float64)
    tensors.update(y=y, y64=y64, weights=w, weights64=w64)
    assert torch.isfinite(y64).all(), name
    scalars = {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": kdim or embed_dim,
               "vdim": vdim or embed_dim, "add_zero_attn": int(zero_attn),
               "causal": int(mask == "causal"), "weights": weights}
    archive.case(name, scalars, tensors)


def mha_cases(archive):
    # Every mask with every padding and every added key; the other options take turns, with
    # periods that share no factor, so that pairs of options meet.
    masks = ["none", "bool2d", "bool3d", "float2d", "float3d", "causal"]
    paddings = ["none", "bool"]
    added = [(False, False), (True, False), (False, True), (True, True)]
    turns = itertools.count()
    for mask, padding, (bias_kv, zero_attn) in itertools.product(masks, paddings, added):
        turn = next(turns)
        cross = turn % 3 != 0
        embed_dim, num_heads = [(8, 2), (12, 3), (8, 8), (10, 1), (24, 4)][turn % 5]
        query_len = 1 + turn % 7
        dims = cross and turn % 2 == 1
        mha_case(archive, f"mha{turn:02d}_{mask}_{padding}", batch=[1, 2, 3, 0][turn * 3 % 4],
                 query_len=query_len, key_len=1 + turn * 2 % 9 if cross else query_len,
                 embed_dim=embed_dim, num_heads=num_heads, mask=mask, padding=padding,
                 bias=turn % 11 % 2 == 0, kdim=6 if dims else None,
                 vdim=10 if dims and turn % 4 == 1 else None, bias_kv=bias_kv,
                 zero_attn=zero_attn, weights=["none", "average", "heads"][turn % 13 % 3],
                 cross=cross)
    # torch 1.13 takes a float key_padding_mask where there is no attn_mask.
    for turn, (bias_kv, zero_attn) in enumerate(added):
        mha_case(archive, f"float_padding{turn}", batch=turn, query_len=4, key_len=5, embed_dim=8,
                 num_heads=2, padding="float", bias_kv=bias_kv, zero_attn=zero_attn,
                 weights="heads", cross=True)
    # Across the block of 64 keys and the tile of queries.
    mha_case(archive, "long_self", batch=1, query_len=70, key_len=70, embed_dim=16, num_heads=2,
             weights="average")
    mha_case(archive, "long_causal", batch=2, query_len=67, key_len=67, embed_dim=8, num_heads=2,
             mask="causal", padding="bool", bias_kv=True, zero_attn=True)
    mha_case(archive, "long_keys", batch=1, query_len=3, key_len=133, embed_dim=12, num_heads=2,
             mask="float3d", cross=True, weights="heads")
    mha_case(archive, "long_queries", batch=1, query_len=75, key_len=5, embed_dim=8, num_heads=1,
             mask="causal", cross=True, bias_kv=True)


def sdpa_definition(q, k, v, keep, bias, scale, softcap, causal, offset, window):
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    scores = (q * (scale or 1.0 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    position = torch.arange(q.shape[2]).reshape(-1, 1) + offset
    keys = torch.arange(k.shape[2]).reshape(1, -1)
    if causal or window:
        scores = scores.masked_fill(keys > position, -math.inf)
    if window:
        scores = scores.masked_fill(keys <= position - window, -math.inf)
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    weights = torch.softmax(scores, -1)
    return weights @ v, weights


def sdpa_case(archive, name, *, batch=2, heads=2, kv_heads=None, query_len=5, key_len=6,
              head_dim=4, value_dim=None, keep=None, bias=None, scale=0.0, softcap=0.0,
              causal=False, offset=0, window=0):
    """keep and bias are mask shapes."""
    q = torch.randn(batch, heads, query_len, head_dim)
    k = torch.randn(batch, kv_heads or heads, key_len, head_dim)
    v = torch.randn(batch, kv_heads or heads, key_len, value_dim or head_dim)
    scale, softcap = float(np.float32(scale)), float(np.float32(softcap))
    if keep is not None:
        keep = random_bool(*keep, percent=60)
        keep[..., 0] = True
    if bias is not None:
        bias = torch.randn(*bias).masked_fill(random_bool(*bias, percent=25), -math.inf)
        bias[..., 0] = 0.5

    def run(dtype):
        return sdpa_definition(q.to(dtype), k.to(dtype), v.to(dtype), keep,
                               None if bias is None else bias.to(dtype), scale, softcap, causal,
                               offset, window)

    y, _ = run(torch.float32)
    y64, w64 = run(torch.float64)  # the weights are stored rounded to float, to keep the file small
    assert torch.isfinite(y64).all(), name
    num_masks = (keep is not None) + (bias is not None) + causal
    if num_masks <= 1 and not (scale or softcap or offset or window or kv_heads):
        mask = keep if keep is not None else bias
        if mask is not None:
            mask = mask.expand(batch, heads, query_len, key_len)
            mask = mask if mask.dtype == torch.bool else mask.double()
        theirs, _ = torch.nn.functional._scaled_dot_product_attention(
            q.double(), k.double(), v.double(), mask, is_causal=causal)
        assert torch.allclose(theirs, y64, rtol=1e-12, atol=1e-13), name
    scalars = {"scale": scale, "softcap": softcap, "causal": int(causal), "offset": offset,
               "window": window}
    archive.case(name, scalars, {"query": q, "key": k, "value": v, "keep": keep, "bias": bias,
                                 "y": y, "y64": y64, "weights64": w64.float()})


def sdpa_cases(archive):
    sdpa_case(archive, "plain")
    sdpa_case(archive, "one_of_each", batch=1, heads=1, query_len=1, key_len=1, head_dim=1)
    sdpa_case(archive, "scale", scale=0.3)
    sdpa_case(archive, "value_dim", value_dim=7)
    sdpa_case(archive, "grouped", heads=6, kv_heads=2, value_dim=3)
    sdpa_case(archive, "one_kv_head", heads=4, kv_heads=1, scale=0.7, causal=True)
    for keep in [(5, 6), (2, 1, 5, 6), (2, 2, 5, 6), (1, 2, 1, 6), (2, 1, 1, 6), (1, 1, 5, 1)]:
        sdpa_case(archive, "keep_" + "_".join(map(str, keep)), keep=keep)
        sdpa_case(archive, "bias_" + "_".join(map(str, keep)), bias=keep)
    sdpa_case(archive, "keep_and_bias", keep=(2, 1, 5, 6), bias=(1, 2, 5, 6), heads=2)
    sdpa_case(archive, "keep_and_causal", keep=(5, 6), causal=True, scale=1.5)
    sdpa_case(archive, "causal_square", query_len=6, causal=True)
    sdpa_case(archive, "causal_wide", query_len=3, key_len=8, causal=True)
    sdpa_case(archive, "causal_tall", query_len=9, key_len=4, causal=True)
    sdpa_case(archive, "causal_offset", query_len=3, key_len=8, causal=True, offset=4)
    sdpa_case(archive, "window", query_len=9, key_len=9, window=3)
    sdpa_case(archive, "window_offset", query_len=4, key_len=9, window=2, offset=4)
    sdpa_case(archive, "softcap", softcap=1.5)
    sdpa_case(archive, "softcap_and_bias", softcap=0.8, bias=(5, 6), kv_heads=1)
    sdpa_case(archive, "long", batch=1, query_len=50, key_len=140, head_dim=8, kv_heads=1)
    sdpa_case(archive, "long_causal", batch=1, heads=1, query_len=130, key_len=130, head_dim=3,
              causal=True)
    sdpa_case(archive, "long_window", batch=1, heads=2, query_len=70, key_len=140, head_dim=3,
              window=60, offset=70, softcap=5.0)
    sdpa_case(archive, "sharp", batch=1, query_len=9, key_len=70, head_dim=16, scale=4.0)


def main():
    torch.manual_seed(SEED)
    for name, cases in (("mha.zip", mha_cases), ("sdpa.zip", sdpa_cases)):
        archive = Archive(name)
        cases(archive)
        archive.close()


if __name__ == "__main__":
    main()
