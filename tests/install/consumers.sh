#!/usr/bin/env bash
# consumers.sh ROOT CC CXX NM ARCHIVE: builds applications against heed's sources in every way that
# README.md names, static and shared: without network, without write permission on the sources and,
# where root runs this, as another user. ARCHIVE is Highway's, empty where it is installed.
set -euo pipefail
root=$1 cc=$2 cxx=$3 nm=$4 archive=$5
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"
here=$work/weights/heed/tests/install  # the name of a folder above must not matter
examples=$work/weights/heed/ports/example
user=$work/user

fail() { echo "$*"; exit 1; }

# ------------------------------------------------ a user, a machine without network, the sources
mkdir -p "$work/weights/heed" "$work/fakes" "$user"
tar -C "$root" --exclude=./build --exclude=./.cache --exclude=./.git -cf - . |
  tar -C "$work/weights/heed" --no-same-owner -xf -
chmod -R a+rX,a-w "$work/weights"
touch "$work/copied"
for tool in apt-get sudo dpkg-query curl wget; do
  printf '#!/bin/sh\necho "%s $*" >> "%s/called"\nexit 1\n' $tool "$user" > "$work/fakes/$tool"
done
chmod 755 "$work"/fakes/*
highway_file=() highway_url=()
if [ -n "$archive" ]; then
  install -m 644 "$archive" "$work/highway.tar.gz"
  highway_file=(-DHEED_HIGHWAY_ARCHIVE="$work/highway.tar.gz")
  highway_url=(-DHEED_FETCH_HIGHWAY=ON -DHEED_HIGHWAY_URL="file://$work/highway.tar.gz")
fi

as=()
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chown 65534:65534 "$user"
fi
if unshare -n true 2> /dev/null; then
  offline=(unshare -n)
elif unshare -rn true 2> /dev/null; then
  offline=(unshare -rn)
else
  offline=(env http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9)
fi
# Runs a command as that user, in that folder, without what this machine's environment sets.
app() {
  (cd "$user" && "${offline[@]}" "${as[@]}" env -u HEED_CACHE -u DESTDIR \
    -u CMAKE_C_COMPILER_LAUNCHER -u CMAKE_CXX_COMPILER_LAUNCHER HOME="$user" \
    PATH="$work/fakes:$PATH" CC="$cc" CXX="$cxx" "$@")
}
quietly() { app "$@" > "$work/log" 2>&1 || { cat "$work/log"; fail "failed: $*"; }; }

f32=(-DHEED_TYPES=f32 -DHEED_DISPATCH=static)  # seconds instead of a minute
# consumer BUILD OPTION...: configures, builds and runs the programs of ./consumer.
consumer() {
  local build=$1
  shift
  quietly cmake -S "$here/consumer" -B "$build" -DEXAMPLES="$examples" "$@"
  quietly cmake --build "$build"
  quietly ctest --test-dir "$build" --no-tests=error --output-on-failure
  sed -n "s/^100% tests passed.* out of \([0-9]*\)$/$build: \1 programs run/p" "$work/log"
}

# ------------------------------------------------------------------------------ from the sources
# Nobody names a build type, so the library chooses; what nobody links is not built.
quietly cmake -S "$here/consumer" -B in_tree -DWAY=add_subdirectory -DSOURCE="$work/weights/heed" \
  -DEXAMPLES="$examples" "${f32[@]}" "${highway_url[@]}" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
quietly cmake --build in_tree --target example
built=$(cd "$user/in_tree" && find . -name '*.a' -o -name '*.so*' | sort | xargs)
[ "$built" = ./heed/lib/libheed.a ] || fail "one program needs libheed.a alone, built: $built"
tile=$(grep '"command"' "$user/in_tree/compile_commands.json" | grep 'lib/kernels/tile.cc')
[[ $tile = *" -O2 "* && $tile != *" -Os "* ]] || fail "lib/kernels/tile.cc is compiled by: $tile"
consumer in_tree
if command -v git > /dev/null; then
  quietly cp -r "$work/weights/heed" heed.git
  quietly chmod -R u+w heed.git
  quietly git -C heed.git init -q -b main
  quietly git -C heed.git add -A
  quietly git -C heed.git -c user.name=heed -c user.email=heed@localhost commit -q -m heed
  consumer fetched -DWAY=FetchContent -DGIT="file://$user/heed.git" -DBUILD_SHARED_LIBS=ON \
    -DCMAKE_BUILD_TYPE=Release "${f32[@]}" "${highway_file[@]}"
else
  echo "git is not here: FetchContent was not tried"
fi

# ------------------------------------------------------------------------------------- installed
# plain NAME: programs by pkg-config, whose file is taken as it is.
plain() {
  command -v pkg-config > /dev/null || { echo "pkg-config is not here"; return; }
  local pc flags
  pc=$(dirname "$(find "$user/$1" -name heed.pc)")
  flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs heed)
  quietly "$cxx" -std=c++17 "$examples/self_attention.cc" -o "$1/plain" $flags
  quietly env LD_LIBRARY_PATH="$(dirname "$pc")" "$1/plain"
}
for kind in static shared; do
  shared=OFF
  [ $kind = static ] || shared=ON
  quietly cmake -C "$work/weights/heed/.cmake/presets/static-f32.cmake" -S "$work/weights/heed" \
    -B "$kind-build" -DBUILD_SHARED_LIBS=$shared "${highway_file[@]}"
  quietly cmake --build "$kind-build"
  quietly cmake --install "$kind-build" --prefix "$user/$kind"
  consumer "$kind-consumer" -DWAY=find_package -DCMAKE_PREFIX_PATH="$user/$kind"
  plain $kind
done
library=$(find "$user/shared" -name 'libheed.so')
if [ "$(getconf LONG_BIT)" = 64 ]; then
  "$root/tests/limits/symbols.sh" "$nm" "$library" "$root/tests/limits/symbols.txt"
fi
# An application's own library that takes the archive in shows nothing of it.
echo 'extern "C" int Plugin() { return static_cast<int>(heed::TargetCount()); }' > "$work/plugin.cc"
"$cxx" -std=c++17 -shared -fPIC -I "$root/include" -include heed/attention.h "$work/plugin.cc" \
  "$(find "$user/static" -name libheed.a)" -o "$work/plugin.so"
shown=$("$nm" -D --defined-only "$work/plugin.so" | awk '{ print $3 }' | xargs)
[ "$shown" = Plugin ] || fail "a library that holds libheed.a shows: $shown"

# Some distributions give absolute folders.
quietly cmake -S "$work/weights/heed" -B absolute -DCMAKE_INSTALL_PREFIX=/opt/out \
  -DCMAKE_INSTALL_LIBDIR=/opt/out/lib -DCMAKE_INSTALL_INCLUDEDIR=/opt/dev/include \
  -DHEED_BUILD_CLI=OFF -DHEED_BUILD_TESTS=OFF "${highway_file[@]}"
if command -v pkg-config > /dev/null; then
  flags=$(PKG_CONFIG_PATH=$user/absolute pkg-config --cflags --libs heed)
  [[ " $flags " = *" -I/opt/dev/include "* && " $flags " = *" -L/opt/out/lib "* ]] ||
    fail "absolute folders: heed.pc says $flags"
fi

# -------------------------------------------------------------------------------------- refusals
# refused WORDS OPTION...: configuring stops, and the words are in what it prints.
refused() {
  local words=$1
  shift
  rm -rf "$user/refused"
  ! app cmake -S "$here/consumer" -B refused -DWAY=add_subdirectory \
    -DSOURCE="$work/weights/heed" -DEXAMPLES="$examples" -DCMAKE_DISABLE_FIND_PACKAGE_hwy=ON \
    "$@" > "$work/log" 2>&1 || fail "not refused: $*"
  tr -s ' \n' ' ' < "$work/log" | grep -F -- "$words" > /dev/null ||
    { cat "$work/log"; fail "expected: $words"; }
}
echo no archive > "$work/damaged"
chmod 644 "$work/damaged"
refused "give the file to CMake: -DHEED_HIGHWAY_ARCHIVE=FILE"
refused "there is no file /nowhere" -DHEED_HIGHWAY_ARCHIVE=/nowhere
refused "this is not Highway's release archive" -DHEED_HIGHWAY_ARCHIVE="$work/damaged"
refused "this is not Highway's release archive" -DHEED_FETCH_HIGHWAY=ON \
  -DHEED_HIGHWAY_URL="file://$work/damaged"
refused "could not be downloaded" -DHEED_FETCH_HIGHWAY=ON -DHEED_HIGHWAY_URL=file:///nowhere
refused "HEED_DISPATCH: expected dynamic or static, got both" -DHEED_DISPATCH=both
refused "HEED_TYPES: expected all, f32 or int8, got f16" -DHEED_TYPES=f16
refused "HEED_FEATURES: expected all, none, or a list of cache and positions, got caches" \
  "-DHEED_FEATURES=cache;caches"

[ ! -e "$user/called" ] || { cat "$user/called"; fail "a build called these"; }
[ -z "$(find "$work/weights" -newer "$work/copied")" ] || fail "a build wrote into the sources"
echo "consumers: add_subdirectory, FetchContent, find_package and pkg-config, static and shared"
