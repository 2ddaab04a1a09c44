// tests/unit/capi_sized_test.cc: structs of heed.h that begin with their size: a released size
// means that release's layout, read and written between guard pages.
#include <algorithm>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "heed/heed.h"
#include "lib/capi/sized.h"
#include "tests/support/memory.h"

namespace heed::test {
namespace {

using capi::Layouts;

constexpr capi::Name kName = {"thing", "thing.size"};

// The size, then bytes 5, 6, 7 ... between guard pages.
struct Object : Guarded<uint8_t> {
  explicit Object(uint32_t size) : Guarded<uint8_t>(size, Side::kRight) {
    for (uint32_t i = 0; i < size; ++i) data()[i] = static_cast<uint8_t>(i + 1);
    memcpy(data(), &size, sizeof(size));
  }
};

// Whether each released size, and no other up to the newest, is accepted and means its layout.
void CheckReleases(const Layouts& layouts) {
  const uint32_t* end = layouts.released + layouts.count;
  REQUIRE(layouts.count > 0);
  REQUIRE(std::is_sorted(layouts.released, end));
  const uint32_t known = end[-1];
  for (uint32_t size = sizeof(size); size <= known; ++size) {
    CAPTURE(size);
    const Object object(size);
    const Status status = capi::CheckSize(object.data(), kName, layouts);
    if (std::find(layouts.released, end, size) == end) {
      CHECK(status.code == StatusCode::kBadValue);
      CHECK(status.argument == std::string("thing.size"));
      CHECK((status.expected == known && status.actual == size));
      continue;
    }
    CHECK(status.ok());
    const Guarded<uint8_t> read(known, Side::kRight);
    memset(read.data(), 0xa5, known);
    CHECK(capi::Read(object.data(), kName, layouts, read.data()).ok());
    CHECK(memcmp(read.data(), object.data(), size) == 0);
    CHECK(std::all_of(read.data() + size, read.data() + known, [](int b) { return b == 0; }));

    const Object from(known);
    memset(object.data() + sizeof(size), 0xa5, size - sizeof(size));
    capi::Write(from.data(), layouts, object.data());
    CHECK(memcmp(object.data(), &size, sizeof(size)) == 0);
    CHECK(memcmp(object.data() + sizeof(size), from.data() + sizeof(size),
                 size - sizeof(size)) == 0);
  }
}

TEST_CASE("each size that a released library had means that library's layout") {
  CheckReleases(Layouts{"a size", 1, {4}});
  CheckReleases(Layouts{"a size", 3, {8, 20, 28}});
  CheckReleases(Layouts{"a size", 4, {8, 16, 24, 64}});
}

TEST_CASE("a size beyond the newest is accepted where the bytes beyond are zero") {
  const Layouts layouts = {"a size", 2, {8, 16}};
  for (uint32_t size : {17u, 20u, 80u, capi::kLargestSize}) {
    CAPTURE(size);
    const Object object(size);
    const Status status = capi::CheckSize(object.data(), kName, layouts);
    CHECK(status.code == StatusCode::kUnsupported);
    CHECK(status.argument == std::string("thing.size"));
    memset(object.data() + 16, 0, size - 16);
    uint8_t read[16];
    CHECK(capi::Read(object.data(), kName, layouts, read).ok());
    CHECK(memcmp(read, object.data(), sizeof(read)) == 0);
    object.data()[size - 1] = 1;
    CHECK(capi::CheckSize(object.data(), kName, layouts).code == StatusCode::kUnsupported);
  }
  const uint32_t unset[] = {0, capi::kLargestSize + 1, 0xa5a5a5a5u, 0xffffffffu};
  for (const uint32_t& size : unset) {  // what lies after the size is not read
    CHECK(capi::CheckSize(&size, kName, layouts).code == StatusCode::kBadValue);
  }
  CHECK(capi::CheckSize(nullptr, kName, layouts).code == StatusCode::kNullPointer);
}

template <typename Struct>
void CheckStruct(const Struct& init) {
  CheckReleases(capi::LayoutsOf<Struct>());
  CHECK(init.size == sizeof(Struct));
}

TEST_CASE("every struct accepts its released sizes, and its macro sets the newest in C++ too") {
  CheckStruct<heed_attention_config>(HEED_ATTENTION_CONFIG_INIT);
  CheckStruct<heed_limits>(HEED_LIMITS_INIT);
  CheckStruct<heed_cache_limits>(HEED_CACHE_LIMITS_INIT);
  CheckStruct<heed_create_options>(HEED_CREATE_OPTIONS_INIT);
  CheckStruct<heed_executor>(HEED_EXECUTOR_INIT);
  CheckStruct<heed_forward_args>(HEED_FORWARD_ARGS_INIT);
  CheckStruct<heed_explanation>(HEED_EXPLANATION_INIT);
  CheckStruct<heed_sdpa_limits>(HEED_SDPA_LIMITS_INIT);
  CheckStruct<heed_sdpa_args>(HEED_SDPA_ARGS_INIT);
  CheckStruct<heed_layer_tensors>(HEED_LAYER_TENSORS_INIT);
}

}  // namespace
}  // namespace heed::test
