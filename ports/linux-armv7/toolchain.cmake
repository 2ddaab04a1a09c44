# Cross build for 32-bit ARM Linux (Armv7-A, hard float, NEON with VFPv4: Cortex-A7 and up) with
# Debian's g++-arm-linux-gnueabihf; tests run under QEMU.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)
set(CMAKE_NM arm-linux-gnueabihf-nm)
set(CMAKE_FIND_ROOT_PATH /usr/arm-linux-gnueabihf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Highway wants the IEEE form of half floats. Its vectors have their own ABI notes, hence -Wno-psabi.
set(CMAKE_C_FLAGS_INIT "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -mfp16-format=ieee -Wno-psabi")
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)  # one file to copy to a board
set(HEED_DISPATCH static CACHE STRING "")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm)
