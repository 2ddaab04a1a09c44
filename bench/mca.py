#!/usr/bin/env python3
"""mca.py BUILD [LLVM_MCA]: the inner loop of the NEON register tile against the issue limits of ARM
cores that are not at hand. BUILD is a build for aarch64 (`make test-aarch64` leaves one in
build/aarch64); LLVM_MCA defaults to llvm-mca-19 (Debian's llvm-19).

Every product of the library, GEMM and attention, runs through this loop. Its cycles for one k are
llvm-mca's; the limit is that of as many fused multiply-adds on registers that depend on nothing.
"""
import re
import subprocess
import sys

CPUS = ("cortex-a55", "cortex-a72", "neoverse-n1")
TILE = re.compile(r"_ZN4heed6N_NEON7RunTileILm(\d+)ELm(\d+)E\w*:$")
ITERATIONS = 200


def assembly(build):
    """The lines of gemm_f32.cc, compiled with the flags of the build."""
    subprocess.run(["make", "-s", "-C", f"{build}/lib", "kernels/gemm_f32.s"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(f"{build}/lib/CMakeFiles/heed.dir/kernels/gemm_f32.cc.s", encoding="utf-8") as file:
        return file.read().split("\n")


def functions(lines):
    """{(rows, vectors): body} of every register tile."""
    found, key = {}, None
    for line in lines:
        match = TILE.match(line)
        if match:
            key = (int(match.group(1)), int(match.group(2)))
            found[key] = []
        elif key is not None:
            found[key].append(line)
            if ".cfi_endproc" in line:
                key = None
    return found


def inner_loop(body):
    """The first innermost loop with multiply-adds: the one that runs for all k but the last."""
    labels = {}
    for index, line in enumerate(body):
        label = re.match(r"(\.L\d+):", line)
        if label:
            labels[label.group(1)] = index
        branch = re.match(r"\s+(?:b\.?\w*|cbn?z)\s+.*?(\.L\d+)$", line)
        if branch and branch.group(1) in labels:
            loop = body[labels[branch.group(1)] + 1:index + 1]
            if any("fmla" in text for text in loop):
                return [text for text in loop if not text.strip().startswith(".")]
    sys.exit("mca.py: no loop of multiply-adds")


def cycles(mca, cpu, text):
    command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", f"-iterations={ITERATIONS}"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", run.stdout).group(1)) / ITERATIONS


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    mca = sys.argv[2] if len(sys.argv) == 3 else "llvm-mca-19"
    tiles = functions(assembly(sys.argv[1]))
    rows, vectors = max(tiles)
    loop = inner_loop(tiles[(rows, vectors)])
    count = sum("fmla" in line for line in loop)
    spills = sum("[sp" in line for line in loop)
    print(f"{rows} x {vectors} vectors: {count} fmla in {len(loop)} instructions, "
          f"{spills} spills\n")
    print("| core | cycles for one k | limit | ratio |\n|---|---|---|---|")
    for cpu in CPUS:
        free = "\n".join(f"fmla v{8 + i % 24}.4s, v0.4s, v1.4s" for i in range(24))
        limit = cycles(mca, cpu, free) * count / 24
        actual = cycles(mca, cpu, "\n".join(loop))
        print(f"| {cpu} | {actual:.1f} | {limit:.1f} | {actual / limit:.2f} |")


main()
