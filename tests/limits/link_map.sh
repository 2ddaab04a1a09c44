#!/usr/bin/env bash
# link_map.sh MAP: a static build links nothing of Highway. The linker's map lists every object of
# the image; those of Highway are in libhwy.a, or are targets.cc and per_target.cc beside heed's own.
set -euo pipefail
map=$1
[ -f "$map" ] || { echo "no link map $map"; exit 1; }

of_highway() { grep -E -o 'libhwy[^ ]*|[^ /]*per_target\.cc[^ ]*|highway-[0-9.]*/[^ ]*' "$1" | sort -u; }
found=$(of_highway "$map" || true)
[ -z "$found" ] || { echo "$map: Highway is linked: $found"; exit 1; }
members=$(grep -o 'libheed\.a([^)]*)' "$map" | sort -u | wc -l)
[ "$members" -gt 5 ] || { echo "$map: expected members of libheed.a, got $members"; exit 1; }
# The check itself: planted members must be found.
planted='lib/libheed.a(per_target.cc.obj) /usr/lib/libhwy.a(targets.cc.o)'
[ "$(of_highway <(echo "$planted") | wc -l)" = 2 ] || { echo "a planted object was missed"; exit 1; }
echo "$members members of libheed.a in the image, none of Highway"
