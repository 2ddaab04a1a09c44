#!/usr/bin/env bash
# install.sh BUILD CC CXX: installs this build, moves what was installed to another folder, then
# builds and runs programs against it with find_package and with pkg-config.
set -euo pipefail
build=$1 cc=$2 cxx=$3
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../ports/example
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }; }
quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/prefix"

quietly cmake -S "$here/consumer" -B "$work/build" -DWAY=find_package -DEXAMPLES="$examples" \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx"
quietly cmake --build "$work/build"
quietly ctest --test-dir "$work/build" --no-tests=error --output-on-failure
programs=$(sed -n 's/^100% tests passed.* out of \([0-9]*\)$/\1/p' "$work/log")
quietly cmake -S "$here/consumer" -B "$work/in_c" -DWAY=find_package -DIN_C=ON \
  -DEXAMPLES="$examples" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc"
quietly cmake --build "$work/in_c"
quietly ctest --test-dir "$work/in_c" -R example_c --no-tests=error --output-on-failure

if command -v pkg-config > /dev/null; then
  PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name heed.pc)")
  export PKG_CONFIG_PATH
  "$cxx" -std=c++17 "$examples/self_attention.cc" -o "$work/plain" \
    $(pkg-config --cflags --libs heed)
  quietly "$work/plain"
  # A C compiler links it too: the library needs no C++ runtime.
  "$cc" -std=c99 "$examples/self_attention.c" -o "$work/plain_c" $(pkg-config --cflags --libs heed)
  quietly "$work/plain_c"
else
  echo "pkg-config is not here: heed.pc was not tried"
fi

# Packagers install into a folder that is not the prefix.
DESTDIR=$work/root quietly cmake --install "$build"
[ -n "$(find "$work/root" -name heed.pc)" ] || { echo "DESTDIR: no heed.pc below it"; exit 1; }
echo "installed: $programs programs by find_package, one in C alone, two by pkg-config"
