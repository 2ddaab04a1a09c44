// tests/unit/hostile_file_test.cc: Open and Verify survive any bytes. Files lie between guard
// pages, so a read outside them ends the test.
#include <cstring>

#include <doctest/doctest.h>

#include "lib/support/crc32c.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr size_t kHeader = sizes::kHeaderBytes;
constexpr size_t kCrcOffset = 12;  // header_crc, see lib/weights/packed_file.h
constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                   WeightType::kInt4};

std::vector<std::byte> SmallFile(WeightType weights = WeightType::kF32) {
  Random random(41);
  AttentionConfig config = Shape(6, 2);
  config.weights = weights;
  config.add_bias_kv = true;
  return Pack(NormalLayer(config, random)).Copy();
}

void RepairHeaderCrc(std::byte* file) {
  memset(file + kCrcOffset, 0, 4);
  const uint32_t crc = Crc32c(file, kHeader);
  memcpy(file + kCrcOffset, &crc, 4);
}

Status Open(const Guarded<std::byte>& file, Weights* weights) {
  return Weights::Open(ConstBytes(file.data(), file.size()), weights);
}

TEST_CASE("a file with any single bit of its header flipped is refused and leaves the view as is") {
  const std::vector<std::byte> good = SmallFile();
  const Guarded<std::byte> file(good.size(), Side::kRight);
  for (size_t bit = 0; bit < kHeader * 8; ++bit) {
    memcpy(file.data(), good.data(), good.size());
    file.data()[bit / 8] ^= std::byte{1} << bit % 8;
    Weights weights;
    const Status status = Open(file, &weights);
    CAPTURE(bit);
    CHECK(!status.ok());
    CHECK(status.argument != nullptr);
    CHECK(!weights.is_open());
  }
}

TEST_CASE("wrong magic, version and checksum are told apart") {
  const std::vector<std::byte> good = SmallFile();
  const Guarded<std::byte> file(good, Side::kRight);
  const auto code_with = [&good](size_t offset) {
    const Guarded<std::byte> changed(good.size(), Side::kRight);
    memcpy(changed.data(), good.data(), good.size());
    changed.data()[offset] ^= std::byte{0x40};
    Weights weights;
    return Open(changed, &weights).code;
  };
  CHECK(code_with(0) == StatusCode::kBadMagic);
  CHECK(code_with(4) == StatusCode::kBadVersion);
  CHECK(code_with(kCrcOffset) == StatusCode::kBadChecksum);
  CHECK(code_with(40) == StatusCode::kBadChecksum);
  CHECK(code_with(kHeader - 1) == StatusCode::kBadChecksum);
}

TEST_CASE("a file cut at any length is refused, and one that is longer is accepted") {
  const std::vector<std::byte> good = SmallFile();
  for (size_t size = 0; size < good.size(); ++size) {
    const std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    // Right-aligned wherever the alignment to 64 allows it.
    const Guarded<std::byte> file(cut, size % 64 == 0 ? Side::kRight : Side::kLeft);
    Weights weights;
    CAPTURE(size);
    CHECK(!Open(file, &weights).ok());
    CHECK(!weights.is_open());
  }
  const AlignedBytes longer(good.size() + 100);
  memcpy(longer.data(), good.data(), good.size());
  Weights weights;
  CHECK(Weights::Open(longer.bytes(), &weights).ok());
  CHECK(weights.bytes().size == good.size());
  CHECK(weights.Verify().ok());
}

TEST_CASE("a file that is null or not aligned to 64 is refused") {
  const std::vector<std::byte> good = SmallFile();
  const AlignedBytes shifted(good.size() + 64);
  Weights weights;
  for (size_t shift : {1, 4, 16, 32}) {
    memcpy(shifted.data() + shift, good.data(), good.size());
    const Status status =
        Weights::Open(ConstBytes(shifted.data() + shift, good.size()), &weights);
    CHECK(status.code == StatusCode::kMisaligned);
    CHECK(Names(status, "file"));
  }
  CHECK(Weights::Open(ConstBytes(nullptr, 4096), &weights).code == StatusCode::kNullPointer);
  CHECK(Weights::Open(ConstBytes(shifted.data(), 4096), nullptr).code ==
        StatusCode::kNullPointer);
  CHECK(!weights.is_open());
}

