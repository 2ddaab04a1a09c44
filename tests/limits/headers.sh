#!/usr/bin/env bash
# headers.sh ROOT CC CXX: every public header compiles alone, pedantically; heed.h as C99 too. So do
# the examples that they begin with, and structs written with C++20's designated initializers.
set -euo pipefail
root=$1 cc=$2 cxx=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
for header in "$root"/include/heed/*.h; do
  [[ $header != */heed.h ]] || continue  # c_abi.sh compiles the example of heed.h
  example=$("$root/tests/limits/example_of.sh" "$header")
  [[ $example == *"#include \"heed/"* ]] ||
    { echo "$header: no example in its first comment"; exit 1; }
  "$cxx" -std=c++17 "${flags[@]}" -Wno-unused-variable -x c++ - <<< "$example"
done

# Macros of other headers: X11's, windows.h's, Arduino's and some more. `Status` is a type in X11's
# code, before and after, and heed::Status can be named; the others touch nothing.
macros=(Bool Complex None True False Success Always Above Below Expose Unsorted BadValue BadMatch
        min max near far small IN OUT OPTIONAL ERROR DELETE IGNORE CONST VOID interface
        abs round bit sq word constrain radians B0 B1 F PI HIGH LOW INPUT OUTPUT DEFAULT
        signals slots emit foreach I _B _N _X check verify require major minor unix linux)
for compiler in "$cxx" g++ clang++; do
  command -v "$compiler" > /dev/null || continue
  for first in xlib "$root"/include/heed/*.h; do
    {
      printf '#include <%s>\n' cmath cstddef cstdint type_traits
      printf '#define %s @\n' "${macros[@]}"
      [ "$first" = xlib ] || echo "#include \"${first#"$root/include/"}\""
      echo '#define Status int'
      [ "$first" = xlib ] || echo "Status Before();"
      printf '#include "heed/%s.h"\n' attention projection_backend report sdpa version heed
      echo 'Status Answer() { return 3; }'
      echo 'heed::Status Run() { return heed::Status(); }'
      echo '#define Status int'
      printf '#include "heed/%s.h"\n' config weights mask tensor executor status
      echo 'heed::Status Twice() { return heed::Status(); }'
    } | "$compiler" -std=c++17 "${flags[@]}" -x c++ -
  done
done
{ printf '#include <%s>\n' stddef.h stdint.h
  printf '#define %s @\n' "${macros[@]}" Status; echo '#include "heed/heed.h"'; } |
  "$cc" -std=c99 "${flags[@]}" -x c -
# Structs without their padding are not those of the library.
for packed in 'c99 c heed' 'c++17 c++ heed' 'c++17 c++ attention' 'c++17 c++ status'; do
  read -r standard language name <<< "$packed"
  compiler=$cc
  [ $language = c ] || compiler=$cxx
  ! printf '#pragma pack(1)\n#include "heed/%s.h"\n' $name |
    "$compiler" -std=$standard "${flags[@]}" -x $language - 2> "$work/log" ||
    { echo "heed/$name.h accepts structs without padding"; exit 1; }
  grep -q padded "$work/log" || { cat "$work/log"; exit 1; }
done

# A member that such an initializer leaves out has a value of its own, and no compiler warns.
for compiler in "$cxx" g++ clang++; do
  command -v "$compiler" > /dev/null || continue
  "$compiler" -std=c++20 "${flags[@]}" -Wmissing-field-initializers -x c++ - <<'END'
#include "heed/projection_backend.h"
#include "heed/report.h"
#include "heed/sdpa.h"

heed::Status Run(const heed::Attention& layer, const float* x, float* y) {
  return layer.Forward({.query = {x, 1, 5, 64}, .causal = true, .output = {y, 1, 5, 64}});
}
extern const heed::ForwardArgs forward = {.offset = 3};
extern const heed::SdpaArgs sdpa = {.lengths = {}, .scale = 0.5f};
extern const heed::Limits limits = {.max_query_len = 5};
extern const heed::SdpaLimits sdpa_limits = {.max_key_len = 5, .max_head_dim = 16};
extern const heed::AttentionConfig config = {.embed_dim = 64, .num_heads = 4};
extern const heed::LayerTensors tensors = {.q_weight = nullptr};
extern const heed::CreateOptions options = {.target = "REFERENCE"};
extern const heed::Executor executor = {.num_workers = 2};
extern const heed::ProjectionBackend backend = {.context = nullptr};
extern const heed::ProjectionCall call = {.rows = 1};
extern const heed::UnpackedProjection unpacked = {.weight = nullptr};
extern const heed::ErrorReport report = {.heads = nullptr};
END
done

if [ -f "$root/include/heed/heed.h" ]; then
  echo '#include "heed/heed.h"' | "$cc" -std=c99 "${flags[@]}" -x c -
fi
! grep -rln 'hwy' "$root/include/heed" || { echo "a public header names Highway"; exit 1; }
