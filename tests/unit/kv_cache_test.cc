// tests/unit/kv_cache_test.cc: the block of a cache: its size, its entries, and the calls that
// move, cut and copy them, against models in plain code.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "lib/core/cache.h"
#include "lib/reference/kernels.h"
#include "lib/support/cached_numbers.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr auto kConfig = AttentionConfig::GroupedQuery(24, 6, 3);  // head_dim 4

CacheLimits Linear(uint32_t max_batch, uint32_t capacity, CacheType type = CacheType::kF32) {
  CacheLimits limits;
  limits.max_batch = max_batch;
  limits.capacity = capacity;
  limits.type = type;
  return limits;
}

CacheLimits Ring(uint32_t window, uint32_t max_new_rows, uint32_t first_keys,
                 uint32_t max_batch = 1) {
  CacheLimits limits;
  limits.max_batch = max_batch;
  limits.window = window;
  limits.max_new_rows = max_new_rows;
  limits.first_keys = first_keys;
  return limits;
}

// A cache, and access to what lies in its block.
struct Home : OwnedCache {
  using OwnedCache::OwnedCache;

  uint32_t& length(size_t entry) const { return CacheAccess::Lengths(cache)[entry]; }
  // The bytes of the key block of a head at a place, and those of its values.
  Bytes PlaceOf(size_t entry, size_t head, size_t place) const {
    const detail::CacheShape& s = CacheAccess::Shape(cache);
    const detail::CacheMap map = detail::CacheMapOf(s);
    const size_t index = (entry * s.num_kv_heads + head) * s.blocks + place;
    Bytes bytes;
    const auto add = [&](const detail::Part& part, size_t size) {
      const std::byte* const from = block.data() + part.offset + index * size;
      bytes.insert(bytes.end(), from, from + size);
    };
    add(map.kv.keys, sizes::KeyBlockBytes(s.key_form, s.head_dim));
    add(map.kv.values, sizes::ValueBlockBytes(s.value_form, s.head_dim));
    add(map.kv.value_kind, sizes::ValueKindBytes(s.value_form, 1));
    return bytes;
  }
};

// The number that stands for an element, exact in every float.
float NumberOf(size_t entry, size_t head, size_t position, size_t column, bool is_key) {
  return static_cast<float>(position * 64 + entry * 16 + head * 4 + column) *
         (is_key ? 1.0f : -1.0f);
}

// Appends rows to an entry, as a call does.
void Append(const Home& home, size_t entry, uint32_t count) {
  const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
  const KvStore store = CacheAccess::StoreOf(home.cache, reference::kKernels);
  const uint32_t length = home.length(entry);
  CacheAccess::NoteOverwriting(home.cache, entry, length + count);
  for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
    std::vector<float> numbers;
    for (size_t row = 0; row < count; ++row) {
      for (size_t h = 0; h < shape.num_kv_heads; ++h) {
        for (size_t d = 0; d < shape.head_dim; ++d) {
          numbers.push_back(NumberOf(entry, h, length + row, d, side == KvSide::kKeys));
        }
      }
    }
    KvRows rows;
    rows.side = side;
    rows.data = numbers.data();
    rows.stride = shape.num_kv_heads * shape.head_dim;
    rows.batch = entry;
    rows.num_heads = shape.num_kv_heads;
    rows.first_key = length;
    rows.count = count;
    store.Put(rows);
  }
  home.length(entry) = length + count;
}

// True if a position of an f32 cache holds the numbers of that position of entry `from`.
bool Holds(const Home& home, size_t entry, size_t position, size_t from) {
  const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
  const KvStore store = CacheAccess::StoreOf(home.cache, reference::kKernels);
  const size_t j = position % kKeyBlock;
  for (size_t h = 0; h < shape.num_kv_heads; ++h) {
    const KvBlock block = store.view().Block(entry, h, position / kKeyBlock);
    const size_t columns = sizes::RoundUp(shape.head_dim, kPanelColumns);
    for (size_t d = 0; d < shape.head_dim; ++d) {
      const float key = KeyNumber(block, shape.head_dim, j, d);
      if (key != NumberOf(from, h, position, d, true)) return false;
      if (ValueNumber(block, columns, j, d) != NumberOf(from, h, position, d, false)) return false;
    }
  }
  return true;
}

