// tests/support/memory.cc: guard pages by mmap and mprotect. WASI has neither: its "pages" are
// filled with a pattern that has to be there at the end, which finds stray writes, and no reads.
#include "tests/support/memory.h"

#if defined(__wasi__)
#include <cstdlib>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <doctest/doctest.h>

namespace heed::test {

#if defined(__wasi__)

namespace {
constexpr uint8_t kPattern = 0xa5;
}

GuardedPages::GuardedPages(size_t bytes, Side) : page_bytes_(4096), size_(bytes) {
  mapping_bytes_ = (bytes + 63) / 64 * 64 + 2 * page_bytes_;
  mapping_ = static_cast<std::byte*>(std::aligned_alloc(64, mapping_bytes_));
  REQUIRE(mapping_ != nullptr);
  memset(mapping_, kPattern, mapping_bytes_);
  data_ = mapping_ + page_bytes_;
}

GuardedPages::~GuardedPages() {
  const auto holds_pattern = [](const std::byte* begin, const std::byte* end) {
    while (begin < end && *begin == std::byte{kPattern}) ++begin;
    return begin == end;
  };
  CHECK(holds_pattern(mapping_, data_));
  CHECK(holds_pattern(data_ + size_, mapping_ + mapping_bytes_));
  std::free(mapping_);
}

void GuardedPages::Freeze() {}

#else

GuardedPages::GuardedPages(size_t bytes, Side side) : size_(bytes) {
  page_bytes_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t inner = (bytes + page_bytes_ - 1) / page_bytes_ * page_bytes_;
  mapping_bytes_ = inner + 2 * page_bytes_;
  void* mapping =
      mmap(nullptr, mapping_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapping != MAP_FAILED);
  mapping_ = static_cast<std::byte*>(mapping);
  std::byte* const begin = mapping_ + page_bytes_;
  if (inner != 0) REQUIRE(mprotect(begin, inner, PROT_READ | PROT_WRITE) == 0);
  data_ = side == Side::kLeft ? begin : begin + (inner - bytes);
  if (inner != 0) memset(begin, 0xa5, inner);
}

GuardedPages::~GuardedPages() { munmap(mapping_, mapping_bytes_); }

void GuardedPages::Freeze() {
  const size_t inner = mapping_bytes_ - 2 * page_bytes_;
  if (inner != 0) REQUIRE(mprotect(mapping_ + page_bytes_, inner, PROT_READ) == 0);
}

#endif

}  // namespace heed::test
