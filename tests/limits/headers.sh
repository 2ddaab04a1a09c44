#!/usr/bin/env bash
# headers.sh ROOT CC CXX: every public header compiles alone, pedantically; heed.h as C99 too.
set -euo pipefail
root=$1 cc=$2 cxx=$3
flags=(-I "$root/include" -Wall -Wextra -Wshadow -Wpedantic -Werror -fsyntax-only)
for header in "$root"/include/heed/*.h "$root"/include/heed/detail/*.h; do
  echo "#include \"${header#"$root/include/"}\"" |
    "$cxx" -std=c++17 "${flags[@]}" -Wdouble-promotion -fno-exceptions -fno-rtti -x c++ -
  for macro in $(sed -n 's/^ *# *define \([A-Za-z_0-9]*\).*/\1/p' "$header"); do
    case $macro in
      HEED_*) ;;
      *) echo "$header: macro without HEED_: $macro"; exit 1 ;;
    esac
  done
done
if [ -f "$root/include/heed/heed.h" ]; then
  echo '#include "heed/heed.h"' | "$cc" -std=c99 "${flags[@]}" -x c -
fi
! grep -rln 'hwy' "$root/include/heed" || { echo "a public header names Highway"; exit 1; }