// A call that is refused with this code and argument, and leaves the block's bytes as they were.
template <typename Call>
void ExpectRefused(const Home& home, StatusCode code, const char* argument, const Call& call) {
  const Bytes before = home.block.Copy();
  const Status status = call();
  CAPTURE(Text(status));
  CHECK(status.code == code);
  CHECK(Names(status, argument));
  CHECK(home.block.Copy() == before);
}

TEST_CASE("sizes of caches are constants, what the header says and 0 where Init refuses") {
  constexpr auto config = AttentionConfig::SelfAttention(64, 4);
  constexpr CacheLimits f32 = {1, 512};
  static_assert(KvCacheBytes(config, f32) == 128 + 64 + 512 * 2 * 64 * 4 + 64);
  constexpr CacheLimits bf16 = {1, 512, 0, 0, 0, CacheType::kBf16};
  static_assert(KvCacheBytes(config, bf16) == 128 + 64 + 512 * 2 * 64 * 2 + 64);
  constexpr CacheLimits int8 = {1, 512, 0, 0, 0, CacheType::kInt8};
  static_assert(KvCacheBytes(config, int8) == 128 + 64 + 512 * (2 * 64 + 8 * 4) + 64);
  constexpr CacheLimits mixed = {1, 512, 0, 0, 0, CacheType::kInt8, CacheType::kF32};
  static_assert(KvCacheBytes(config, mixed) == 128 + 64 + 512 * (5 * 64 + 4 * 4) + 64);
  // A ring of a window of 100 with 2 new rows: 100 + 2 - 1 keys need 2 blocks, and one more.
  constexpr CacheLimits ring = {1, 0, 2, 100, 3};
  static_assert(KvCacheBytes(config, ring) == 128 + 64 + 64 + 4 * 64 * 2 * 64 * 4 + 64);

  static_assert(KvCacheBytes(config, CacheLimits{}) == 0);
  static_assert(KvCacheBytes(config, {0, 5}) == 0);
  static_assert(KvCacheBytes(config, {1, 5, 6}) == 0);
  static_assert(KvCacheBytes(config, {1, 5, 5, 5}) == 0);
  static_assert(KvCacheBytes(config, {1, 0, 0, 5}) == 0);
  static_assert(KvCacheBytes(config, {1, 5, 5, 0, 1}) == 0);
  static_assert(KvCacheBytes(config, {1, kMaxDimension + 1}) == 0);
  static_assert(KvCacheBytes(config, {1, 5, 0, 0, 0, CacheType::kAsKeys}) == 0);
  static_assert(KvCacheBytes(config.WithTypes(WeightType::kF32, CoreType::kInt8), f32) == 0);
  static_assert(KvCacheBytes(config.WithTypes(WeightType::kF32, CoreType::kInt8), int8) != 0);
  static_assert(KvCacheBytes(config.WithTypes(WeightType::kF32, CoreType::kInt8), mixed) == 0);
  constexpr auto thin = AttentionConfig::SelfAttention(kMaxDimension, kMaxDimension);
  static_assert(KvCacheBytes(thin, {kMaxDimension, kMaxDimension}) == 0);
}

TEST_CASE("an empty cache writes its header and the words of its entries, and nothing else") {
  for (const CacheLimits& limits : {Linear(1, 100), Linear(3, 100), Ring(70, 9, 5, 3)}) {
    const size_t bytes = KvCacheBytes(kConfig, limits);
    std::vector<bool> written(bytes + 64);
    KvCache cache;
    for (const int pattern : {0xa5, 0x5a}) {
      const AlignedBytes memory(bytes + 64, static_cast<uint8_t>(pattern));
      cache = KvCache();
      CHECK(!cache.is_attached());
      REQUIRE(KvCache::Init(kConfig, limits, memory.bytes(), &cache).ok());
      CHECK(cache.is_attached());
      CHECK(cache.block().data == memory.data());
      CHECK(cache.block().size == bytes);
      CHECK(cache.limits().max_new_rows == (limits.max_new_rows != 0 ? limits.max_new_rows : 100));
      CHECK(cache.limits().value_type == CacheType::kF32);
      for (uint32_t entry = 0; entry < limits.max_batch; ++entry) CHECK(cache.length(entry) == 0);
      CHECK(cache.length(limits.max_batch) == 0);
      CHECK(cache.length(UINT32_MAX) == 0);
      for (size_t i = 0; i < memory.size(); ++i) {
        if (memory.data()[i] != static_cast<std::byte>(pattern)) written[i] = true;
      }
    }
    const detail::CacheMap map = detail::CacheMapOf(CacheAccess::Shape(cache));
    CHECK(map.bytes == bytes);
    std::vector<bool> wanted(written.size());
    for (const detail::Part& part : {map.header, map.lengths, map.oldest, map.uses}) {
      std::fill_n(wanted.begin() + static_cast<ptrdiff_t>(part.offset), part.bytes, true);
    }
    CHECK(written == wanted);
  }
}

