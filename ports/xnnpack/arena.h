// xnnpack/arena.h: what XNNPACK allocates from: one block, first fit, neighbours joined when freed.
#ifndef HEED_PORTS_XNNPACK_ARENA_H_
#define HEED_PORTS_XNNPACK_ARENA_H_

#include <cstddef>
#include <mutex>

#include <heed/tensor.h>

namespace heed {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;  // of each allocation; also the size of a header

  constexpr Arena() = default;

  // Replaces the block and forgets the counts; only while nothing is allocated.
  void Reset(MutableBytes block);

  void* Allocate(size_t size);  // null where no gap is large enough; aligned to 64
  void* Reallocate(void* pointer, size_t size);
  void Free(void* pointer);  // null is ignored

  struct Counts {
    size_t block_bytes = 0;
    size_t bytes = 0;       // in use, rounded up to 64, headers of 64 included
    size_t peak_bytes = 0;
    size_t live = 0;        // allocations not freed
    size_t made = 0;        // allocations since Reset
    size_t refused = 0;     // and those that found no room
    size_t last_refused_bytes = 0;
  };
  Counts counts();

 private:
  struct Header {
    size_t bytes;  // with the header; the next one follows
    bool used;
  };
  static_assert(sizeof(Header) <= kAlignment);

  Header* NextOf(Header* header) const;
  void* AllocateLocked(size_t size);
  void FreeLocked(void* pointer);

  std::mutex mutex_;
  std::byte* begin_ = nullptr;
  std::byte* end_ = nullptr;
  Counts counts_;
};

}  // namespace heed

#endif  // HEED_PORTS_XNNPACK_ARENA_H_
