# Cross build for 64-bit RISC-V Linux with vectors (RVA22 and V) with clang-19 and the libraries of
# Debian's g++-riscv64-linux-gnu; tests run under QEMU.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_C_COMPILER_TARGET riscv64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET riscv64-linux-gnu)
set(CMAKE_NM riscv64-linux-gnu-nm)
set(CMAKE_FIND_ROOT_PATH /usr/riscv64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Vectors in the library alone: clang spills them anywhere, and libgcc's unwinder (GCC 12) aborts at
# an exception that leaves a frame with room for one.
set(HEED_LIBRARY_OPTIONS "-march=rv64gcv" CACHE STRING "")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -fuse-ld=lld")
set(HEED_DISPATCH static CACHE STRING "")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-riscv64)
