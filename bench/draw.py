#!/usr/bin/env python3
"""draw.py RESULTS.json NAME: NAME.md, the tables of ratios, and NAME.svg, percent of peak as bars.

There is no picture of cold and masked rows, and no NAME.svg where the results have no others.
Standard library only. RESULTS.json is what heed_bench --benchmark_out writes.
"""
import json
import sys

PEER_COLORS = {"oneDNN": "#d98c3f", "OpenBLAS": "#7a9e4b", "XNNPACK": "#a05195",
               "heed+XNNPACK": "#888888"}
HEED_COLORS = ["#1b6ca8", "#7fb3d8", "#0b3c5d", "#5bb5b0", "#2a7f7a"]
BAR, GAP, LEFT, RIGHT, TOP, PANEL = 11, 12, 130, 40, 80, 430
WEIGHTS = ["f32", "bf16", "int8", "int4"]
INT8 = "heed-int8-core8"
UNMASKED = "-unmasked"


def load(path):
    """Context, and for each shape its contestants in order: {shape: {name: figures}}."""
    with open(path) as file:
        results = json.load(file)
    shapes = {}
    for row in results["benchmarks"]:
        if "median_us" in row:
            shape, name = row["name"].split("/")[:2]
            shapes.setdefault(shape, {})[name] = row
    return results["context"], shapes


def is_f32(row):
    return row["weights"] == 0 and row["int8_core"] == 0


def names_of(shapes, wanted):
    """The contestants for whose figures wanted() holds, in order."""
    names = []
    for contestants in shapes.values():
        names += [name for name, row in contestants.items()
                  if not name.startswith("read") and wanted(row) and name not in names]
    return names


def mask_table(shapes):
    """Masks that hide nothing: a row for each shape, heed's types side by side."""
    names = [name for name in names_of(shapes, lambda row: True) if not name.endswith(UNMASKED)]
    rows = []
    for shape, contestants in shapes.items():
        cells, must = [], ""
        for name in names:
            row = contestants.get(name)
            cells.append(f"{row['median_us']:.1f} ({row['unmasked_ratio']:.2f})" if row else "")
            must = f"{row['must']:.2f}" if row else must
        rows.append([shape] + cells + [must])
    if not rows:
        return []
    title = ("Masks that hide nothing: median us (over that of the same call without the mask).")
    return [title, ""] + grid(["shape"] + names + ["must"], rows)


def machine(context):
    return (f"{context['cpu']}, {context['clock']}, one of {context['num_cpus']} CPUs, heed on "
            f"{context['heed_target']}, compiler {context['compiler']}, {context['date'][:10]}, "
            f"threads: {context['threads']}; {context['peers']}")


