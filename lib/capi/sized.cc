#include "lib/capi/sized.h"

#include <cstring>

#include "lib/support/fail.h"

namespace heed::capi {
namespace {

uint32_t SizeOf(const void* object) {
  uint32_t size;
  memcpy(&size, object, sizeof(size));
  return size;
}

// The size of this library's layout.
uint32_t KnownSize(const Layouts& layouts) { return layouts.released[layouts.count - 1]; }

}  // namespace

Status CheckSize(const void* object, const Name& name, const Layouts& layouts) {
  if (object == nullptr) return Fail(StatusCode::kNullPointer, name.argument, "an address");
  const uint32_t size = SizeOf(object);
  for (size_t i = 0; i < layouts.count; ++i) {
    if (size == layouts.released[i]) return Status();
  }
  const uint32_t known = KnownSize(layouts);
  if (size < known || size > kLargestSize) {
    return Fail(StatusCode::kBadValue, name.size, layouts.expectation, known, size);
  }
  const std::byte* bytes = static_cast<const std::byte*>(object);
  for (size_t i = known; i < size; ++i) {
    if (bytes[i] != std::byte{0}) {
      return Fail(StatusCode::kUnsupported, name.size,
                  "zeros in all fields beyond this library's size of", known, size);
    }
  }
  return Status();
}

Status Read(const void* object, const Name& name, const Layouts& layouts, void* read) {
  HEED_RETURN_IF_ERROR(CheckSize(object, name, layouts));
  const uint32_t size = SizeOf(object);
  const uint32_t known = KnownSize(layouts);
  const uint32_t bytes = size < known ? size : known;
  memcpy(read, object, bytes);
  memset(static_cast<std::byte*>(read) + bytes, 0, known - bytes);
  return Status();
}

void Write(const void* from, const Layouts& layouts, void* object) {
  constexpr size_t kSkipped = sizeof(uint32_t);
  const uint32_t size = SizeOf(object);
  const uint32_t known = KnownSize(layouts);
  memcpy(static_cast<std::byte*>(object) + kSkipped,
         static_cast<const std::byte*>(from) + kSkipped, (size < known ? size : known) - kSkipped);
}

}  // namespace heed::capi
