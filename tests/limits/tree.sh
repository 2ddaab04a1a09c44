#!/usr/bin/env bash
# tree.sh ROOT: who may include whom (the dependency rule), line lengths, the top level.
set -euo pipefail
cd "$1"
files() { find include lib ports tests bench -name '*.h' -o -name '*.cc' -o -name '*.c' 2>/dev/null; }

# check FILE...: prints every include that the rule forbids.
#   tests, bench -> anything     ports -> include     lib/capi -> lib/core
#   lib/core -> lib/kernels, lib/weights, lib/reference -> lib/support -> include
#   lib/weights, lib/reference -> lib/rounding (int4 weights, offline) -> lib/support
#   Highway in lib/kernels alone; of ports, XNNPACK in ports/xnnpack, pthreadpool there and in
#   ports/threads
check() {
  awk '
    function room(path, parts) {
      split(path, parts, "/")
      return parts[1] == "lib" ? parts[1] "/" parts[2] : parts[1]
    }
    BEGIN {
      allowed["include"] = "^heed/"
      allowed["lib/support"] = "^(heed|lib/support)/"
      allowed["lib/rounding"] = "^(heed|lib/support|lib/rounding)/"
      allowed["lib/reference"] = "^(heed|lib/support|lib/rounding|lib/reference)/"
      allowed["lib/weights"] = "^(heed|lib/support|lib/rounding|lib/weights)/"
      allowed["lib/kernels"] = "^(heed|lib/support|lib/kernels|hwy)/|^sys/auxv[.]h$"
      allowed["lib/core"] = "^(heed|lib/(support|kernels|weights|reference|core))/|^sanitizer/"
      allowed["lib/capi"] = "^(heed|lib/(support|core|capi))/"
      allowed["ports"] = "^(heed|nlohmann|CLI|board|cli|threads|xnnpack|pytorch)/"
    }
    /^ *# *include/ {
      where = room(FILENAME)
      name = $0
      sub(/^[^<"]*[<"]/, "", name)
      sub(/[>"].*/, "", name)
      if (where == "tests" || where == "bench") next
      system_header = ($0 ~ /</) && name !~ /\// && where != "ports"
      if (where == "ports" && (name == "xnnpack.h" && FILENAME !~ /^ports\/xnnpack\// ||
                               name == "pthreadpool.h" &&
                                   FILENAME !~ /^ports\/(xnnpack|threads)\//)) {
        print FILENAME ": includes " name
        next
      }
      if (where == "ports" && ($0 ~ /</) && name !~ /^(heed|lib|hwy)\//) next
      if (system_header) next
      if (!(where in allowed) || name !~ allowed[where]) print FILENAME ": includes " name
    }' "$@"
}
found=$(check $(files))
[ -z "$found" ] || { echo "$found"; exit 1; }

# The check itself: planted includes must be found.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lib/"{kernels,reference,rounding,support} "$work/ports/cli" "$work/include/heed"
echo '#include "lib/core/plan.h"' > "$work/lib/kernels/a.cc"
echo '#include "hwy/highway.h"' > "$work/lib/reference/a.cc"
echo '#include "lib/weights/packed_file.h"' > "$work/lib/rounding/a.cc"
echo '#include "lib/rounding/partner.h"' > "$work/lib/support/a.cc"
echo '#include "lib/rounding/partner.h"' > "$work/lib/kernels/b.cc"
echo '#include "lib/support/bits.h"' > "$work/ports/cli/a.cc"
echo '#include "lib/support/bits.h"' > "$work/include/heed/a.h"
echo '#include <xnnpack.h>' > "$work/ports/cli/b.cc"
echo '#include <pthreadpool.h>' > "$work/ports/cli/c.cc"
planted=(lib/kernels/{a,b}.cc lib/{reference,rounding,support}/a.cc ports/cli/{a,b,c}.cc include/heed/a.h)
count=$(cd "$work" && check "${planted[@]}" | wc -l)
[ "$count" = ${#planted[@]} ] ||
  { echo "planted includes: expected ${#planted[@]} finds, got $count"; exit 1; }

long=$(awk 'length > 100 { print FILENAME ":" FNR ": longer than 100 columns" }' $(files))
[ -z "$long" ] || { echo "$long"; exit 1; }

for entry in *; do
  case $entry in
    lib | include | ports | tests | bench | Makefile | CMakeLists.txt | README.md | LICENSE) ;;
    build) ;;  # made by make, ignored by git
    *) echo "top level: unexpected $entry"; exit 1 ;;
  esac
done
echo "$(files | wc -l) files keep the dependency rule"
