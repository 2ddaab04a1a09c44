# Tests under AddressSanitizer and UndefinedBehaviorSanitizer (`make test-sanitize`).
set(HEED_SANITIZE ON CACHE BOOL "")
