# Tests under AddressSanitizer and UndefinedBehaviorSanitizer. `make test-sanitize` builds them with
# Clang, which finds more; CMAKE_FLAGS="-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++" with GCC.
set(HEED_SANITIZE ON CACHE BOOL "")
