# cmake -C .cmake/presets/release.cmake -S . -B BUILD: the library and the program, no tests.
set(CMAKE_BUILD_TYPE Release CACHE STRING "")
set(HEED_BUILD_EXAMPLES OFF CACHE BOOL "")
set(HEED_BUILD_TESTS OFF CACHE BOOL "")
