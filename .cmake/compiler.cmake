# Which compilers and CPUs heed can be built with. Stops in plain words for the others.
# HEED_FLAG goes before every option that is written as GCC and Clang take it; clang-cl wants
# /clang: there.
set(HEED_FLAG "")
if(CMAKE_CXX_COMPILER_ID STREQUAL MSVC)
  message(FATAL_ERROR
    "heed cannot be built with Microsoft's compiler (cl.exe): its sources use built-in functions "
    "and attributes that GCC and Clang have, such as __builtin_fmaf. Choose Clang: "
    "in Visual Studio the toolset ClangCL (cmake -T ClangCL), elsewhere "
    "-DCMAKE_C_COMPILER=clang-cl -DCMAKE_CXX_COMPILER=clang-cl. Nobody has tried that yet.")
elseif(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL MSVC)
  set(HEED_FLAG "/clang:")
  message(WARNING "heed was never built with clang-cl: run `heed selftest` before you trust it")
elseif(NOT CMAKE_CXX_COMPILER_ID MATCHES "^(GNU|Clang|AppleClang)$")
  message(WARNING "heed is tested with GCC and Clang alone, and this compiler is "
                  "${CMAKE_CXX_COMPILER_ID}: run `heed selftest` before you trust it")
endif()

# What the flags make of the CPU is known to the compiler alone; #error says what is wrong with it.
function(heed_check_cpu)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  unset(HEED_IS_SUPPORTED CACHE)  # flags may have changed
  try_compile(HEED_IS_SUPPORTED ${PROJECT_BINARY_DIR}/supported
              ${PROJECT_SOURCE_DIR}/.cmake/supported.cc
              COMPILE_DEFINITIONS ${HEED_LIBRARY_OPTIONS} OUTPUT_VARIABLE _said CXX_STANDARD 17)
  if(HEED_IS_SUPPORTED)
    return()
  endif()
  if(_said MATCHES "#error (heed: [^\n]*)")
    message(FATAL_ERROR "${CMAKE_MATCH_1}")
  endif()
  message(FATAL_ERROR "heed: a C++17 program of one line does not compile:\n${_said}")
endfunction()
heed_check_cpu()
