// tests/unit/hostile_cache_test.cc: Attach survives any bytes, and a cache that it accepts stays
// inside its block. Blocks lie between guard pages, so that an access outside them ends the test.
#include <cstring>

#include <doctest/doctest.h>

#include "lib/core/cache.h"
#include "lib/reference/kernels.h"
#include "lib/support/crc32c.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr auto kConfig = AttentionConfig::GroupedQuery(8, 4, 2);  // head_dim 2

CacheLimits SmallLimits(bool is_ring, CacheType type = CacheType::kF32) {
  CacheLimits limits;
  limits.max_batch = 3;
  if (is_ring) {
    limits.window = 20;
    limits.max_new_rows = 7;
    limits.first_keys = 3;
  } else {
    limits.capacity = 130;
  }
  limits.type = type;
  return limits;
}

// The bytes of a cache in use.
std::vector<std::byte> GoodBlock(const CacheLimits& limits) {
  const OwnedCache made(kConfig, limits);
  for (uint32_t i = 0; i < limits.max_batch; ++i) {
    CacheAccess::NoteOverwriting(made.cache, i, 50 + 40 * i);
    CacheAccess::Lengths(made.cache)[i] = 50 + 40 * i;
  }
  return made.block.Copy();
}

CacheHeader HeaderOf(const std::byte* block) {
  CacheHeader header;
  memcpy(&header, block, sizeof(header));
  return header;
}

void WriteHeader(CacheHeader header, std::byte* block) {
  header.crc = 0;
  header.crc = Crc32c(&header, sizeof(header));
  memcpy(block, &header, sizeof(header));
}

// Attaches to a block between guard pages. Neither success nor refusal changes its bytes.
Status AttachTo(const Guarded<std::byte>& block, KvCache* cache) {
  const std::vector<std::byte> before = block.Copy();
  const Status status = KvCache::Attach(kConfig, block.bytes(), cache);
  CHECK(block.Copy() == before);
  CHECK(cache->is_attached() == status.ok());
  if (!status.ok()) CHECK(status.argument != nullptr);
  return status;
}

// Calls everything that a cache offers.
void Use(KvCache* cache, Random& random) {
  REQUIRE(cache->limits().max_batch < 1000);
  const uint32_t batch = cache->limits().max_batch;
  for (int i = 0; i < 4; ++i) {
    const auto any = [&] { return static_cast<uint32_t>(random.Below(batch)); };
    const uint32_t entry = any();
    CHECK(cache->length(entry) <= CacheAccess::MaxLength(*cache));
    (void)cache->Truncate(entry, static_cast<uint32_t>(random.Below(200))).ok();
    CHECK(cache->CopyEntry(any(), any()).ok());
    std::vector<uint32_t> map(batch);
    for (uint32_t& source : map) source = any();
    CHECK(cache->Reorder(map.data(), map.size()).ok());
    (void)CacheAccess::Check(*cache, Resolved(kConfig)).ok();
    const KvStore store = CacheAccess::StoreOf(*cache, reference::kKernels);
    const uint32_t length = CacheAccess::Length(*cache, entry);
    if (length >= CacheAccess::MaxLength(*cache)) continue;
    const float row[4] = {1, 2, 3, 4};
    KvRows rows;
    rows.data = row;
    rows.num_heads = 2;
    rows.batch = entry;
    rows.first_key = length;
    rows.count = 1;
    for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
      rows.side = side;
      store.Put(rows);
    }
  }
  CHECK(cache->Reset().ok());
}

TEST_CASE("a cache with any single bit of its header flipped is refused") {
  for (const bool is_ring : {false, true}) {
    const std::vector<std::byte> good = GoodBlock(SmallLimits(is_ring));
    const Guarded<std::byte> block(good.size(), Side::kRight);
    memcpy(block.data(), good.data(), good.size());
    for (size_t bit = 0; bit < sizeof(CacheHeader) * 8; ++bit) {
      CAPTURE(bit);
      block.data()[bit / 8] ^= std::byte{1} << bit % 8;
      KvCache cache;
      const Status status = AttachTo(block, &cache);
      CHECK(status.code == (bit < 32   ? StatusCode::kBadMagic
                            : bit < 64 ? StatusCode::kBadVersion
                                       : StatusCode::kBadChecksum));
      block.data()[bit / 8] ^= std::byte{1} << bit % 8;
    }
    KvCache cache;
    CHECK(AttachTo(block, &cache).ok());
  }
}

