#!/usr/bin/env bash
# frames.sh BUILD: no function of the library takes a stack frame above the limit, or one whose size
# the compiler does not know (-fstack-usage). On scalable vectors frames hold whole vectors.
set -euo pipefail
build=$1
limit=4096
usage=$(find "$build/lib" -name '*.su' -exec cat {} +)
[ -n "$usage" ] || { echo "no .su file below $build/lib"; exit 1; }
found=$(awk -F '\t' -v limit=$limit '$2 > limit || $3 == "dynamic"' <<< "$usage")
[ -z "$found" ] || { echo "frames above $limit bytes or of unknown size:"; echo "$found"; exit 1; }
awk -F '\t' -v limit=$limit '
  $2 > worst { worst = $2; where = $1 }
  END { print "frames: the worst " worst " bytes (at most " limit "): " where }' <<< "$usage"
