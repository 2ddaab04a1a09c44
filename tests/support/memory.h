// tests/support/memory.h: memory for tests: exactly sized and aligned, or between guard pages.
#ifndef HEED_TESTS_SUPPORT_MEMORY_H_
#define HEED_TESTS_SUPPORT_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "heed/tensor.h"

namespace heed::test {

// `size` bytes aligned to 64 and not one more, so that AddressSanitizer sees a step too far.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size, uint8_t fill = 0xa5)
      : data_(static_cast<std::byte*>(::operator new(size, std::align_val_t{64}))), size_(size) {
    memset(data_.get(), fill, size);
  }
  std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  MutableBytes bytes() const { return MutableBytes(data_.get(), size_); }
  std::vector<std::byte> Copy() const {
    return std::vector<std::byte>(data_.get(), data_.get() + size_);
  }

 private:
  struct Delete {
    void operator()(std::byte* data) const { ::operator delete(data, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Delete> data_;
  size_t size_ = 0;
};

// Where a guarded buffer lies between its two pages without access.
enum class Side { kLeft, kRight };  // kLeft: starts at the page; kRight: ends at the next one

// Pages of memory with a page without any access before and behind them.
class GuardedPages {
 public:
  GuardedPages(size_t bytes, Side side);
  ~GuardedPages();
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  void Freeze();  // a write faults from now on

 private:
  std::byte* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  size_t page_bytes_ = 0;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// count elements of T; a step past either end (to the page's edge) is a fault.
template <typename T>
class Guarded {
 public:
  Guarded(size_t count, Side side) : pages_(count * sizeof(T), side), count_(count) {}
  Guarded(const std::vector<T>& values, Side side) : Guarded(values.size(), side) {
    if (!values.empty()) memcpy(pages_.data(), values.data(), values.size() * sizeof(T));
    pages_.Freeze();
  }
  T* data() const { return reinterpret_cast<T*>(pages_.data()); }
  size_t size() const { return count_; }
  void Freeze() { pages_.Freeze(); }
  MutableBytes bytes() const { return MutableBytes(pages_.data(), pages_.size()); }
  std::vector<T> Copy() const { return std::vector<T>(data(), data() + count_); }

 private:
  GuardedPages pages_;
  size_t count_;
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_MEMORY_H_
