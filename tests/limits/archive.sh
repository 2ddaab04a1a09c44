#!/usr/bin/env bash
# archive.sh NM CXX ARCHIVE PROCESSOR: what the core archive asks of its surroundings, and how
# large it is. An undefined symbol outside the list fails: malloc, new, abort, printf, exceptions,
# locks, thread-locals and libm are none of it.
set -euo pipefail
nm=$1 cxx=$2 archive=$3 processor=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Four memory functions and one comparison that a compiler may call by itself, the auxiliary vector
# in which Linux lists the CPU's features, 32-bit ARM's helpers for double and for dividing and
# counting zeros of 64 bits, and what WebAssembly's linker defines.
allowed='memcpy|memmove|memset|memcmp|strcmp|strlen|getauxval|_GLOBAL_OFFSET_TABLE_|__aeabi_.*'
allowed+='|__c[lt]zdi2|__stack_pointer|__indirect_function_table|__linear_memory'

# Symbols that some member needs and no member defines, without the allowed ones.
needs() {
  "$nm" "$1" | awk -v allowed="^($allowed)\$" '
    NF == 2 && $1 == "U" { needed[$2] = 1 }
    NF == 3 && $2 != "U" { defined[$3] = 1 }
    END { for (s in needed) if (!(s in defined) && s !~ allowed) print s }' | sort
}
# Thread-local symbols, static constructors (which WebAssembly has as functions, not sections).
surprises() {
  { "${nm%nm}objdump" -h "$1" | awk '$2 ~ /^\.(tdata|tbss|init_array|ctors)/ { print $2 }'
    "$nm" "$1" | awk '$NF ~ /^_GLOBAL__sub_I_/ { print $NF }'; } | sort -u
}

found=$(needs "$archive")
[ -z "$found" ] || { echo "the archive needs: $found"; exit 1; }
found=$(surprises "$archive")
[ -z "$found" ] || { echo "the archive has sections: $found"; exit 1; }

# The check itself: a planted malloc and a planted constructor must be found.
cat > "$work/planted.cc" <<'C'
#include <cstdlib>
int Now() { return static_cast<int>(reinterpret_cast<size_t>(malloc(8))); }
int planted = Now();
C
"$cxx" -O1 -fpermissive -w -c "$work/planted.cc" -o "$work/planted.o"
[ "$(needs "$work/planted.o")" = malloc ] || { echo "a planted malloc was missed"; exit 1; }
[ -n "$(surprises "$work/planted.o")" ] || { echo "a planted constructor was missed"; exit 1; }

text=$("${nm%nm}size" "$archive" | awk 'NR > 1 { sum += $1 } END { print sum }')
# All types, and 80,000 bytes for caches and positions: four dispatch targets on x86-64; six on
# 64-bit ARM, and three integer products each.
limit=480000
[ "$processor" = aarch64 ] && limit=512000
[ "$text" -le $limit ] || { echo "text: at most $limit bytes, got $text"; exit 1; }
echo "archive for $processor: $text bytes of text (at most $limit); needs only" \
  "$("$nm" "$archive" | awk -v a="^($allowed)\$" '$1 == "U" && $2 ~ a { print $2 }' | sort -u | xargs)"
