# Android by the NDK (ANDROID_NDK names it): arm64-v8a, static C++ runtime, pages of 16 KB.
set(ANDROID_ABI arm64-v8a CACHE STRING "")
set(ANDROID_PLATFORM android-24 CACHE STRING "")
set(ANDROID_STL c++_static CACHE STRING "")
set(HEED_BUILD_CLI OFF CACHE BOOL "")
set(HEED_BUILD_TESTS OFF CACHE BOOL "")
# Required of apps on Android 15 and up, and good on older ones.
set(ANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES ON CACHE BOOL "")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-z,max-page-size=16384")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-z,max-page-size=16384 -static-libstdc++")
if(NOT EXISTS $ENV{ANDROID_NDK}/build/cmake/android.toolchain.cmake)
  message(FATAL_ERROR "ANDROID_NDK: expected the folder of the NDK, got '$ENV{ANDROID_NDK}'")
endif()
include($ENV{ANDROID_NDK}/build/cmake/android.toolchain.cmake)
