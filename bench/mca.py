#!/usr/bin/env python3
"""mca.py BUILD [LLVM_MCA]: the inner loops of the NEON register tile against the issue limits of
ARM cores that are not at hand. BUILD is a build for aarch64 (`make test-aarch64` leaves one in
build/aarch64); LLVM_MCA defaults to llvm-mca-19 (Debian's llvm-19).

Every product of the library runs through the tile, in the projections (gemm_f32.cc) and, compiled a
second time, in the attend tile (attend.cc): scores, of depth head_dim, and values, of depth 64. The
tile takes four k in one pass of its main loop and what remains of a depth in another loop. Cycles
for one k are llvm-mca's; the limit is that of as many fused multiply-adds on registers that depend
on nothing.
"""
import re
import subprocess
import sys

CPUS = ("cortex-a55", "cortex-a72", "neoverse-n1")
TILE = re.compile(r"_ZN4heed6N_NEON7RunTileILm(\d+)ELm(\d+)E\w*:$")
ITERATIONS = 200


def assembly(build, source):
    """The lines of a source of lib/kernels, compiled with the flags of the build."""
    subprocess.run(["make", "-s", "-C", f"{build}/lib", f"kernels/{source}.s"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(f"{build}/lib/CMakeFiles/heed.dir/kernels/{source}.cc.s", encoding="utf-8") as file:
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


def inner_loops(body):
    """The innermost loops with multiply-adds, the one with the most of them first."""
    labels, loops = {}, []
    for index, line in enumerate(body):
        label = re.match(r"(\.L\d+):", line)
        if label:
            labels[label.group(1)] = index
        branch = re.match(r"\s+(?:b\.?\w*|cbn?z)\s+.*?(\.L\d+)$", line)
        if branch and branch.group(1) in labels:
            loop = body[labels[branch.group(1)] + 1:index + 1]
            if any("fmla" in text for text in loop) and not any(".L" == text[:2] for text in loop):
                loops.append([text for text in loop if not text.strip().startswith(".")])
    if len(loops) < 2:
        sys.exit("mca.py: fewer than two loops of multiply-adds")
    return sorted(loops, key=fmlas, reverse=True)


def fmlas(loop):
    return sum("fmla" in line for line in loop)


def cycles(mca, cpu, text):
    command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", f"-iterations={ITERATIONS}"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", run.stdout).group(1)) / ITERATIONS


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    mca = sys.argv[2] if len(sys.argv) == 3 else "llvm-mca-19"
    print(f"| loop | fmla | instructions | spills | {' | '.join(CPUS)} |")
    print(f"|---|---|---|---|{'---|' * len(CPUS)}")
    free = "\n".join(f"fmla v{8 + i % 24}.4s, v0.4s, v1.4s" for i in range(24))
    limits = {cpu: cycles(mca, cpu, free) / 24 for cpu in CPUS}
    for source, use in (("gemm_f32", "projections"), ("attend", "scores and values")):
        tiles = functions(assembly(sys.argv[1], source))
        for rows, vectors in ((6, 4), (4, 4)):
            for loop, part in zip(inner_loops(tiles[(rows, vectors)]), ("", ", last k")):
                count = fmlas(loop)
                spills = sum("[sp" in line for line in loop)
                line = f"| {use}, {rows} x {vectors}{part} | {count} | {len(loop)} | {spills} |"
                for cpu in CPUS:
                    actual = cycles(mca, cpu, "\n".join(loop)) / count
                    line += (f" {actual * rows * vectors:.1f} of {limits[cpu] * rows * vectors:.1f}"
                             f" = {actual / limits[cpu]:.2f} |")
                print(line)


main()
