# XNNPACK 20241108 and pthreadpool where they are found, for ports/xnnpack, ports/threads and the
# benchmark. Sets HEED_HAS_XNNPACK and HEED_HAS_PTHREADPOOL; the targets are heed_xnnpack_archives
# and heed_pthreadpool_library.
set(HEED_XNNPACK_DIR "" CACHE STRING
    "include/ and lib/ of XNNPACK 20241108 (make: what `make xnnpack` built); OFF: none")
set(HEED_HAS_XNNPACK OFF)
set(HEED_HAS_PTHREADPOOL OFF)

set(_dir ${HEED_XNNPACK_DIR})
if(_dir)
  get_filename_component(_dir ${_dir} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
  set(_archives)
  foreach(_name XNNPACK microkernels-prod pthreadpool cpuinfo)
    if(NOT EXISTS ${_dir}/lib/lib${_name}.a)
      message(FATAL_ERROR "HEED_XNNPACK_DIR: no lib/lib${_name}.a in ${_dir}")
    endif()
    list(APPEND _archives ${_dir}/lib/lib${_name}.a)
  endforeach()
  add_library(heed_xnnpack_archives INTERFACE)
  target_include_directories(heed_xnnpack_archives SYSTEM INTERFACE ${_dir}/include)
  target_link_libraries(heed_xnnpack_archives INTERFACE ${_archives} Threads::Threads m)
  # The pool that XNNPACK was built with; a second one beside it would clash.
  add_library(heed_pthreadpool_library ALIAS heed_xnnpack_archives)
  set(HEED_HAS_XNNPACK ON)
  set(HEED_HAS_PTHREADPOOL ON)
  message(STATUS "XNNPACK: ${_dir}")
elseif(TARGET pthreadpool)  # that of the project around heed
  add_library(heed_pthreadpool_library ALIAS pthreadpool)
  set(HEED_HAS_PTHREADPOOL ON)
elseif(NOT CMAKE_CROSSCOMPILING)
  find_path(HEED_PTHREADPOOL_INCLUDE pthreadpool.h)
  find_library(HEED_PTHREADPOOL_LIBRARY pthreadpool)
  if(HEED_PTHREADPOOL_INCLUDE AND HEED_PTHREADPOOL_LIBRARY)
    add_library(heed_pthreadpool_library INTERFACE)
    target_include_directories(heed_pthreadpool_library SYSTEM INTERFACE
                               ${HEED_PTHREADPOOL_INCLUDE})
    target_link_libraries(heed_pthreadpool_library INTERFACE ${HEED_PTHREADPOOL_LIBRARY}
                          Threads::Threads)
    set(HEED_HAS_PTHREADPOOL ON)
  endif()
endif()
if(HEED_IS_TOP_LEVEL AND NOT HEED_HAS_XNNPACK)
  message(STATUS "XNNPACK: none, so ports/xnnpack and its tests are left out; see `make xnnpack`")
endif()
if(HEED_IS_TOP_LEVEL AND NOT HEED_HAS_PTHREADPOOL)
  message(STATUS "pthreadpool: none, so its executor and the test of it are left out")
endif()
