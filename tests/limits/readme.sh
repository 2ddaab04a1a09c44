#!/usr/bin/env bash
# readme.sh ROOT HEED: the pages quote files as they are, their links lead somewhere, and the
# program's commands in README.md run. A block of code that begins with the line "// from FILE" has
# to be a part of FILE.
set -euo pipefail
root=$1 heed=$2
cd "$root"
pages=(README.md lib/README.md bench/*.md ports/README.md ports/*/README.md)

quotes=0
for page in "${pages[@]}"; do
  while IFS= read -r -d '' block; do
    block=${block%$'\n'}
    file=${block%%$'\n'*}
    [ -n "$file" ] && [ -f "$file" ] && [[ $(cat "$file") == *"${block#*$'\n'}"* ]] ||
      { echo "$page: a block of code is no part of $file:"; echo "${block#*$'\n'}"; exit 1; }
    quotes=$((quotes + 1))
  done < <(awk '
    /^```/ { if (quoting) printf "%c", 0; quoting = 0; next }
    !quoting && /^\/\/ from / { print substr($0, 9); quoting = 1; next }
    quoting { print }' "$page")
done
[ $quotes -gt 0 ] || { echo "README.md quotes no example"; exit 1; }

for page in "${pages[@]}"; do
  for link in $(grep -o '](\([^)#]*\)' "$page" | cut -c3- | grep -v '^https:'); do
    [ -e "$(dirname "$page")/$link" ] || { echo "$page: no $link"; exit 1; }
  done
done
for test in $(grep '^|' README.md | grep -o 'tests/[A-Za-z0-9_/.*]*'); do
  compgen -G "$test" > /dev/null || { echo "README.md: no $test"; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commands=$(sed -n '/^heed=build/,/^```$/p' README.md | sed '1d;$d')
[ "$(wc -l <<< "$commands")" = 3 ] || { echo "README.md: expected 3 commands of heed"; exit 1; }
eval "${commands//build\//$work/}" > "$work/printed"
[ -s "$work/y.npy" ] || { echo "README.md: its commands wrote no y.npy"; exit 1; }
echo "${#pages[@]} pages: $quotes quotes, links and commands hold"
