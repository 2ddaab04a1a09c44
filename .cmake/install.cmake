# cmake --install: headers, library, ports of threads, program, find_package(heed) and heed.pc.
include(CMakePackageConfigHelpers)
set(_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
set(_ports_dir ${CMAKE_INSTALL_INCLUDEDIR}/heed/ports)
install(DIRECTORY include/heed DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(_targets heed)
set(HEED_HAS_THREADS OFF)
if(TARGET heed_threads)
  set(HEED_HAS_THREADS ON)
  list(APPEND _targets heed_threads)
  install(FILES ports/threads/thread_pool.h DESTINATION ${_ports_dir}/threads)
endif()
if(TARGET heed_cli)
  list(APPEND _targets heed_cli)
endif()
install(TARGETS ${_targets} EXPORT heed-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT heed-targets NAMESPACE heed:: DESTINATION ${_cmake_dir})
if(TARGET heed_pthreadpool)  # apart: an application without a pthreadpool does not need it
  install(TARGETS heed_pthreadpool EXPORT heed-pthreadpool
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT heed-pthreadpool NAMESPACE heed:: DESTINATION ${_cmake_dir})
  install(FILES ports/threads/pthreadpool_executor.h DESTINATION ${_ports_dir}/threads)
endif()
if(TARGET heed_cli AND BUILD_SHARED_LIBS)  # the installed program finds its library
  file(RELATIVE_PATH _from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set(_program "$ORIGIN")
  if(APPLE)
    set(_program "@loader_path")
  endif()
  set_target_properties(heed_cli PROPERTIES INSTALL_RPATH "${_program}/${_from_program}")
endif()

get_target_property(_type heed TYPE)
set(HEED_IS_STATIC ON)
if(_type STREQUAL SHARED_LIBRARY)
  set(HEED_IS_STATIC OFF)
endif()
configure_package_config_file(.cmake/heed-config.cmake.in ${PROJECT_BINARY_DIR}/heed-config.cmake
                              INSTALL_DESTINATION ${_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/heed-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/heed-config.cmake
              ${PROJECT_BINARY_DIR}/heed-config-version.cmake DESTINATION ${_cmake_dir})

# heed.pc finds the prefix from its own place, so that an installed tree may be moved. Absolute
# folders, as some distributions give them, are taken as they are.
set(HEED_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(HEED_PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(HEED_PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH _up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  set(HEED_PC_PREFIX "\${pcfiledir}/${_up}")
  string(REGEX REPLACE "/$" "" HEED_PC_PREFIX ${HEED_PC_PREFIX})
  set(HEED_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(HEED_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(HEED_PC_REQUIRES "")
if(HEED_HWY_PACKAGE AND HEED_IS_STATIC)
  set(HEED_PC_REQUIRES "Requires: libhwy >= 1.2.0\n")
endif()
configure_file(.cmake/heed.pc.in ${PROJECT_BINARY_DIR}/heed.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/heed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
