// bench/aligned.h: buffers at multiples of 64 bytes, as fast code likes them.
#ifndef HEED_BENCH_ALIGNED_H_
#define HEED_BENCH_ALIGNED_H_

#include <cstddef>
#include <new>
#include <vector>

namespace heed::bench {

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}  // NOLINT: allocators convert
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* data, size_t) { ::operator delete(data, kAlignment); }
  bool operator==(const AlignedAllocator&) const { return true; }
  bool operator!=(const AlignedAllocator&) const { return false; }
};

using Floats = std::vector<float, AlignedAllocator<float>>;
using Buffer = std::vector<std::byte, AlignedAllocator<std::byte>>;

}  // namespace heed::bench

#endif  // HEED_BENCH_ALIGNED_H_