TEST_CASE("a payload with any byte changed still opens, and Verify refuses it") {
  const std::vector<std::byte> good = SmallFile();
  const Guarded<std::byte> file(good.size(), Side::kRight);
  Random random(42);
  memcpy(file.data(), good.data(), good.size());
  for (size_t at = kHeader; at < good.size(); ++at) {
    const std::byte flip = std::byte{1} << random.Below(8);
    file.data()[at] ^= flip;
    Weights weights;
    REQUIRE(Open(file, &weights).ok());
    CAPTURE(at);
    CHECK(weights.Verify().code == StatusCode::kBadChecksum);
    file.data()[at] ^= flip;
  }
}

// A file that opened: its config must be sane and all its bytes readable; then it is run.
void RunOpened(const Guarded<std::byte>& file, const Weights& weights) {
  CHECK(CheckConfig(weights.config()).ok());
  CHECK(weights.bytes().size == PackedWeightsBytes(weights.config()));
  REQUIRE(weights.bytes().size <= file.size());
  (void)weights.Verify().ok();
  Limits limits;
  limits.max_query_len = limits.max_key_len = 2;
  const size_t bytes = WorkspaceBytes(weights.config(), limits);
  if (bytes > (size_t{1} << 24)) return;
  const Guarded<std::byte> block(bytes, Side::kRight);
  Attention layer;
  REQUIRE(Attention::Create(limits, weights, block.bytes(), &layer).ok());
  const AttentionConfig& c = weights.config();
  const std::vector<float> query(2 * size_t{c.embed_dim}, 1.0f);
  const std::vector<float> key(2 * size_t{c.kdim}, 1.0f), value(2 * size_t{c.vdim}, 1.0f);
  std::vector<float> output(query.size());
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), 1, 2, c.embed_dim);
  args.key = ConstTensorView(key.data(), 1, 2, c.kdim);
  args.value = ConstTensorView(value.data(), 1, 2, c.vdim);
  args.output = TensorView(output.data(), 1, 2, c.embed_dim);
  CHECK(layer.Forward(args).ok());
}

TEST_CASE("random bytes, and headers with random fields and a true checksum, never crash") {
  std::vector<std::vector<std::byte>> files;
  for (const WeightType type : kTypes) files.push_back(SmallFile(type));
  const uint32_t edges[] = {0, 1, 2, 3, 6, 15, 16, 17, 255, 256, 1u << 20, (1u << 20) + 1,
                            1u << 31, 0xffffffffu, 0x7f800000u, 0x7fc00000u};
  size_t opened = 0;
  for (uint64_t seed = 0; seed < Effort(20000, 4000); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::vector<std::byte>& good = files[seed / 10 % files.size()];
    const Guarded<std::byte> file(good.size(), Side::kRight);
    memcpy(file.data(), good.data(), good.size());
    if (seed % 10 == 0) {
      for (size_t i = 0; i < good.size(); ++i) file.data()[i] = std::byte(random.Next() & 0xff);
    }
    for (size_t edits = random.Below(3); edits > 0; --edits) {
      const uint32_t value = random.Chance(70) ? edges[random.Below(sizeof(edges) / 4)]
                                               : static_cast<uint32_t>(random.Next());
      memcpy(file.data() + 4 * random.Below(22), &value, sizeof(value));
    }
    if (seed % 10 > 1) RepairHeaderCrc(file.data());
    Weights weights;
    if (!Open(file, &weights).ok()) {
      CHECK(!weights.is_open());
      continue;
    }
    ++opened;
    RunOpened(file, weights);
  }
  CHECK(opened > 100);  // those without edits, and those whose edits change no size
}

TEST_CASE("a true file with weights of any bits runs") {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::vector<std::byte> good =
        SmallFile(kTypes[seed % (sizeof(kTypes) / sizeof(kTypes[0]))]);
    const Guarded<std::byte> file(good.size(), Side::kRight);
    memcpy(file.data(), good.data(), kHeader);
    for (size_t i = kHeader; i < good.size(); ++i) {
      file.data()[i] = std::byte(random.Next() & 0xff);
    }
    Weights weights;
    REQUIRE(Open(file, &weights).ok());
    RunOpened(file, weights);
  }
}

}  // namespace
}  // namespace heed::test
