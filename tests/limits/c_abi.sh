#!/usr/bin/env bash
# c_abi.sh ROOT CC CXX: the example that heed.h begins with compiles as it stands, in C99 and C++17;
# the layout test holds for CPUs of 32 and 64 bits, as far as the compilers here know them.
set -euo pipefail
root=$1 cc=$2 cxx=$3
flags=(-I "$root/include" -Wall -Wextra -Wshadow -Wpedantic -Werror -fsyntax-only)

# The first indented lines of the first comment.
example=$(awk '
  /^ \*     / { print substr($0, 8); inside = 1; next }
  /^ \*$/ { print ""; next }
  inside { exit }' "$root/include/heed/heed.h")
[[ $example == *'#include "heed/heed.h"'*heed_attention_forward* ]] ||
  { echo "heed.h: no example in its first comment"; exit 1; }
"$cc" -std=c99 "${flags[@]}" -x c - <<< "$example"
"$cxx" -std=c++17 "${flags[@]}" -x c++ - <<< "$example"

layout=$root/tests/capi/capi_layout_test.c
tried=0
try() {  # try COMPILER FLAG: skipped where the compiler does not know the flag
  command -v "$1" > /dev/null || return 0
  "$@" -std=c11 -ffreestanding -fsyntax-only -x c - 2> /dev/null <<< '#include <stdint.h>' ||
    return 0
  "$@" -std=c11 -ffreestanding "${flags[@]}" "$layout"
  tried=$((tried + 1))
}
try "$cc" -m32
for target in armv7a-none-eabi riscv32 wasm32 aarch64-none-elf riscv64; do
  try clang "--target=$target"
done
echo "heed.h: the example compiles; its layout holds for $tried other CPUs"
