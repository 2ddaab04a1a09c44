#!/usr/bin/env bash
# image.sh NM IMAGE PROCESSOR TYPES ABSENT: what a firmware image of one layer holds. No heap and no
# C library, heed within 104 KB (128 KB on x86-64, 64 KB with f32 or int8 alone) and 16 KB more
# unless caches and positions are left out, and on Cortex-M the FPU's own fused multiply-add.
set -euo pipefail
nm=$1 image=$2 processor=$3 types=$4 absent=$5
objdump=${nm%nm}objdump
map=$(find . -name "$(basename "$image").map")
[ -f "$map" ] || { echo "no link map of $image below $PWD"; exit 1; }

# Symbols that an image without an operating system must not hold; archives that may be linked.
forbidden='^(_?_?(malloc|calloc|realloc|free)(_r)?|_?sbrk(_r)?|abort|_Zn[wa].*|__cxa_.*|.*printf.*|fmaf?)$'
heap_of() { "$nm" "$1" | awk -v f="$forbidden" '$NF ~ f { print $NF }'; }
archives=$(grep -o '[^ /]*\.a(' "$map" | sort -u | grep -v -E '^lib(heed|gcc)\.a\($' || true)
found=$(heap_of "$image")
[ -z "$found" ] || { echo "the image holds: $found"; exit 1; }
[ -z "$archives" ] || { echo "the image is linked with: $archives"; exit 1; }
# The check itself: a planted allocation must be found.
planted=$(awk -v f="$forbidden" '$NF ~ f' <<< $'0 T malloc\n0 T _sbrk' | wc -l)
[ "$planted" = 2 ] || { echo "a planted malloc was missed"; exit 1; }

case $processor in
  cortex-m*)
    # The reference is the kernel: each multiply-add of its products, and of powers of two, is one
    # instruction.
    code=$("$objdump" -d --no-show-raw-insn "$image" |
      sed -n '/^[0-9a-f]* <.*reference.*\(ProjectRows\|AttendTile\|10PowerOfTwoE\).*>:/,/^$/p')
    count=$(grep -c 'vfma\.f32\|vfms\.f32' <<< "$code" || true)
    [ "$count" -ge 2 ] || { echo "expected vfma.f32 in the products, got $count"; exit 1; }
    ! grep -E 'bl.*(__aeabi_[fd]|fmaf)' <<< "$code" ||
      { echo "the products call floating-point functions"; exit 1; }
    echo "$count fused multiply-adds in the products, no floating-point function called"
    ;;
esac

# heed's share of the image: everything in its namespace but the test's.
text=$("$nm" -S -t d -C "$image" |
  awk 'NF >= 4 && $3 ~ /[tTwWrRvV]/ && /heed::/ && !/heed::test/ { sum += $2 } END { print sum }')
limit=65536
case $types/$processor in
  all/x86_64) limit=131072 ;;  # instructions of AVX-512 are longer
  all/*) limit=106496 ;;
esac
[ "$absent" = "CACHE;POSITIONS" ] || limit=$((limit + 16384))
[ "$text" -le $limit ] || { echo "heed's text: at most $limit bytes, got $text"; exit 1; }
"${nm%nm}size" -A "$image" | awk -v text="$text" -v limit=$limit '
  $1 ~ /^\.(text|rodata|data|bss|stack)$/ { printf "%-8s %8d bytes\n", $1, $2 }
  END { printf "heed     %8d bytes of text and tables (at most %d)\n", text, limit }'