TEST_CASE("the parts of a block follow each other, and puts use them to the last byte") {
  for (const bool is_int8_core : {false, true}) {
    for (const CacheType type : kCacheTypes) {
      for (const CacheType value_type : kCacheTypes) {
        AttentionConfig config = kConfig;
        if (is_int8_core) config.core = CoreType::kInt8;
        CacheLimits limits = Linear(2, 130, type);
        limits.value_type = value_type;
        const size_t bytes = KvCacheBytes(config, limits);
        if (bytes == 0) continue;
        CAPTURE(static_cast<int>(type));
        CAPTURE(static_cast<int>(value_type));
        std::vector<bool> written(bytes);
        for (const int pattern : {0xa5, 0x5a}) {
          Home home(config, limits);
          memset(home.block.data(), pattern, bytes);
          REQUIRE(KvCache::Init(config, limits, home.block.bytes(), &home.cache).ok());
          const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
          for (size_t entry = 0; entry < 2; ++entry) Append(home, entry, 192);
          for (size_t i = 0; i < bytes; ++i) {
            if (home.block.data()[i] != static_cast<std::byte>(pattern)) written[i] = true;
          }
          const detail::CacheMap map = detail::CacheMapOf(shape);
          size_t end = 0;
          for (const detail::Part& part : {map.header, map.lengths, map.oldest, map.uses,
                                           map.kv.keys, map.kv.values, map.kv.value_kind}) {
            if (part.bytes == 0) continue;
            CHECK(part.offset == end);
            end = part.offset + sizes::RoundUp(part.bytes, 64);
            if (pattern == 0xa5) continue;
            CHECK(written[part.offset]);
            CHECK(written[part.offset + part.bytes - 1]);
            for (size_t i = part.offset + part.bytes; i < end; ++i) CHECK(!written[i]);
          }
          CHECK(end == bytes);
        }
      }
    }
  }
}

TEST_CASE("entries have lengths of their own, and a cache lives on in a copy of its bytes") {
  Home home(kConfig, Linear(3, 200));
  Append(home, 0, 70);
  Append(home, 2, 1);
  Append(home, 0, 3);
  CHECK((home.cache.length(0) == 73 && home.cache.length(1) == 0 && home.cache.length(2) == 1));

  const AlignedBytes elsewhere(home.block.size() + 64);
  memcpy(elsewhere.data(), home.block.data(), home.block.size());
  memset(home.block.data(), 0, home.block.size());
  KvCache moved;
  REQUIRE(KvCache::Attach(kConfig, elsewhere.bytes(), &moved).ok());
  CHECK(moved.block().data == elsewhere.data());
  CHECK(moved.block().size == home.block.size());
  CHECK((moved.length(0) == 73 && moved.length(1) == 0 && moved.length(2) == 1));
  CHECK(moved.limits().capacity == 200);

  memcpy(home.block.data(), elsewhere.data(), home.block.size());  // and back
  Append(home, 1, 65);
  CHECK(home.cache.length(1) == 65);
  for (size_t position = 0; position < 73; ++position) CHECK(Holds(home, 0, position, 0));
  for (size_t position = 0; position < 65; ++position) CHECK(Holds(home, 1, position, 1));
  CHECK(Holds(home, 2, 0, 2));
}

