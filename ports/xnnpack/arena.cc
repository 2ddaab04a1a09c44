#include "xnnpack/arena.h"

#include <cstdint>
#include <cstring>
#include <new>

namespace heed {

void Arena::Reset(MutableBytes block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  counts_ = Counts();
  begin_ = end_ = nullptr;
  const size_t skipped =
      (kAlignment - reinterpret_cast<uintptr_t>(block.data) % kAlignment) % kAlignment;
  if (block.data == nullptr || block.size < skipped + kAlignment) return;
  begin_ = block.data + skipped;
  counts_.block_bytes = (block.size - skipped) / kAlignment * kAlignment;
  end_ = begin_ + counts_.block_bytes;
  new (begin_) Header{counts_.block_bytes, false};
}

Arena::Header* Arena::NextOf(Header* header) const {
  std::byte* next = reinterpret_cast<std::byte*>(header) + header->bytes;
  return next == end_ ? nullptr : reinterpret_cast<Header*>(next);
}

void* Arena::Allocate(size_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return AllocateLocked(size);
}

void* Arena::AllocateLocked(size_t size) {
  const size_t bytes = size > SIZE_MAX / 2 ? SIZE_MAX
                                           : kAlignment + (size + kAlignment - 1) / kAlignment *
                                                              kAlignment;
  for (Header* header = reinterpret_cast<Header*>(begin_); header != nullptr;
       header = NextOf(header)) {
    if (header->used || header->bytes < bytes) continue;
    if (header->bytes > bytes) {
      new (reinterpret_cast<std::byte*>(header) + bytes) Header{header->bytes - bytes, false};
      header->bytes = bytes;
    }
    header->used = true;
    ++counts_.live;
    ++counts_.made;
    counts_.bytes += bytes;
    if (counts_.bytes > counts_.peak_bytes) counts_.peak_bytes = counts_.bytes;
    return reinterpret_cast<std::byte*>(header) + kAlignment;
  }
  ++counts_.refused;
  counts_.last_refused_bytes = bytes;
  return nullptr;
}

void* Arena::Reallocate(void* pointer, size_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  void* moved = AllocateLocked(size);
  if (moved == nullptr || pointer == nullptr) return moved;
  const auto* header =
      reinterpret_cast<const Header*>(static_cast<std::byte*>(pointer) - kAlignment);
  const size_t old_size = header->bytes - kAlignment;
  memcpy(moved, pointer, old_size < size ? old_size : size);
  FreeLocked(pointer);
  return moved;
}

void Arena::Free(void* pointer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  FreeLocked(pointer);
}

void Arena::FreeLocked(void* pointer) {
  if (pointer == nullptr) return;
  auto* freed = reinterpret_cast<Header*>(static_cast<std::byte*>(pointer) - kAlignment);
  freed->used = false;
  --counts_.live;
  counts_.bytes -= freed->bytes;
  Header* header = reinterpret_cast<Header*>(begin_);
  while (Header* next = NextOf(header)) {
    if (header->used || next->used) {
      header = next;
    } else {
      header->bytes += next->bytes;
    }
  }
}

Arena::Counts Arena::counts() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

}  // namespace heed
