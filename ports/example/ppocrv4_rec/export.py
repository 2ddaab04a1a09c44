#!/usr/bin/env python3
"""export.py SOURCE DESTINATION: writes the files beside this script.

SOURCE has layer0/ and layer1/ with one .npy for each tensor of an attention layer: wq wk wv wo
[out, in], bq bk bv bo, the input x [batch, length, embed_dim], the output y of the model's own
engine and y64, the same computed in float64. DESTINATION gets, for each layer N, layerN.safetensors
(float32, names as in Hugging Face models) and layerN_x.npy, layerN_y.npy, layerN_y64.npy.
Needs Python alone; the same input gives the same bytes.
"""
import ast
import json
import pathlib
import shutil
import struct
import sys

NAMES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}


def read_npy(path):
    """(shape, bytes) of a float32 .npy of version 1.0 in C order."""
    data = path.read_bytes()
    if data[:8] != b"\x93NUMPY\x01\x00":
        sys.exit(f"{path}: not a .npy of version 1.0")
    begin = 10 + struct.unpack_from("<H", data, 8)[0]
    header = ast.literal_eval(data[10:begin].decode("latin-1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"{path}: not float32 in C order")
    return header["shape"], data[begin:]


def write_safetensors(path, tensors, metadata):
    """64-bit length of the header, JSON header padded with spaces to 8 bytes, numbers."""
    header = {"__metadata__": metadata}
    numbers = b""
    for name, (shape, data) in tensors.items():
        offsets = [len(numbers), len(numbers) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        numbers += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, destination = map(pathlib.Path, sys.argv[1:])
    for layer in ("layer0", "layer1"):
        tensors = {}
        for letter, name in NAMES.items():
            tensors[f"{name}.weight"] = read_npy(source / layer / f"w{letter}.npy")
            tensors[f"{name}.bias"] = read_npy(source / layer / f"b{letter}.npy")
        notice = f"attention {layer} of PP-OCRv4's text recogniser, extracted; see LICENSE.md"
        write_safetensors(destination / f"{layer}.safetensors", tensors,
                          {"format": "pt", "source": notice})
        for array in ("x", "y", "y64"):
            shutil.copyfile(source / layer / f"{array}.npy", destination / f"{layer}_{array}.npy")


main()