TEST_CASE("a linear entry is cut anywhere, and goes on there") {
  Home home(kConfig, Linear(2, 130));
  for (uint32_t n = 0; n <= 130; ++n) {
    Append(home, 0, 130 - home.cache.length(0));
    REQUIRE(home.cache.Truncate(0, n).ok());
    CHECK(home.cache.length(0) == n);
    CHECK(home.cache.length(1) == 0);
    ExpectRefused(home, StatusCode::kBadValue, "n", [&] { return home.cache.Truncate(0, n + 1); });
  }
  ExpectRefused(home, StatusCode::kBadValue, "entry", [&] { return home.cache.Truncate(2, 0); });
  REQUIRE(home.cache.Reset().ok());
  CHECK(home.cache.length(0) == 0);
}

// A model of a ring: the number of the row that was put at each place of a key.
struct RingModel {
  size_t window, first_blocks, ring_blocks;
  std::vector<int64_t> keys = std::vector<int64_t>((first_blocks + ring_blocks) * 64, -1);
  std::vector<int64_t> rows = {};  // the row at each position
  int64_t next_row = 0;

  size_t Place(size_t position) const {
    const size_t block = position / 64;
    const size_t place =
        block < first_blocks ? block : first_blocks + (block - first_blocks) % ring_blocks;
    return place * 64 + position % 64;
  }
  void Put(size_t position) {
    if (position % 64 == 0) std::fill_n(&keys[Place(position)], 64, -1);
    keys[Place(position)] = next_row;
  }
  void Append(size_t count) {
    for (size_t i = 0; i < count; ++i, ++next_row) {
      Put(rows.size());
      rows.push_back(next_row);
    }
  }
  // A call that puts its rows and fails.
  void AppendInVain(size_t count) {
    for (size_t i = 0; i < count; ++i, ++next_row) Put(rows.size() + i);
  }
  bool Holds(size_t position) const { return keys[Place(position)] == rows[position]; }
  // The keys of the window before row n must be there. Where row n does not begin a block, it goes
  // into the block of row n - 1, which must be there too.
  bool CanTruncate(size_t n) const {
    const size_t seen = n + 1 - std::min(n + 1, window);
    const size_t begin = n % 64 != 0 ? std::min(seen, n - 1) : seen;
    for (size_t position = begin; position < n; ++position) {
      if (!Holds(position)) return false;
    }
    return true;
  }
};

TEST_CASE("a ring keeps what rows see, and refuses exactly the truncations that it cannot serve") {
  size_t refused = 0, accepted = 0;
  for (uint64_t seed = 0; seed < Effort(400, 60); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const uint32_t window = static_cast<uint32_t>(random.Chance(20) ? 1 : random.Between(1, 200));
    const uint32_t most = static_cast<uint32_t>(random.Between(1, 150));
    const uint32_t first_keys =
        static_cast<uint32_t>(random.Chance(50) ? 0 : random.Between(1, 140));
    CAPTURE(window);
    CAPTURE(most);
    CAPTURE(first_keys);
    Home home(kConfig, Ring(window, most, first_keys));
    const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
    RingModel model = {window, shape.first_blocks, shape.blocks - shape.first_blocks};
    CHECK(model.ring_blocks * 64 >= window + most - 1 + 64);
    for (int step = 0; step < 60; ++step) {
      CAPTURE(step);
      const uint32_t length = home.cache.length(0);
      REQUIRE(length == model.rows.size());
      const uint32_t count = static_cast<uint32_t>(random.Between(1, most));
      if (random.Chance(10)) {
        CacheAccess::NoteOverwriting(home.cache, 0, length + count);
        model.AppendInVain(count);
      } else if (random.Chance(65)) {
        // No row of the call overwrites a key that one of them sees.
        const size_t seen = length + 1 - std::min(length + 1, window);
        model.Append(count);
        for (size_t position = seen; position < model.rows.size(); ++position) {
          REQUIRE(model.Holds(position));
        }
        Append(home, 0, count);
        for (size_t position = seen; position < model.rows.size(); ++position) {
          REQUIRE(Holds(home, 0, position, 0));
        }
        for (size_t position = 0; position < std::min<size_t>(first_keys, model.rows.size());
             ++position) {
          REQUIRE(Holds(home, 0, position, 0));
        }
      } else {
        const size_t back = random.Chance(50) ? random.Between(0, 80) : random.Between(0, length);
        const uint32_t n = static_cast<uint32_t>(length - std::min<size_t>(length, back));
        CAPTURE(n);
        if (model.CanTruncate(n)) {
          const Status status = home.cache.Truncate(0, n);
          REQUIRE_MESSAGE(status.ok(), Text(status));
          model.rows.resize(n);
          ++accepted;
        } else {
          ExpectRefused(home, StatusCode::kOverwritten, "n",
                        [&] { return home.cache.Truncate(0, n); });
          ++refused;
        }
      }
      KvCache attached;  // the block is valid after each of these
      const Status status = KvCache::Attach(kConfig, home.block.bytes(), &attached);
      REQUIRE_MESSAGE(status.ok(), Text(status));
    }
  }
  CHECK(refused > 100);
  CHECK(accepted > 100);
}