def grid(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---|" + "--:|" * (len(header) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def numbers(row, keys):
    return [f"{row[key]:.2f}" if row and row.get(key) else "" for key in keys]


def f32_table(shapes):
    names = names_of(shapes, is_f32)
    heed = next((name for name in names if name.startswith("heed")), None)
    rows = []
    for shape, contestants in shapes.items():
        cells = []
        for name in names:
            row = contestants.get(name)
            cells.append(f"{row['median_us']:.1f} ({row['percent_of_peak']:.0f} %)" if row else "")
        row = contestants.get(heed)
        cells += numbers(row, ["ratio", "ratio_at_peak", "must", "aims"])
        rows.append([shape] + cells + [f"{row['error']:.1e}" if row else ""])
    if not names:
        return []
    title = ("f32: median us (percent of the core's f32 peak); ratio: heed's median over oneDNN's; "
             "at peak: that of a layer at the f32 peak; error: max |y - exact| / max |exact|.")
    header = ["shape"] + names + ["ratio", "at peak", "must", "aims", "error"]
    return [title, ""] + grid(header, rows)


def quantized_table(shapes):
    names = names_of(shapes, lambda row: not is_f32(row))
    rows = []
    for shape, contestants in shapes.items():
        cells = []
        for name in names:
            row = contestants.get(name)
            error = f"{100 * row['error']:.2g} %" if row else ""
            cells.append(f"{row['ratio']:.2f} ({error})" if row else "")
        goal = contestants.get(INT8)
        us = f"{goal['median_us']:.1f}" if goal else ""
        rows.append([shape] + cells + [us] + numbers(goal, ["must", "aims"]))
    if not names:
        return []
    title = ("Fewer bits: median over that of oneDNN's f32 layer (error: ||y - exact|| / "
             f"||exact||); us, must and aims of {INT8}.")
    return [title, ""] + grid(["shape"] + names + ["us", "must", "aims"], rows)


def cold_table(shapes):
    """A row for each shape and type of weights."""
    rows = []
    for shape, contestants in shapes.items():
        for number, weights in enumerate(WEIGHTS):
            of_type = {name: row for name, row in contestants.items() if row["weights"] == number}
            heed = next((row for row in of_type.values() if "floor_ratio" in row), None)
            if heed is None:
                continue
            peers = ", ".join(f"{name} {row['median_us']:.0f}" for name, row in of_type.items()
                              if not name.startswith("read") and row is not heed)
            binds = "memory" if heed["memory_us"] > heed["arithmetic_us"] else "arithmetic"
            rows.append([shape, weights, f"{heed['median_us']:.0f}", peers,
                         f"{heed['memory_us']:.0f}", f"{heed['arithmetic_us']:.0f}", binds,
                         f"{heed['floor_ratio']:.2f}", f"{heed['must']:.2f}"])
    if not rows:
        return []
    title = ("One row, weights from memory: median us; memory: of reading the weights; arithmetic: "
             "of the multiply-adds at the one-row rate; the larger is the floor.")
    header = ["shape", "weights", "heed", "others", "memory", "arithmetic", "binds",
              "heed / floor", "must"]
    return [title, ""] + grid(header, rows)


def step_table(shapes):
    """Steps with a cache: a row for each shape and each of heed's types."""
    rows = []
    for shape, contestants in shapes.items():
        for name, heed in contestants.items():
            if "floor_ratio" not in heed:
                continue
            binds = "memory" if heed["memory_us"] > heed["arithmetic_us"] else "arithmetic"
            touched = heed["touched_bytes"]
            error = (f"{heed['error']:.1e}" if name == "heed" else f"{100 * heed['error']:.2g} %")
            rows.append([shape, name, f"{heed['median_us']:.0f}", f"{touched / 1e6:.2f}",
                         f"{touched / heed['memory_us'] / 1e3:.1f}", f"{heed['memory_us']:.0f}",
                         f"{heed['projection_rate'] / 1e9:.0f}, {heed['attention_rate'] / 1e9:.0f}",
                         f"{heed['arithmetic_us']:.0f}", binds, f"{heed['floor_ratio']:.2f}",
                         error])
    if not rows:
        return []
    title = ("One token with a cache, weights and cache from memory: median us; the bytes touched "
             "and the bandwidth of reading as many; the time of that read; the rates of projections "
             "and attention in multiply-adds per ns, and the time of both at these rates; heed's "
             "median over the larger of the two times, at most 1.25; error.")
    header = ["shape", "types", "us", "MB", "GB/s", "memory", "rates", "arithmetic", "binds",
              "/ floor", "error"]
    return [title, ""] + grid(header, rows) + step_peers(shapes)


def step_peers(shapes):
    """The peers beside heed in f32, and beside its int8 layers."""
    rows = []
    names = names_of(shapes, lambda row: "floor_ratio" not in row)
    names = ["heed", "heed-int8", "heed-int8-kv8", INT8] + names
    for shape, contestants in shapes.items():
        rows.append([shape] + [f"{contestants[name]['median_us']:.0f}"
                               if name in contestants else "" for name in names])
    return ["The same, beside peers: median us.", ""] + grid(["shape"] + names, rows)


def is_cold(rows):
    return any(name.startswith("read") for name in rows)


def is_step(rows):
    """Whether there is a cache."""
    return any(row.get("cached") for row in rows.values())


def is_masked(rows):
    """Whether heed is compared with itself, without a mask that hides nothing."""
    return any(name.endswith(UNMASKED) for name in rows)


def against_peers(shapes):
    return {shape: rows for shape, rows in shapes.items()
            if not is_cold(rows) and not is_masked(rows)}


def table(context, shapes):
    warm = against_peers(shapes)
    cold = {shape: rows for shape, rows in shapes.items() if is_cold(rows) and not is_step(rows)}
    steps = {shape: rows for shape, rows in shapes.items() if is_step(rows)}
    masked = {shape: rows for shape, rows in shapes.items() if is_masked(rows)}
    return "\n".join([f"{machine(context)}.", ""] + f32_table(warm) + quantized_table(warm) +
                     mask_table(masked) + cold_table(cold) + step_table(steps))


def text(x, y, content, anchor="start", size=12, color="#222222"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{color}">{content}</text>')


def colors_of(names):
    """A peer keeps its color in all its forms; heed's forms are blues and greens."""
    heed = [name for name in names if name.split("-")[0] not in PEER_COLORS]
    colors = {name: HEED_COLORS[i % len(HEED_COLORS)] for i, name in enumerate(heed)}
    return {name: colors.get(name) or PEER_COLORS[name.split("-")[0]] for name in names}


def panel(shapes, names, left, height):
    """Bars of some contestants, all shapes one below the other."""
    top = max([100] + [row["percent_of_peak"] for rows in shapes.values()
                       for name, row in rows.items() if name in names])
    scale, colors = PANEL / top, colors_of(names)
    step = 20 if top < 150 else 50
    parts, y = [], TOP + BAR
    bottom = TOP + BAR + len(shapes) * (height + GAP)
    for tick in range(0, int(top) + 1, step):
        x = left + tick * scale
        parts.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{bottom}" stroke="#dddddd"/>')
        parts.append(text(x, bottom + 14, f"{tick} %", "middle", 10))
    for rows in shapes.values():
        for i, name in enumerate(names):
            if name in rows:
                percent = rows[name]["percent_of_peak"]
                parts.append(f'<rect x="{left}" y="{y + i * BAR}" width="{percent * scale:.1f}" '
                             f'height="{BAR - 1}" fill="{colors[name]}"/>')
                parts.append(text(left + percent * scale + 4, y + (i + 1) * BAR - 2,
                                  f"{percent:.0f}", size=10, color="#555555"))
        y += height + GAP
    for i, name in enumerate(names):  # legend, three a line
        x, line = left + i % 3 * 145, 42 + i // 3 * 14
        parts.append(f'<rect x="{x}" y="{line - 9}" width="10" height="10" '
                     f'fill="{colors[name]}"/>' + text(x + 14, line, name, size=11))
    return parts


def picture(context, shapes):
    shapes = against_peers(shapes)
    groups = [names for names in (names_of(shapes, is_f32),
                                  names_of(shapes, lambda row: not is_f32(row))) if names]
    height = BAR * max(map(len, groups), default=0)
    parts = [text(LEFT, 20, "Percent of the core's f32 peak, whole layer (masked work counts)",
                  size=14)]
    for i, names in enumerate(groups):
        parts += panel(shapes, names, LEFT + i * (PANEL + RIGHT), height)
    y = TOP + BAR
    for shape in shapes:
        parts.append(text(LEFT - 8, y + height / 2 + 4, shape, "end"))
        y += height + GAP
    parts += [text(8, y + 32 + 14 * i, line.strip(), size=10, color="#555555")
              for i, line in enumerate(machine(context).split(";"))]
    width = LEFT + len(groups) * (PANEL + RIGHT)
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 54}" '
         f'font-family="sans-serif">',
         f'<rect width="{width}" height="{y + 54}" fill="white"/>', *parts, "</svg>"]) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: draw.py RESULTS.json NAME")
    context, shapes = load(sys.argv[1])
    if not shapes:
        sys.exit(f"draw.py: {sys.argv[1]}: no results")
    with open(sys.argv[2] + ".md", "w") as file:
        file.write(table(context, shapes))
    if against_peers(shapes):
        with open(sys.argv[2] + ".svg", "w") as file:
            file.write(picture(context, shapes))
    print(table(context, shapes), end="")


main()