TEST_CASE("a cache with any bit of its entries' words flipped is refused, or stays in its block") {
  for (const bool is_ring : {false, true}) {
    const CacheLimits limits = SmallLimits(is_ring);
    const std::vector<std::byte> good = GoodBlock(limits);
    const Guarded<std::byte> block(good.size(), Side::kRight);
    const size_t end = is_ring ? 64 * 5 : 64 * 4;  // lengths, oldest blocks, scratch
    size_t refused = 0;
    Random random(1);
    for (size_t bit = sizeof(CacheHeader) * 8; bit < end * 8; ++bit) {
      CAPTURE(bit);
      memcpy(block.data(), good.data(), good.size());
      block.data()[bit / 8] ^= std::byte{1} << bit % 8;
      KvCache cache;
      const Status status = AttachTo(block, &cache);
      if (!status.ok()) {
        CHECK(status.code == StatusCode::kBadPayload);
        CHECK(Names(status, "block"));
        ++refused;
        continue;
      }
      Use(&cache, random);
    }
    CHECK(refused > 3 * (is_ring ? 2 + 29 : 24));
  }
}

TEST_CASE("lengths that change after Attach, to anything, lead nowhere outside") {
  for (uint64_t seed = 0; seed < Effort(2000, 300); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::vector<std::byte> good = GoodBlock(SmallLimits(random.Chance(50)));
    const Guarded<std::byte> block(good.size(), random.Chance(50) ? Side::kRight : Side::kLeft);
    memcpy(block.data(), good.data(), good.size());
    KvCache cache;
    REQUIRE(AttachTo(block, &cache).ok());
    for (size_t i = sizeof(CacheHeader); i < 64 * 4; ++i) {
      block.data()[i] = std::byte(random.Next() & 0xff);
    }
    Use(&cache, random);
  }
}

TEST_CASE("a block cut anywhere is refused, and a longer one is accepted") {
  const std::vector<std::byte> good = GoodBlock(SmallLimits(true));
  for (size_t size = 0; size < good.size(); size += size < 1024 ? 1 : Effort(5, 37)) {
    const std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    const Guarded<std::byte> block(cut, size % 64 == 0 ? Side::kRight : Side::kLeft);
    KvCache cache;
    const Status status = KvCache::Attach(kConfig, block.bytes(), &cache);
    if (status.code != StatusCode::kBlockTooSmall) FAIL_CHECK("size ", size, ": ", Text(status));
  }
  const AlignedBytes longer(good.size() + 100);
  memcpy(longer.data(), good.data(), good.size());
  KvCache cache;
  CHECK(KvCache::Attach(kConfig, longer.bytes(), &cache).ok());
  CHECK(cache.block().size == good.size());
  for (const size_t shift : {1, 4, 16, 32}) {
    const AlignedBytes shifted(good.size() + 64);
    memcpy(shifted.data() + shift, good.data(), good.size());
    KvCache none;
    CHECK(KvCache::Attach(kConfig, MutableBytes(shifted.data() + shift, good.size()), &none).code ==
          StatusCode::kMisaligned);
    CHECK(!none.is_attached());
  }
}

TEST_CASE("a packed file, zeros, and random bytes are no cache") {
  Random random(5);
  const AlignedBytes file = Pack(NormalLayer(Shape(8, 2), random));
  KvCache cache;
  const Status status = KvCache::Attach(kConfig, file.bytes(), &cache);
  CHECK(status.code == StatusCode::kBadMagic);
  const AlignedBytes zeros(4096, 0);
  CHECK(KvCache::Attach(kConfig, zeros.bytes(), &cache).code == StatusCode::kBadMagic);
  for (int i = 0; i < 200; ++i) {
    const AlignedBytes noise(4096);
    for (size_t at = 0; at < noise.size(); ++at) {
      noise.data()[at] = std::byte(random.Next() & 0xff);
    }
    CHECK(KvCache::Attach(kConfig, noise.bytes(), &cache).code == StatusCode::kBadMagic);
  }
  CHECK(!cache.is_attached());
}

