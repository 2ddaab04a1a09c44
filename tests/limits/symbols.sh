#!/usr/bin/env bash
# symbols.sh NM LIBRARY LIST: the shared library shows exactly the names of LIST, as nm -DC prints
# them. After a change of the public headers: symbols.sh NM LIBRARY - > LIST.
set -euo pipefail
nm=$1 library=$2 list=$3
shown() { "$nm" -DC --defined-only "$library" | cut -d' ' -f3- | LC_ALL=C sort -u; }
[ "$list" != - ] || { shown; exit; }
diff "$list" <(shown) > /dev/null || {
  echo "$library shows other names than $list (<: missing, >: not in the list):"
  diff "$list" <(shown)
  exit 1
}
soname=$(objdump -p "$library" | awk '$1 == "SONAME" { print $2 }')
[[ $soname =~ ^libheed\.so\.[0-9]+\.[0-9]+$ ]] || { echo "soname: got $soname"; exit 1; }
echo "$(wc -l < "$list") names in $soname"
