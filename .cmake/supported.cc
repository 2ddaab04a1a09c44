// .cmake/supported.cc: compiled while CMake configures; an #error says why heed cannot be built.
#if defined(__i386__) && !defined(__SSE2_MATH__)
#error heed: on 32-bit x86 floats must be computed by SSE2, not by x87: -msse2 -mfpmath=sse
#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error heed: this CPU keeps the high byte first, and packed files keep the low byte first
#endif
int heed_is_supported = 1;
