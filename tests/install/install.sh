#!/usr/bin/env bash
# install.sh BUILD CXX: installs into a folder of its own, then builds and runs a program against
# it with find_package and with pkg-config.
set -euo pipefail
build=$1 cxx=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > /dev/null

cat > "$work/main.cc" <<'C'
#include <heed/attention.h>
int main() {
  heed::AttentionConfig config;
  config.embed_dim = 8;
  config.num_heads = 2;
  return heed::CheckConfig(config).ok() && heed::PackedWeightsBytes(config) != 0 ? 0 : 1;
}
C
cat > "$work/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES CXX)
find_package(heed 0.1 REQUIRED)
add_executable(consumer main.cc)
target_link_libraries(consumer PRIVATE heed::heed)
if(TARGET heed::cli)  # absent where the program was not built
  get_target_property(program heed::cli LOCATION)
  execute_process(COMMAND ${program} --version RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "heed::cli: ${failed}")
  endif()
endif()
C
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_CXX_COMPILER="$cxx" > /dev/null
cmake --build "$work/build" > /dev/null
"$work/build/consumer"

if command -v pkg-config > /dev/null; then
  pc=$(dirname "$(find "$work/prefix" -name heed.pc)")
  sed -i "s|^prefix=.*|prefix=$work/prefix|" "$pc/heed.pc"
  PKG_CONFIG_PATH=$pc "$cxx" -std=c++17 "$work/main.cc" -o "$work/plain" \
    $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs heed)
  "$work/plain"
else
  echo "pkg-config is not here: heed.pc was not tried"
fi
[ ! -x "$build/bin/heed" ] || "$work/prefix/bin/heed" --version > /dev/null