// Fills keys and values of all entries with random bytes.
void Scribble(const Home& home, Random& random) {
  const detail::CacheMap map = detail::CacheMapOf(CacheAccess::Shape(home.cache));
  for (size_t i = map.kv.keys.offset; i < map.bytes; ++i) {
    home.block.data()[i] = static_cast<std::byte>(random.Next() & 0xff);
  }
}

// The words of an entry and all bytes of its blocks, used or not.
struct Entry {
  uint32_t length = 0, oldest = 0;
  std::vector<Bytes> blocks;  // of all heads, by place
};

std::vector<Entry> EntriesOf(const Home& home) {
  const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
  const detail::CacheMap map = detail::CacheMapOf(shape);
  std::vector<Entry> entries(shape.max_batch);
  for (size_t i = 0; i < shape.max_batch; ++i) {
    entries[i].length = home.length(i);
    if (shape.is_ring) {
      memcpy(&entries[i].oldest, home.block.data() + map.oldest.offset + 4 * i, 4);
    }
    for (size_t head = 0; head < shape.num_kv_heads; ++head) {
      for (size_t place = 0; place < shape.blocks; ++place) {
        entries[i].blocks.push_back(home.PlaceOf(i, head, place));
      }
    }
  }
  return entries;
}

void CheckEntry(const Home& home, const Entry& got, const Entry& wanted) {
  const detail::CacheShape& shape = CacheAccess::Shape(home.cache);
  CHECK(got.length == wanted.length);
  CHECK(got.oldest == wanted.oldest);
  for (size_t i = 0; i < got.blocks.size(); ++i) {
    if (i % shape.blocks * 64 < wanted.length) CHECK(got.blocks[i] == wanted.blocks[i]);
  }
}

// A random cache: linear or a ring, of any types, with random lengths and bytes.
Home RandomHome(Random& random, uint32_t max_batch) {
  AttentionConfig config = kConfig;
  CacheLimits limits = Linear(max_batch, static_cast<uint32_t>(random.Between(1, 200)));
  if (random.Chance(50)) limits = Ring(40, 30, random.Chance(50) ? 70 : 0, max_batch);
  if (random.Chance(30)) {
    config.core = CoreType::kInt8;
    limits.type = CacheType::kInt8;
  } else {
    limits.type = kCacheTypes[random.Below(3)];
    limits.value_type = kCacheTypes[random.Below(3)];
  }
  Home home(config, limits);
  Scribble(home, random);
  for (size_t i = 0; i < max_batch; ++i) {
    const size_t most = limits.window != 0 ? 1000 : limits.capacity;
    home.length(i) = static_cast<uint32_t>(random.Between(0, most));
    CacheAccess::NoteOverwriting(home.cache, i, home.length(i));
  }
  return home;
}

TEST_CASE("an entry copied over another one is that entry, and the others stay") {
  for (uint64_t seed = 0; seed < Effort(200, 40); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Home home = RandomHome(random, 4);
    const std::vector<Entry> before = EntriesOf(home);
    const uint32_t from = static_cast<uint32_t>(random.Below(4));
    const uint32_t to = static_cast<uint32_t>(random.Below(4));
    REQUIRE(home.cache.CopyEntry(from, to).ok());
    const std::vector<Entry> after = EntriesOf(home);
    for (size_t i = 0; i < 4; ++i) {
      CheckEntry(home, after[i], before[i == to ? from : i]);
      if (i != to) CHECK(after[i].blocks == before[i].blocks);
    }
    ExpectRefused(home, StatusCode::kBadValue, "from", [&] { return home.cache.CopyEntry(4, 0); });
    ExpectRefused(home, StatusCode::kBadValue, "to", [&] { return home.cache.CopyEntry(0, 4); });
  }
}

