# Header-only libraries of the host (doctest, nlohmann-json, CLI11) under an include folder of
# their own: adding /usr/include itself to a cross compiler would mix two C libraries.
function(heed_link_host_headers target folder)
  find_path(HEED_${folder}_ROOT NAMES ${folder} PATHS /usr/include /usr/local/include
            NO_CMAKE_FIND_ROOT_PATH)
  if(NOT HEED_${folder}_ROOT)
    message(FATAL_ERROR "the headers of ${folder} are missing: run `make deps`")
  endif()
  set(_links ${PROJECT_BINARY_DIR}/host_headers)
  file(MAKE_DIRECTORY ${_links})
  if(NOT EXISTS ${_links}/${folder})
    file(CREATE_LINK ${HEED_${folder}_ROOT}/${folder} ${_links}/${folder} SYMBOLIC)
  endif()
  target_include_directories(${target} SYSTEM PRIVATE ${_links})
endfunction()
