# Bare 64-bit ARM, any core with NEON: Debian's g++-aarch64-linux-gnu without its C library. Programs
# run on QEMU's "virt" board, the packed layer in its flash.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_NM aarch64-linux-gnu-nm)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-ffunction-sections -fdata-sections -mno-outline-atomics -fno-pie")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-no-pie -Wl,--build-id=none")
set(HEED_DISPATCH static CACHE STRING "")
set(HEED_BUILD_CLI OFF CACHE BOOL "")
set(HEED_BUILD_EXAMPLES OFF CACHE BOOL "")
set(HEED_BOARD_START ${CMAKE_CURRENT_LIST_DIR}/start.S)
set(HEED_BOARD_LINKER_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/board.ld)
set(HEED_BOARD_BYTES 8388608)  # memory of the self-test: all cases fit
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/run)
