# Cortex-M with an FPU: Debian's gcc-arm-none-eabi, without a C library in the image.
# HEED_CORTEX_M: m4 (mps2-an386), m7 (mps2-an500), m55 (mps3-an547).
set(HEED_CORTEX_M m4 CACHE STRING "m4, m7 or m55")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HEED_CORTEX_M)
set(_fpu_m4 fpv4-sp-d16)
set(_fpu_m7 fpv5-sp-d16)
set(_fpu_m55 auto)
set(_machine_m4 mps2-an386)
set(_machine_m7 mps2-an500)
set(_machine_m55 mps3-an547)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR cortex-${HEED_CORTEX_M})
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_NM arm-none-eabi-nm)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-${HEED_CORTEX_M} -mthumb -mfloat-abi=hard \
-mfpu=${_fpu_${HEED_CORTEX_M}} -ffunction-sections -fdata-sections")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT}")
set(HEED_DISPATCH static CACHE STRING "")
set(HEED_BUILD_CLI OFF CACHE BOOL "")
set(HEED_BUILD_EXAMPLES OFF CACHE BOOL "")
set(HEED_BOARD_START ${CMAKE_CURRENT_LIST_DIR}/start.c)
set(HEED_BOARD_LINKER_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/board.ld)
set(HEED_BOARD_BYTES 233472)  # memory of the self-test: 228 of 256 KB
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-system-arm -M ${_machine_${HEED_CORTEX_M}} -display none
    -serial none -monitor none -chardev stdio,id=out
    -semihosting-config enable=on,target=native,chardev=out -kernel)
