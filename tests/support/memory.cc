// tests/support/memory.cc: guard pages by mmap and mprotect.
#include "tests/support/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>

namespace heed::test {

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

}  // namespace heed::test
