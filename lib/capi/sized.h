// lib/capi/sized.h: structs that begin with their size in bytes: which sizes are accepted, and how
// they are read and written.
//
// A struct only grows at its end, and never has padding there: the size of an older layout is the
// offset of the first field that came after it. To append fields, put that offset in front of the
// struct's released sizes.
#ifndef HEED_LIB_CAPI_SIZED_H_
#define HEED_LIB_CAPI_SIZED_H_

#include <cstddef>
#include <cstdint>

#include "heed/heed.h"
#include "heed/status.h"
#include "lib/support/arithmetic.h"

namespace heed::capi {

// A larger size is not a struct but bytes that nobody set.
inline constexpr uint32_t kLargestSize = 4096;

// The layouts that a struct has had in released libraries.
struct Layouts {
  const char* expectation;  // the expectation of a refused size, for the Status
  size_t count;
  uint32_t released[4];  // sizes in bytes, oldest first; the last is this library's
};

template <typename Struct>
inline constexpr Layouts kLayouts = {};  // below, for each struct of heed.h that has a size

template <typename... Sizes>
constexpr Layouts Released(const char* expectation, Sizes... sizes) {
  return Layouts{expectation, sizeof...(sizes), {static_cast<uint32_t>(sizes)...}};
}

#define HEED_LAYOUTS(type, init, last_field, ...)                                          \
  template <>                                                                              \
  inline constexpr Layouts kLayouts<type> = Released("what " init " sets,", __VA_ARGS__);  \
  static_assert(offsetof(type, size) == 0);                                                \
  static_assert(offsetof(type, last_field) + sizeof(type::last_field) == sizeof(type))

//           struct                 macro                         last field     sizes of ABI 3, ...
HEED_LAYOUTS(heed_attention_config, "HEED_ATTENTION_CONFIG_INIT", reserved,
             offsetof(heed_attention_config, rope_style), sizeof(heed_attention_config));
HEED_LAYOUTS(heed_limits, "HEED_LIMITS_INIT", cached, offsetof(heed_limits, cached),
             sizeof(heed_limits));
HEED_LAYOUTS(heed_cache_limits, "HEED_CACHE_LIMITS_INIT", value_type, sizeof(heed_cache_limits));
HEED_LAYOUTS(heed_create_options, "HEED_CREATE_OPTIONS_INIT", target, sizeof(heed_create_options));
HEED_LAYOUTS(heed_executor, "HEED_EXECUTOR_INIT", min_multiply_adds, sizeof(heed_executor));
HEED_LAYOUTS(heed_forward_args, "HEED_FORWARD_ARGS_INIT", first_keys,
             offsetof(heed_forward_args, window_right), offsetof(heed_forward_args, positions),
             sizeof(heed_forward_args));
HEED_LAYOUTS(heed_explanation, "HEED_EXPLANATION_INIT", tiles_skipped, sizeof(heed_explanation));
HEED_LAYOUTS(heed_sdpa_limits, "HEED_SDPA_LIMITS_INIT", max_workers, sizeof(heed_sdpa_limits));
HEED_LAYOUTS(heed_sdpa_args, "HEED_SDPA_ARGS_INIT", first_keys,
             offsetof(heed_sdpa_args, window_right), offsetof(heed_sdpa_args, first_keys),
             sizeof(heed_sdpa_args));
HEED_LAYOUTS(heed_layer_tensors, "HEED_LAYER_TENSORS_INIT", k_norm_weight,
             offsetof(heed_layer_tensors, rope_frequencies), sizeof(heed_layer_tensors));
#undef HEED_LAYOUTS

// How errors name an argument and its size.
struct Name {
  const char* argument;
  const char* size;
};
inline constexpr Name kArgs = {"args", "args.size"};
inline constexpr Name kConfig = {"config", "config.size"};
inline constexpr Name kExecutor = {"executor", "executor.size"};
inline constexpr Name kExpected = {"expected", "expected.size"};
inline constexpr Name kExplanation = {"explanation", "explanation.size"};
inline constexpr Name kLimits = {"limits", "limits.size"};
inline constexpr Name kOptions = {"options", "options.size"};
inline constexpr Name kResolved = {"resolved", "resolved.size"};
inline constexpr Name kTensors = {"tensors", "tensors.size"};

// object begins with a uint32_t, its size in bytes. kNullPointer; kBadValue for a size that no
// released library had; kUnsupported for a larger struct in which a byte after those that this
// library knows is not zero.
Status CheckSize(const void* object, const Name& name, const Layouts& layouts);

// The same, then *read = *object, with zeros in the fields that its size leaves out.
Status Read(const void* object, const Name& name, const Layouts& layouts, void* read);
// Writes the fields that a checked object has room for; its size stays.
void Write(const void* from, const Layouts& layouts, void* object);

template <typename Struct>
constexpr const Layouts& LayoutsOf() {
  constexpr const Layouts& layouts = kLayouts<Struct>;
  static_assert(layouts.count > 0 && layouts.released[layouts.count - 1] == sizeof(Struct));
  return layouts;
}
template <typename Struct>
Status CheckSize(const Struct* object, const Name& name) {
  return CheckSize(object, name, LayoutsOf<Struct>());
}
template <typename Struct>
Status Read(const Struct* object, const Name& name, Struct* read) {
  return Read(object, name, LayoutsOf<Struct>(), read);
}
template <typename Struct>
void Write(const Struct& from, Struct* object) {
  Write(&from, LayoutsOf<Struct>(), object);
}

}  // namespace heed::capi

#endif  // HEED_LIB_CAPI_SIZED_H_
