#!/usr/bin/env python3
"""draw.py RESULTS.json NAME: NAME.md, the table of ratios, and NAME.svg, percent of peak as bars.

Standard library only. RESULTS.json is what heed_bench --benchmark_out writes.
"""
import json
import sys

COLORS = ["#1b6ca8", "#d98c3f", "#7a9e4b", "#a05195", "#888888", "#c0504d"]
BAR, GAP, LEFT, RIGHT, TOP = 11, 12, 130, 60, 64
SCALE = 5.2  # pixels a percent


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


def names_of(shapes):
    names = []
    for contestants in shapes.values():
        names += [name for name in contestants if name != "read" and name not in names]
    return names


def machine(context):
    return (f"{context['cpu']}, one of {context['num_cpus']} CPUs, compiler {context['compiler']},"
            f" {context['date'][:10]}, threads: {context['threads']}; {context['peers']}")


def table(context, shapes):
    names = names_of(shapes)
    heed = next((name for name in names if name.startswith("heed")), None)
    lines = [f"{machine(context)}.", "",
             "Median us (percent of f32 peak); ratio: heed's median over oneDNN's; at peak: that of "
             "a "
             "layer at the core's f32 peak.", "",
             "| shape | " + " | ".join(names) + " "
             "| ratio | at peak | must | aims | error |",
             "|---|" + "--:|" * (len(names) + 5)]
    for shape, contestants in shapes.items():
        if "read" in contestants:
            continue
        cells = []
        for name in names:
            row = contestants.get(name)
            cells.append(f"{row['median_us']:.1f} ({row['percent_of_peak']:.0f} %)" if row else "")
        row = contestants.get(heed)
        cells += [f"{row[key]:.2f}" if row[key] else ""
                  for key in ("ratio", "ratio_at_peak", "must", "aims")
                  ] + [f"{row['error']:.1e}"] if row else [""] * 5
        lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    cold = {shape: rows for shape, rows in shapes.items() if "read" in rows and heed in rows}
    if cold:
        lines += ["", "One row, weights from memory: median us; floor: the larger of reading the "
                  "weights and of the multiply-adds at the one-row rate.", "",
                  "| shape | " + " | ".join(names) +
                  " | memory | arithmetic | heed / floor | must |",
                  "|---|" + "--:|" * (len(names) + 4)]
        for shape, rows in cold.items():
            cells = [f"{rows[name]['median_us']:.0f}" if name in rows else "" for name in names]
            row = rows[heed]
            cells += [f"{row['memory_us']:.0f}", f"{row['arithmetic_us']:.0f}",
                      f"{row['floor_ratio']:.2f}", f"{row['must']:.2f}"]
            lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def text(x, y, content, anchor="start", size=12, color="#222222"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{color}">{content}</text>')


def picture(context, shapes):
    shapes = {shape: rows for shape, rows in shapes.items() if "read" not in rows}
    names = names_of(shapes)
    top = max(row["percent_of_peak"] for rows in shapes.values() for row in rows.values())
    ticks = range(0, int(max(100, top)) + 1, 20)
    width = LEFT + SCALE * max(100, top) + RIGHT
    parts, y = [], TOP
    for shape, rows in shapes.items():
        height = BAR * len(names)
        parts.append(text(LEFT - 8, y + height / 2 + 4, shape, "end"))
        for i, name in enumerate(names):
            if name in rows:
                percent = rows[name]["percent_of_peak"]
                parts.append(f'<rect x="{LEFT}" y="{y + i * BAR}" width="{percent * SCALE:.1f}" '
                             f'height="{BAR - 1}" fill="{COLORS[i % len(COLORS)]}"/>')
                parts.append(text(LEFT + percent * SCALE + 4, y + (i + 1) * BAR - 2,
                                  f"{percent:.0f}", size=10, color="#555555"))
        y += height + GAP
    grid = [f'<line x1="{LEFT + t * SCALE:.0f}" y1="{TOP - 6}" x2="{LEFT + t * SCALE:.0f}" '
            f'y2="{y}" stroke="#dddddd"/>' + text(LEFT + t * SCALE, y + 14, f"{t} %", "middle", 10)
            for t in ticks]
    legend, x = [], LEFT
    for i, name in enumerate(names):
        legend.append(f'<rect x="{x}" y="34" width="11" height="11" '
                      f'fill="{COLORS[i % len(COLORS)]}"/>' + text(x + 16, 44, name))
        x += 30 + 8 * len(name)
    foot = [text(8, y + 32 + 14 * i, line.strip(), size=10, color="#555555")
            for i, line in enumerate(machine(context).split(";"))]
    head = text(LEFT, 20, "Percent of the core's f32 peak, whole layer (masked work counts)",
                size=14)
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y + 54}" '
         f'font-family="sans-serif">',
         f'<rect width="{width:.0f}" height="{y + 54}" fill="white"/>', head, *legend, *grid,
         *parts, *foot, "</svg>"]) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: draw.py RESULTS.json NAME")
    context, shapes = load(sys.argv[1])
    if not shapes:
        sys.exit(f"draw.py: {sys.argv[1]}: no results")
    with open(sys.argv[2] + ".md", "w") as file:
        file.write(table(context, shapes))
    with open(sys.argv[2] + ".svg", "w") as file:
        file.write(picture(context, shapes))
    print(table(context, shapes), end="")


main()
