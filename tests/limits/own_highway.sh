#!/usr/bin/env bash
# own_highway.sh NM CXX ARCHIVE HIGHWAY: the archive holds Highway under another name, so that an
# application may bring one of its own. HIGHWAY is the folder that Highway was unpacked to; a CXX of
# - leaves the application out, for cross builds.
set -euo pipefail
nm=$1 cxx=$2 archive=$3 highway=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Mangled names that have the namespace hwy in them.
of_hwy() { "$nm" "$1" 2> /dev/null | awk '$NF ~ /(^|[^0-9])3hwy/ { print $NF }' | sort -u; }
found=$(of_hwy "$archive")
[ -z "$found" ] || { echo "the archive shares names with Highway: $found"; exit 1; }
[ "$cxx" != - ] || exit 0

cat > "$work/main.cc" <<'C'
#include <heed/attention.h>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace HWY_NAMESPACE {
float Sum(const float* values) {
  const hwy::HWY_NAMESPACE::CappedTag<float, 4> d;
  return hwy::HWY_NAMESPACE::ReduceSum(d, hwy::HWY_NAMESPACE::LoadU(d, values));
}
}  // namespace HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

int main() {
  const float ones[4] = {1, 1, 1, 1};
  hwy::DisableTargets(HWY_ALL_SVE);
  return HWY_STATIC_DISPATCH(Sum)(ones) > 0 && hwy::SupportedTargets() != 0 &&
                 heed::TargetCount() != 0 ? 0 : 1;
}
C
flags=(-std=c++17 -O1 -w -I "$highway")
for source in "$highway"/hwy/{targets,per_target}.cc; do
  "$cxx" "${flags[@]}" -c "$source" -o "$work/$(basename "$source").o"
done
root=$(cd "$(dirname "$0")/../.." && pwd)
"$cxx" "${flags[@]}" -I "$root/include" "$work/main.cc" "$work"/*.o "$archive" -o "$work/program"
# The check itself: the application has names of hwy.
[ -n "$(of_hwy "$work/program")" ] || { echo "planted names of hwy were missed"; exit 1; }
"$work/program"
echo "no name of Highway's in the archive; an application with a Highway of its own runs"
