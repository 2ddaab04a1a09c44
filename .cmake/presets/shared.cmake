# The same as release.cmake with a shared library.
include(${CMAKE_CURRENT_LIST_DIR}/release.cmake)
set(BUILD_SHARED_LIBS ON CACHE BOOL "")
