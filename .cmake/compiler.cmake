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

# Options that keep arithmetic exact, whatever came before them. lib/support/arithmetic.h refuses
# what they cannot put right, and Create tries the code that they gave. GCC's -fno-fast-math leaves
# alone what was asked for by name, so each of its parts has a name here; Clang's sets contraction,
# so -ffp-contract comes last.
set(HEED_EXACT -fno-fast-math -fno-unsafe-math-optimizations -fno-associative-math
               -fno-reciprocal-math -fsigned-zeros -fno-finite-math-only)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  list(APPEND HEED_EXACT -ftrapping-math -fno-rounding-math -fno-single-precision-constant)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    list(APPEND HEED_EXACT -mfpmath=sse)
  endif()
else()
  include(CheckCXXCompilerFlag)
  set(_type ${CMAKE_TRY_COMPILE_TARGET_TYPE})
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # boards cannot link yet
  # Clang warns where one of these takes another one back, and -Werror may be the application's.
  list(PREPEND HEED_EXACT -Wno-unknown-warning-option -Wno-overriding-t-option
                          -Wno-overriding-option)
  # Without the last one Clang divides by what a select was to keep from it, and raises exceptions.
  # Clang 14 can do it for x86 alone, and warns elsewhere.
  set(CMAKE_REQUIRED_FLAGS -Werror)
  foreach(_option -fhonor-nans -fhonor-infinities -fno-approx-func -fno-rounding-math
                  -fdenormal-fp-math=ieee -ffp-eval-method=source
                  -ffp-exception-behavior=maytrap)
    string(MAKE_C_IDENTIFIER "HEED_HAS${_option}" _has)
    check_cxx_compiler_flag(${HEED_FLAG}${_option} ${_has})
    if(${_has})
      list(APPEND HEED_EXACT ${_option})
    endif()
  endforeach()
  set(CMAKE_TRY_COMPILE_TARGET_TYPE ${_type})
  unset(CMAKE_REQUIRED_FLAGS)
endif()
list(APPEND HEED_EXACT -ffp-contract=off)

# What the flags make of the CPU is known to the compiler alone; #error says what is wrong with it.
function(heed_check_cpu)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  foreach(_more "" "-msse2;-mfpmath=sse")  # 32-bit x86: GCC computes floats by x87 unless asked
    unset(HEED_IS_SUPPORTED CACHE)  # flags may have changed
    try_compile(HEED_IS_SUPPORTED ${PROJECT_BINARY_DIR}/supported
                ${PROJECT_SOURCE_DIR}/.cmake/supported.cc
                COMPILE_DEFINITIONS ${HEED_LIBRARY_OPTIONS} ${_more}
                OUTPUT_VARIABLE _said CXX_STANDARD 17)
    if(HEED_IS_SUPPORTED)
      set(HEED_EXACT ${_more} ${HEED_EXACT} PARENT_SCOPE)
      return()
    elseif(NOT _said MATCHES "SSE2")
      break()
    endif()
  endforeach()
  if(_said MATCHES "#error (heed: [^\n]*)")
    message(FATAL_ERROR "${CMAKE_MATCH_1}")
  endif()
  message(FATAL_ERROR "heed: a C++17 program of one line does not compile:\n${_said}")
endfunction()
heed_check_cpu()
list(TRANSFORM HEED_EXACT PREPEND "${HEED_FLAG}")
