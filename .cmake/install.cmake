# cmake --install: headers, archive, program, find_package(heed) and heed.pc.
include(CMakePackageConfigHelpers)
set(HEED_PC_REQUIRES "")
if(HEED_HWY_PACKAGE)
  set(HEED_PC_REQUIRES "libhwy >= 1.2.0")
endif()
set(_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
install(TARGETS heed EXPORT heed-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/heed DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET heed_cli)
  install(TARGETS heed_cli EXPORT heed-targets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(EXPORT heed-targets NAMESPACE heed:: DESTINATION ${_cmake_dir})
configure_package_config_file(.cmake/heed-config.cmake.in ${PROJECT_BINARY_DIR}/heed-config.cmake
                              INSTALL_DESTINATION ${_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/heed-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/heed-config.cmake
              ${PROJECT_BINARY_DIR}/heed-config-version.cmake DESTINATION ${_cmake_dir})
configure_file(.cmake/heed.pc.in ${PROJECT_BINARY_DIR}/heed.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/heed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