TEST_CASE("entries are reordered by every map of four entries, and by maps of many") {
  const auto check = [](Random& random, Home* home, const std::vector<uint32_t>& map) {
    const std::vector<Entry> before = EntriesOf(*home);
    REQUIRE(home->cache.Reorder(map.data(), map.size()).ok());
    const std::vector<Entry> after = EntriesOf(*home);
    for (size_t i = 0; i < before.size(); ++i) {
      const size_t from = i < map.size() ? map[i] : i;
      CheckEntry(*home, after[i], before[from]);
      if (from == i) CHECK(after[i].blocks == before[i].blocks);
    }
    Scribble(*home, random);
  };
  Random random(3);
  for (uint32_t code = 0; code < 256; ++code) {
    Home home = RandomHome(random, 4);
    for (size_t count = 0; count <= 4; ++count) {
      std::vector<uint32_t> map;
      for (size_t i = 0; i < count; ++i) map.push_back(code >> 2 * i & 3);
      CAPTURE(code);
      CAPTURE(count);
      check(random, &home, map);
    }
  }
  for (uint64_t seed = 0; seed < Effort(60, 10); ++seed) {
    CAPTURE(seed);
    const uint32_t max_batch = static_cast<uint32_t>(random.Between(1, 40));
    Home home = RandomHome(random, max_batch);
    std::vector<uint32_t> map(random.Between(0, max_batch));
    for (size_t i = 0; i < map.size(); ++i) map[i] = static_cast<uint32_t>(random.Below(max_batch));
    if (random.Chance(40)) {  // rings alone
      for (size_t i = 0; i < map.size(); ++i) map[i] = static_cast<uint32_t>(i);
      for (size_t i = map.size(); i > 1; --i) std::swap(map[i - 1], map[random.Below(i)]);
    }
    check(random, &home, map);
    ExpectRefused(home, StatusCode::kBadValue, "count",
                  [&] { return home.cache.Reorder(map.data(), max_batch + 1); });
    map.assign(max_batch, 0);
    map.back() = max_batch;
    ExpectRefused(home, StatusCode::kBadValue, "map",
                  [&] { return home.cache.Reorder(map.data(), map.size()); });
    ExpectRefused(home, StatusCode::kNullPointer, "map",
                  [&] { return home.cache.Reorder(nullptr, 1); });
  }
}

TEST_CASE("entries that were reordered read as they did before") {
  Home home(kConfig, Linear(3, 200));
  Append(home, 0, 190);
  Append(home, 1, 65);
  Append(home, 2, 64);
  const uint32_t map[] = {1, 2, 0};
  REQUIRE(home.cache.Reorder(map, 3).ok());
  for (uint32_t entry = 0; entry < 3; ++entry) {
    CAPTURE(entry);
    const uint32_t lengths[] = {190, 65, 64};
    CHECK(home.cache.length(entry) == lengths[map[entry]]);
    for (size_t position = 0; position < lengths[map[entry]]; ++position) {
      CHECK(Holds(home, entry, position, map[entry]));
    }
  }
}

TEST_CASE("a cache in use refuses other calls, and writes nothing") {
  Home home(kConfig, Linear(2, 200));
  Append(home, 0, 100);
  *CacheAccess::Busy(home.cache) = 1;
  const uint32_t map[] = {1, 0};
  ExpectRefused(home, StatusCode::kBusy, "cache", [&] { return home.cache.Truncate(0, 1); });
  ExpectRefused(home, StatusCode::kBusy, "cache", [&] { return home.cache.Reset(); });
  ExpectRefused(home, StatusCode::kBusy, "cache", [&] { return home.cache.CopyEntry(0, 1); });
  ExpectRefused(home, StatusCode::kBusy, "cache", [&] { return home.cache.Reorder(map, 2); });
  CHECK(home.cache.length(0) == 100);
  *CacheAccess::Busy(home.cache) = 0;
  CHECK(home.cache.Reorder(map, 2).ok());
  CHECK(home.cache.Truncate(1, 1).ok());
  CHECK(*CacheAccess::Busy(home.cache) == 0);
  CHECK(home.cache.Truncate(1, 2).code == StatusCode::kBadValue);
  CHECK(*CacheAccess::Busy(home.cache) == 0);
}

