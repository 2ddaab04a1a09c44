// lib/kernels/floats-inl.h: HEED_FLOATS, the namespace that has the kernels of floats for the
// target that is compiled.
#undef HEED_FLOATS
#if HEED_SHARES_FLOATS
#define HEED_FLOATS N_AVX3
#else
#define HEED_FLOATS HWY_NAMESPACE
#endif
