#!/usr/bin/env bash
# example_of.sh HEADER: prints the example that a header begins with: the first lines of its first
# comment that are indented by five columns or more.
set -euo pipefail
awk '
  /^(\/\/| \*)     / { print substr($0, 8); inside = 1; next }
  /^(\/\/| \*)$/ && inside { print ""; next }
  inside || !/^(\/\/|\/?\*| \*)/ { exit }' "$1"
