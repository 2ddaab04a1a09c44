// lib/core/poison.h: builds under AddressSanitizer poison the bytes between the parts of lent
// memory while a call runs, so that code that runs past its part is caught. Other builds do
// nothing.
//
// Poison begins and ends with the call. Between calls the memory is the application's to free, to
// move or to use for something else, and layers of other shapes may share it: they put their parts
// elsewhere. Parts of a worker's scratch, of keys and of values are whole lines of 64 bytes, with
// nothing between them.
#ifndef HEED_LIB_CORE_POISON_H_
#define HEED_LIB_CORE_POISON_H_

#include <cstddef>
#include <utility>

#include "heed/detail/layer_map.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEED_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEED_POISONS 1
#endif
#endif

#if defined(HEED_POISONS)
#include <sanitizer/asan_interface.h>
#endif

namespace heed {

// Calls visit(part) for every part of a map, in order of offsets. That none is forgotten is tested
// (tests/unit/memory_map_test.cc).
template <typename Visit>
void ForEachPart(const detail::WorkerMap& map, const Visit& visit) {
  for (const detail::Part* part :
       {&map.scores, &map.accumulator, &map.sums, &map.maximum, &map.inverse, &map.factors,
        &map.mask_words, &map.query, &map.int8_probabilities, &map.int8_query, &map.query_scales,
        &map.probability_scales, &map.probability_inverses}) {
    visit(*part);
  }
}
template <typename Visit>
void ForEachPart(const detail::SdpaMap& map, const Visit& visit) {
  for (const detail::Part* part :
       {&map.kv.keys, &map.kv.values, &map.kv.value_kind, &map.workers}) {
    visit(*part);
  }
}
template <typename Visit>
void ForEachPart(const detail::WorkspaceMap& map, const Visit& visit) {
  for (const detail::Part* part :
       {&map.heads, &map.kv.keys, &map.kv.values, &map.kv.value_kind, &map.workers}) {
    visit(*part);
  }
  for (const detail::QuantizedMap* input :
       {&map.quantized_query, &map.quantized_key, &map.quantized_value}) {
    for (const detail::Part* part : {&input->integers, &input->scales, &input->block_offsets}) {
      visit(*part);
    }
  }
  for (const detail::Part* part : {&map.backend_rows, &map.query_turns, &map.key_turns}) {
    visit(*part);
  }
}

// Calls visit(offset, bytes) for what lies between the end of each part and the next line.
template <typename Map, typename Visit>
void ForEachGap(const Map& map, const Visit& visit) {
  ForEachPart(map, [&](const detail::Part& part) {
    const size_t bytes = sizes::RoundUp(part.bytes, sizes::kAlignment) - part.bytes;
    if (bytes != 0) visit(part.offset + part.bytes, bytes);
  });
}

// The gaps of the map that make_map() returns are poisoned as long as this object lives.
#if defined(HEED_POISONS)
template <typename MakeMap>
class PoisonedGaps {
 public:
  PoisonedGaps(const MakeMap& make_map, const std::byte* base) : map_(make_map()), base_(base) {
    ForEachGap(map_, [this](size_t offset, size_t bytes) {
      __asan_poison_memory_region(base_ + offset, bytes);
    });
  }
  ~PoisonedGaps() {
    ForEachGap(map_, [this](size_t offset, size_t bytes) {
      __asan_unpoison_memory_region(base_ + offset, bytes);
    });
  }
  PoisonedGaps(const PoisonedGaps&) = delete;
  PoisonedGaps& operator=(const PoisonedGaps&) = delete;

 private:
  const decltype(std::declval<MakeMap>()()) map_;
  const std::byte* const base_;
};
#else
template <typename MakeMap>
struct PoisonedGaps {
  PoisonedGaps(const MakeMap&, const std::byte*) {}
};
#endif

}  // namespace heed

#endif  // HEED_LIB_CORE_POISON_H_
