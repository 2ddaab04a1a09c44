#!/usr/bin/env bash
# flags.sh ROOT CC CXX ARCHIVE HIGHWAY HEED: no flag of the surrounding build changes a bit. HEED is
# the archive of the build that this tests, HIGHWAY the folder of Highway's headers (or empty), and
# ARCHIVE its release archive (or empty).
set -euo pipefail
root=$1 cc=$2 cxx=$3 archive=$4 highway=$5 heed=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }
[ -z "$highway" ] || highway="-isystem $highway -Dhwy=heed_hwy"
is_gcc=false
! "$cxx" --version | grep -q 'Free Software Foundation' || is_gcc=true

# -------------------------------------------------- files of lib, compiled by another build system
# refuses WORDS FILE FLAG...: the compiler stops at an #error with these words.
refuses() {
  local words=$1 file=$2
  shift 2
  ! "$cxx" -std=c++17 -E -Wfatal-errors -I "$root" -I "$root/include" $highway \
    -DHWY_COMPILE_ONLY_STATIC "$@" -x c++ "$file" > "$work/log" 2>&1 || fail "$file accepts $*"
  grep -q "#\?error.*heed: .*$words" "$work/log" || { cat "$work/log"; fail "$file: $*"; }
}
for file in "$root"/lib/*/*.cc; do refuses fast-math "$file" -ffast-math; done
checks=$root/lib/support/arithmetic.h
for flag in -Ofast -ffinite-math-only; do refuses fast-math "$checks" $flag; done
if $is_gcc; then
  for flag in -funsafe-math-optimizations -freciprocal-math -fno-signed-zeros; do
    refuses fast-math "$checks" $flag
  done
fi
if [ "$(uname -m)" = x86_64 ]; then refuses mfpmath "$checks" -m32 -march=i686; fi

# ----------------------------------------------------------------- what an application's flags do
# bits BUILD OPTION...: what ./flags prints with a library that was built so.
options=(-DHEED_TYPES=f32 -DHEED_DISPATCH=static -DHEED_HIGHWAY_ARCHIVE="$archive"
         -DSOURCE="$root" -DCMAKE_BUILD_TYPE=Release)
march=
! grep -qw avx2 /proc/cpuinfo 2> /dev/null || march=-march=x86-64-v3
x87=
if $is_gcc && [ "$(uname -m)" = x86_64 ]; then x87=-mfpmath=387; fi
printf '#pragma STDC FP_CONTRACT ON\n#pragma clang fp contract(fast)\n' > "$work/first.h"
bits() {
  local build=$1
  shift
  CC=$cc CXX=$cxx CXXFLAGS="-funsafe-math-optimizations $march $x87 -include $work/first.h" cmake \
    -S "$root/tests/install/flags" -B "$work/$build" "${options[@]}" "$@" > "$work/log" 2>&1 ||
    { cat "$work/log"; fail "$build"; }
  cmake --build "$work/$build" -j 2 --target bits >> "$work/log" 2>&1 ||
    { cat "$work/log"; fail "$build"; }
  "$work/$build/bits"
}
"$cxx" -std=c++17 -I "$root/include" "$root/tests/install/flags/bits.cc" "$heed" -o "$work/bits"
"$work/bits" | grep REFERENCE > "$work/expected" || fail "this build has no checksum"
# same TEXT: each line ends as that of its type in `expected`, or says that Create refused; targets
# without fused multiply-add have bits of their own.
same() {
  local type target rest
  while read -r type target rest; do
    [[ "$type $target $rest" = *": bad build: arithmetic: "* ]] && continue
    [[ $target = SSE* ]] || grep -qFx "$type REFERENCE: $rest" "$work/expected" || return 1
  done <<< "$1"
}
shown=$(bits before -DHEED_BUILD_EXAMPLES=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
same "$shown" && [[ $shown != *"bad build"* ]] ||
  fail "expected $(cat "$work/expected"), got $shown"
# Ports and programs take the same flags back: with -ffast-math no number is NaN to them.
commands=$(grep -E '"command".* -c [^ ]*/(lib|ports)/' "$work/before/compile_commands.json")
! grep -v -e '-ffast-math.* -fno-fast-math .*-fno-finite-math-only ' <<< "$commands" ||
  fail "a file keeps -ffast-math"
[[ $commands == *ports/* && $commands == *lib/* ]] || fail "no commands of lib and ports"
if [ "$(uname -m)" = x86_64 ]; then  # on 32-bit x86 GCC computes floats by x87 unless it is asked
  CC=$cc CXX=$cxx cmake -S "$root/tests/install/flags" -B "$work/x87" "${options[@]}" \
    -DHEED_LIBRARY_OPTIONS=-m32 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON > "$work/log" 2>&1 ||
    { cat "$work/log"; fail "-m32"; }
  ! grep -E '"command".*lib/[a-z]+/' "$work/x87/compile_commands.json" | grep -v mfpmath=sse ||
    fail "-m32 without SSE2"
fi
echo "bad flags before the library's own change nothing:" $shown

# A compiler that adds flags after all others, as those of some distributions do. The sources refuse
# flags that they see, unless this test asks them not to. Create finds those, and all others.
# spoiled TYPES FLAG...: the best target is refused, and what is not refused keeps its bits.
spoiled() {
  local types=$1
  shift
  printf '#!/bin/sh\nexec "$@" %s\n' "$*" > "$work/launcher"
  chmod 755 "$work/launcher"
  rm -rf "$work/after"
  shown=$(bits after -DCMAKE_CXX_COMPILER_LAUNCHER="$work/launcher" -DHEED_TYPES=$types)
  [[ $shown =~ ^[a-z0-9]+\ [A-Z0-9_]+:\ bad\ build:\ arithmetic:\  ]] && same "$shown" ||
    fail "$*: $shown"
}
spoiled f32 -ffast-math -DHEED_TEST_SPOILED_ARITHMETIC
# Contraction shows in no macro. It spoils the rounding of inputs to integers.
[ -z "$march" ] || spoiled int8 -ffp-contract=fast
echo "bad flags after them are refused by the sources, and found by Create"
