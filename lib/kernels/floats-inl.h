// lib/kernels/floats-inl.h: HEED_FLOATS, the namespace that has the kernels of floats for the
// target that is compiled.
#undef HEED_FLOATS
#if HEED_SHARES_FLOATS && HWY_TARGET == HWY_AVX3_DL
#define HEED_FLOATS N_AVX3
#elif HEED_SHARES_FLOATS
#define HEED_FLOATS N_NEON_WITHOUT_AES
#else
#define HEED_FLOATS HWY_NAMESPACE
#endif
