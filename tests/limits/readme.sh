#!/usr/bin/env bash
# readme.sh ROOT HEED: the README quotes the examples as they are, its links lead somewhere, and
# the program's commands in it run.
set -euo pipefail
root=$1 heed=$2
cd "$root"
readme=$(cat README.md)
for example in ports/example/self_attention.cc ports/example/self_attention.c; do
  [[ $readme == *"$(cat $example)"* ]] || { echo "README.md does not quote $example"; exit 1; }
done

for page in README.md lib/README.md ports/README.md ports/*/README.md; do
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
echo "README.md: examples, links and commands hold"
