# The smallest library: f32 weights alone, for the instruction set of the compiler's flags, such as
# -DHEED_LIBRARY_OPTIONS=-march=x86-64-v3.
include(${CMAKE_CURRENT_LIST_DIR}/release.cmake)
set(HEED_BUILD_CLI OFF CACHE BOOL "")
set(HEED_DISPATCH static CACHE STRING "")
set(HEED_TYPES f32 CACHE STRING "")
