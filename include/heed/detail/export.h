/* heed/detail/export.h: HEED_EXPORT marks what a shared library of heed shows. In a static library
 * nothing is marked: the names of an archive stay inside the program or library it is linked to.
 * HEED_BUILDS_SHARED is defined while the library itself is compiled; applications never set it. */
#ifndef HEED_DETAIL_EXPORT_H_
#define HEED_DETAIL_EXPORT_H_

#if defined(HEED_BUILDS_SHARED) && defined(_WIN32)
#define HEED_EXPORT __declspec(dllexport)
#elif defined(HEED_BUILDS_SHARED)
#define HEED_EXPORT __attribute__((visibility("default")))
#else
#define HEED_EXPORT
#endif

/* Structs are laid out here as in the library: no -fpack-struct, no #pragma pack left open. */
struct heed_padded {
  char first;
  void* second;
};
#ifdef __cplusplus
static_assert(sizeof(heed_padded) == 2 * sizeof(void*),
              "heed needs padded structs: no -fpack-struct, no #pragma pack left open");
#else
typedef char heed_needs_padded_structs[sizeof(struct heed_padded) == 2 * sizeof(void*) ? 1 : -1];
#endif

#endif /* HEED_DETAIL_EXPORT_H_ */
