# Highway 1.2.0 or newer: an installed package, or the release archive, which is built with heed.
# Sets HEED_HWY_PACKAGE, or for the archive HEED_HWY_INCLUDE_DIR and HEED_HWY_SOURCES. Nothing is
# installed here, and nothing is written outside of the build folder.
if(DEFINED ENV{HEED_CACHE} AND EXISTS $ENV{HEED_CACHE}/highway-1.2.0.tar.gz)
  set(_archive $ENV{HEED_CACHE}/highway-1.2.0.tar.gz)
else()
  set(_archive "")
endif()
set(HEED_HIGHWAY_ARCHIVE "${_archive}" CACHE FILEPATH "Highway's release archive 1.2.0")
option(HEED_FETCH_HIGHWAY "download that archive where there is neither it nor a package"
       ${HEED_IS_TOP_LEVEL})
set(HEED_HIGHWAY_URL https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz
    CACHE STRING "where HEED_FETCH_HIGHWAY downloads from: a mirror, or file://")
set(_sha256 7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343)
set(_ways "Do one of these:
  - install Highway, with its CMake package (Debian: libhwy-dev 1.2.0 or newer)
  - download ${HEED_HIGHWAY_URL}
    and give the file to CMake: -DHEED_HIGHWAY_ARCHIVE=FILE
  - let CMake download it: -DHEED_FETCH_HIGHWAY=ON; -DHEED_HIGHWAY_URL=URL names another address
  - run `make deps` and `make` in heed's own folder")

set(HEED_HWY_PACKAGE OFF)
# A cross build looks only where its toolchain file keeps the host's packages out.
if(NOT HEED_HIGHWAY_ARCHIVE AND
   (NOT CMAKE_CROSSCOMPILING OR CMAKE_FIND_ROOT_PATH_MODE_PACKAGE STREQUAL ONLY))
  find_package(hwy 1.2.0 CONFIG QUIET)
  if(hwy_FOUND)
    set(HEED_HWY_PACKAGE ON)
    message(STATUS "Highway: installed package ${hwy_VERSION}")
    return()
  endif()
endif()

set(_archive "${HEED_HIGHWAY_ARCHIVE}")
if(NOT _archive)
  if(NOT HEED_FETCH_HIGHWAY)
    message(FATAL_ERROR "heed needs Highway 1.2.0, and no installed package was found. ${_ways}")
  endif()
  set(_archive ${PROJECT_BINARY_DIR}/highway-1.2.0.tar.gz)
  if(NOT EXISTS ${_archive})
    message(STATUS "Highway: downloading ${HEED_HIGHWAY_URL}")
    file(DOWNLOAD ${HEED_HIGHWAY_URL} ${_archive}.part INACTIVITY_TIMEOUT 30 STATUS _status)
    list(POP_FRONT _status _code _reason)
    if(NOT _code EQUAL 0)
      file(REMOVE ${_archive}.part)
      message(FATAL_ERROR "Highway 1.2.0 could not be downloaded: ${_reason}. ${_ways}")
    endif()
    file(RENAME ${_archive}.part ${_archive})
  endif()
endif()
if(NOT EXISTS ${_archive})
  message(FATAL_ERROR "HEED_HIGHWAY_ARCHIVE: there is no file ${_archive}. ${_ways}")
endif()
file(SHA256 ${_archive} _actual)
if(NOT _actual STREQUAL _sha256)
  if(NOT HEED_HIGHWAY_ARCHIVE)
    file(REMOVE ${_archive})  # the next configure step downloads it again
  endif()
  message(FATAL_ERROR "this is not Highway's release archive 1.2.0: ${_archive}\n"
                      "SHA-256: expected ${_sha256}, got ${_actual}")
endif()
set(_source ${PROJECT_BINARY_DIR}/highway-1.2.0)
if(NOT EXISTS ${_source}/hwy/targets.cc)
  file(ARCHIVE_EXTRACT INPUT ${_archive} DESTINATION ${PROJECT_BINARY_DIR})
endif()
set(HEED_HWY_INCLUDE_DIR ${_source})
# The rest of Highway's sources prints, aborts or allocates, and nothing here needs it.
set(HEED_HWY_SOURCES ${_source}/hwy/targets.cc ${_source}/hwy/per_target.cc)
message(STATUS "Highway: release archive 1.2.0")
