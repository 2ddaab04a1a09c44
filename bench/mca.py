#!/usr/bin/env python3
"""mca.py BUILD [LLVM_MCA]: the inner loops of the 64-bit NEON register tiles against the issue
limits of ARM cores that are not at hand. BUILD is a build for aarch64 (`make test-aarch64` leaves
one in build/aarch64); LLVM_MCA defaults to llvm-mca-19 (Debian's llvm-19).

All float products of the library run through one tile (tile.cc), all products with int8 weights,
keys and values through another (tile_i8.cc), int4 weights through a third (gemm_i4.cc). Cycles for
one pass of a loop are llvm-mca's; the limit is that of as many multiply-adds on registers that
depend on nothing.
"""
import re
import subprocess
import sys

ITERATIONS = 200
# What multiplies, how it looks without dependences, the cores that have it.
FMLA = ("fmla", "fmla v{d}.4s, v0.4s, v1.4s", ("cortex-a55", "cortex-a72", "neoverse-n1"))
SMULL = ("smull|smlal|sadalp",
         "smull v{d}.8h, v0.8b, v1.8b\nsmlal v{d}.8h, v0.8b, v1.8b\nsadalp v{d}.4s, v0.8h",
         ("cortex-a55", "cortex-a72"))
SDOT = ("sdot", "sdot v{d}.4s, v0.16b, v1.16b", ("cortex-a55", "neoverse-n1", "neoverse-n2"))
SMMLA = ("smmla", "smmla v{d}.4s, v0.16b, v1.16b", ("cortex-a510", "neoverse-n2", "neoverse-v2"))
TILES = (
    ("tile", "RunTileILm6ELm4E", "float, 6 x 16", FMLA),
    ("tile", "RunTileILm4ELm4E", "float, 4 x 16", FMLA),
    ("tile_i8", "SmullTileILm2E", "int8 by smull, 2 x 16", SMULL),
    ("tile_i8", "DotprodTileILm4E", "int8 by sdot, 4 x 16", SDOT),
    ("tile_i8", "I8mmTileILm3E", "int8 by smmla, 6 x 16", SMMLA),
    ("gemm_i4", "DotprodInt4TileILm4ELm2E", "int4 by sdot, 4 x 8", SDOT),
)


def assembly(build, source):
    """The lines of a source of lib/kernels, compiled with the flags of the build."""
    subprocess.run(["make", "-s", "-C", f"{build}/lib", f"kernels/{source}.s"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(f"{build}/lib/CMakeFiles/heed.dir/kernels/{source}.cc.s", encoding="utf-8") as file:
        return file.read().split("\n")


def body_of(lines, name):
    """The instructions of the target NEON's function of that name."""
    start = next(i for i, line in enumerate(lines)
                 if re.match(rf"_ZN4heed6N_NEON\w*{name}\w*:$", line))
    end = next(i for i in range(start, len(lines)) if ".cfi_endproc" in lines[i])
    return lines[start:end]


def main_loop(body, multiply):
    """The innermost loop with the most multiply-adds."""
    labels, best = {}, []
    for index, line in enumerate(body):
        label = re.match(r"(\.L\d+):", line)
        if label:
            labels[label.group(1)] = index
        branch = re.match(r"\s+(?:b\.?\w*|cbn?z)\s+.*?(\.L\d+)$", line)
        if branch and branch.group(1) in labels:
            loop = body[labels[branch.group(1)] + 1:index + 1]
            if any(text.startswith(".L") for text in loop):
                continue
            loop = [text for text in loop if not text.strip().startswith(".")]
            best = max(best, loop, key=lambda loop: count_of(loop, multiply))
    return best


def count_of(loop, multiply):
    return sum(bool(re.match(rf"\s+({multiply})2?\s", line)) for line in loop)


def cycles(mca, cpu, text):
    command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm",
               f"-iterations={ITERATIONS}"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", run.stdout).group(1)) / ITERATIONS


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    mca = sys.argv[2] if len(sys.argv) == 3 else "llvm-mca-19"
    print("| loop | instructions | of them multiply-adds | spills | cycles of the limit |")
    print("|---|---|---|---|---|")
    sources = {source: assembly(sys.argv[1], source) for source in {tile[0] for tile in TILES}}
    for source, name, use, (multiply, free, cpus) in TILES:
        loop = main_loop(body_of(sources[source], name), multiply)
        count = count_of(loop, multiply)
        spills = sum("[sp" in line for line in loop)
        free_text = [line for d in range(8, 32) for line in free.format(d=d).split("\n")]
        free_text.sort(key=lambda line: line.split()[0])  # equal ones depend on nothing
        results = []
        for cpu in cpus:
            limit = cycles(mca, cpu, "\n".join(free_text)) / len(free_text) * count
            actual = cycles(mca, cpu, "\n".join(loop))
            results.append(f"{cpu} {actual:.1f} of {limit:.1f} = {actual / limit:.2f}")
        print(f"| {use} | {len(loop)} | {count} | {spills} | {', '.join(results)} |")


main()