TEST_CASE("a call checks that a cache is of its layer's shape and still what it was") {
  AttentionConfig config = Resolved(kConfig.WithRope(RopeStyle::kHalf));
  config.q_norm = config.k_norm = true;
  config.norm_eps = 1e-5f;
  Home home(config, Linear(2, 200));
  Append(home, 1, 200);
  CHECK(CacheAccess::Check(home.cache, config).ok());
  const auto expect = [&](StatusCode code, const char* argument, const AttentionConfig& layer) {
    ExpectRefused(home, code, argument, [&] { return CacheAccess::Check(home.cache, layer); });
  };
  const auto differs = [&](const char* argument, auto edit) {
    AttentionConfig other = config;
    edit(other);
    expect(StatusCode::kConfigMismatch, argument, other);
    KvCache attached;
    ExpectRefused(home, StatusCode::kConfigMismatch, argument,
                  [&] { return KvCache::Attach(other, home.block.bytes(), &attached); });
    CHECK(!attached.is_attached());
  };
  differs("config.num_kv_heads", [](AttentionConfig& c) { c.num_kv_heads = 6; });
  differs("config.head_dim", [](AttentionConfig& c) { c.head_dim = c.rope_dims = 8; });
  differs("config.core", [](AttentionConfig& c) { c.core = CoreType::kInt8; });
  differs("config.rope_style", [](AttentionConfig& c) { c.rope_style = RopeStyle::kInterleaved; });
  differs("config.rope_dims", [](AttentionConfig& c) { c.rope_dims = 2; });
  differs("config.rope_factor", [](AttentionConfig& c) { c.rope_factor = 1.5f; });
  differs("config.k_norm", [](AttentionConfig& c) { c.k_norm = false; });
  differs("config.norm_eps", [](AttentionConfig& c) { c.norm_eps = 1e-6f; });
  AttentionConfig other = config;  // these fields do not change keys and values
  other.q_norm = false;
  other.num_heads = 3;
  other.embed_dim = other.kdim = other.vdim = 12;
  other.weights = WeightType::kInt8;
  other.scale = 2.0f;
  CHECK(CacheAccess::Check(home.cache, other).ok());

  home.length(1) = 201;
  expect(StatusCode::kBadPayload, "cache", config);
  CHECK(home.cache.length(1) == 200);  // clamped
  home.length(1) = 200;
  CHECK(CacheAccess::Check(home.cache, config).ok());
  for (const size_t at : {0, 4, 12}) {  // another file, another version, another cache
    home.block.data()[at] ^= std::byte{1};
    expect(StatusCode::kBadHeader, "cache", config);
    ExpectRefused(home, StatusCode::kBadHeader, "cache", [&] { return home.cache.Reset(); });
    home.block.data()[at] ^= std::byte{1};
  }
  const KvCache none;
  CHECK(CacheAccess::Check(none, config, "memory").code == StatusCode::kNullPointer);
  CHECK(Names(CacheAccess::Check(none, config, "memory"), "memory"));
}

TEST_CASE("a ring ends at position 2^20 if it turns and at 2^29 if not, linear at its capacity") {
  CHECK(CacheAccess::MaxLength(Home(kConfig, Ring(9, 1, 0)).cache) == 1u << 29);
  CHECK(CacheAccess::MaxLength(Home(kConfig.WithRope(RopeStyle::kHalf), Ring(9, 1, 0)).cache) ==
        1u << 20);
  CHECK(CacheAccess::MaxLength(Home(kConfig, Linear(1, 77)).cache) == 77);
}

TEST_CASE("calls on a handle without a block are refused") {
  KvCache cache;
  CHECK(cache.length(0) == 0);
  CHECK(cache.Truncate(0, 0).code == StatusCode::kNullPointer);
  CHECK(cache.Reset().code == StatusCode::kNullPointer);
  CHECK(cache.CopyEntry(0, 0).code == StatusCode::kNullPointer);
  CHECK(cache.Reorder(nullptr, 0).code == StatusCode::kNullPointer);
}

}  // namespace
}  // namespace heed::test