TEST_CASE("a cache of a later version, and one with reserved bytes in use, are refused") {
  const std::vector<std::byte> good = GoodBlock(SmallLimits(false));
  const Guarded<std::byte> block(good.size(), Side::kRight);
  memcpy(block.data(), good.data(), good.size());
  CacheHeader header = HeaderOf(block.data());
  header.version = 2;
  WriteHeader(header, block.data());
  KvCache cache;
  CHECK(AttachTo(block, &cache).code == StatusCode::kBadVersion);
  for (size_t i = 0; i < sizeof(header.reserved) / sizeof(uint32_t); ++i) {
    memcpy(block.data(), good.data(), good.size());
    header = HeaderOf(block.data());
    header.reserved[i] = 1u << i;
    WriteHeader(header, block.data());
    CHECK(AttachTo(block, &cache).code == StatusCode::kBadHeader);
  }
}

TEST_CASE("headers of silly numbers with a true checksum are refused, or used within their block") {
  const uint32_t edges[] = {0, 1, 2, 3, 4, 7, 20, 64, 65, 130, 255, 1u << 20, (1u << 20) + 1,
                            1u << 29, 1u << 31, 0xffffffffu, 0x7fc00000u};
  size_t attached = 0;
  for (uint64_t seed = 0; seed < Effort(20000, 3000); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::vector<std::byte> good =
        GoodBlock(SmallLimits(random.Chance(50), kCacheTypes[random.Below(3)]));
    const Guarded<std::byte> block(good.size(), random.Chance(50) ? Side::kRight : Side::kLeft);
    memcpy(block.data(), good.data(), good.size());
    for (size_t edits = random.Between(0, 3); edits > 0; --edits) {
      const uint32_t value = random.Chance(80) ? edges[random.Below(sizeof(edges) / 4)]
                                               : static_cast<uint32_t>(random.Next());
      memcpy(block.data() + 8 + 4 * random.Below(30), &value, sizeof(value));
    }
    WriteHeader(HeaderOf(block.data()), block.data());
    KvCache cache;
    if (!AttachTo(block, &cache).ok()) continue;
    ++attached;
    CHECK(cache.block().size <= block.size());
    Use(&cache, random);
  }
  CHECK(attached > 100);  // those without edits
}

TEST_CASE("limits of any numbers give a cache of KvCacheBytes, or a refusal without a write") {
  size_t made = 0;
  for (uint64_t seed = 0; seed < Effort(5000, 1000); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const uint32_t edges[] = {0, 0, 1, 2, 63, 64, 65, 200, 1u << 20, (1u << 20) + 1, 0xffffffffu};
    const auto any = [&] { return edges[random.Below(random.Chance(85) ? 8 : 11)]; };
    CacheLimits limits;
    limits.max_batch = any();
    limits.capacity = any();
    limits.max_new_rows = any();
    limits.window = random.Chance(50) ? 0 : any();
    limits.first_keys = random.Chance(50) ? 0 : any();
    limits.type = static_cast<CacheType>(random.Below(5));
    limits.value_type = static_cast<CacheType>(random.Below(5));
    const size_t bytes = KvCacheBytes(kConfig, limits);
    if (bytes > (size_t{1} << 24)) continue;
    const Guarded<std::byte> block(bytes, Side::kRight);
    KvCache cache;
    const Status status = KvCache::Init(kConfig, limits, block.bytes(), &cache);
    CAPTURE(Text(status));
    CHECK(status.ok() == (bytes != 0));
    CHECK(cache.is_attached() == status.ok());
    if (!status.ok()) continue;
    ++made;
    CHECK(KvCache::Init(kConfig, limits, MutableBytes(block.data(), bytes - 1), &cache).code ==
          StatusCode::kBlockTooSmall);
    if (limits.max_batch < 100) Use(&cache, random);
  }
  CHECK(made > 50);
}

}  // namespace
}  // namespace heed::test
