// lib/core/scratch.h: the scratch of the workers, as detail::WorkerMap lays it out.
#ifndef HEED_LIB_CORE_SCRATCH_H_
#define HEED_LIB_CORE_SCRATCH_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/memory_map.h"

namespace heed {

// The scratch of one worker. A task of attention uses its parts; a task of a projection uses all of
// it as rows of floats.
class WorkerScratch {
 public:
  WorkerScratch(const detail::WorkerMap& map, std::byte* base) : map_(map), base_(base) {}

  float* scores() const { return At<float>(map_.scores); }
  float* accumulator() const { return At<float>(map_.accumulator); }
  float* sums() const { return At<float>(map_.sums); }
  float* maximum() const { return At<float>(map_.maximum); }
  float* inverse() const { return At<float>(map_.inverse); }
  float* factors() const { return At<float>(map_.factors); }
  uint64_t* mask_words() const { return At<uint64_t>(map_.mask_words); }
  size_t num_mask_blocks() const {
    return map_.mask_words.bytes / (sizes::kQueryBlock * sizeof(uint64_t));
  }
  float* query() const { return At<float>(map_.query); }
  // Null where the map has none.
  float* unpacked() const {
    return map_.unpacked.bytes == 0 ? nullptr : At<float>(map_.unpacked);
  }
  int8_t* int8_probabilities() const { return At<int8_t>(map_.int8_probabilities); }
  int8_t* int8_query() const { return At<int8_t>(map_.int8_query); }
  float* query_scales() const { return At<float>(map_.query_scales); }
  float* probability_scales() const { return At<float>(map_.probability_scales); }
  float* probability_inverses() const { return At<float>(map_.probability_inverses); }

  float* rows() const { return reinterpret_cast<float*>(base_); }
  size_t num_floats() const { return map_.bytes / sizeof(float); }

 private:
  template <typename T>
  T* At(const detail::Part& part) const {
    return reinterpret_cast<T*>(base_ + part.offset);
  }

  const detail::WorkerMap& map_;
  std::byte* base_;
};

// The scratch of all workers, one after another.
struct Workers {
  detail::WorkerMap map;
  std::byte* base = nullptr;

  WorkerScratch operator[](size_t worker) const {
    return WorkerScratch(map, base + worker * map.bytes);
  }
};

}  // namespace heed

#endif  // HEED_LIB_CORE_SCRATCH_H_
