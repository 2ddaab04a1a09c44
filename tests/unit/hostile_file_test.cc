// tests/unit/hostile_file_test.cc: Open and Verify survive any bytes. Files lie between guard
// pages, so a read outside them ends the test.
#include <cstring>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "lib/weights/packed_file.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/support/packed_file.h"
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

AttentionConfig PositionsConfig(WeightType weights = WeightType::kF32) {
  AttentionConfig config = Shape(12, 2).WithRope(RopeStyle::kHalf, 4);
  config.q_norm = config.k_norm = config.add_bias_kv = true;
  config.weights = weights;
  return config;
}

// A file of version 2 with every section.
std::vector<std::byte> PositionsFile(WeightType weights = WeightType::kF32) {
  Random random(43);
  return Pack(NormalLayer(PositionsConfig(weights), random)).Copy();
}

// The offset of the matrices in PositionsFile, after header, table and tagged fields.
size_t FieldsEnd() { return detail::FileLayoutOf(PositionsConfig()).sections[1].begin; }

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

TEST_CASE("a file of version 2 with any single bit of header, table or fields flipped is refused") {
  const std::vector<std::byte> good = PositionsFile();
  const detail::FileLayout layout = detail::FileLayoutOf(PositionsConfig());
  const size_t table_end = kHeader + layout.num_sections * sizeof(SectionEntry);
  const size_t fields_end = layout.sections[0].begin + layout.sections[0].bytes;
  const Guarded<std::byte> file(good.size(), Side::kRight);
  memcpy(file.data(), good.data(), good.size());
  for (size_t bit = 0; bit < FieldsEnd() * 8; ++bit) {
    const size_t at = bit / 8;
    const std::byte flip = std::byte{1} << bit % 8;
    file.data()[at] ^= flip;
    Weights weights;
    const Status status = Open(file, &weights);
    CAPTURE(bit);
    // The bytes that fill up a section are read by Verify alone.
    const bool is_read = at < table_end || (at >= layout.sections[0].begin && at < fields_end);
    CHECK(status.ok() == !is_read);
    if (at >= kHeader && is_read) CHECK(status.code == StatusCode::kBadChecksum);
    if (status.ok()) CHECK(weights.Verify().code == StatusCode::kBadChecksum);
    file.data()[at] ^= flip;
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

void CheckCutAndLonger(const std::vector<std::byte>& good) {
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

TEST_CASE("a file cut at any length is refused, and one that is longer is accepted") {
  CheckCutAndLonger(SmallFile());
  CheckCutAndLonger(PositionsFile());
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

void CheckChangedPayload(const std::vector<std::byte>& good, size_t begin) {
  const Guarded<std::byte> file(good.size(), Side::kRight);
  Random random(42);
  memcpy(file.data(), good.data(), good.size());
  for (size_t at = begin; at < good.size(); ++at) {
    const std::byte flip = std::byte{1} << random.Below(8);
    file.data()[at] ^= flip;
    Weights weights;
    REQUIRE(Open(file, &weights).ok());
    CAPTURE(at);
    CHECK(weights.Verify().code == StatusCode::kBadChecksum);
    file.data()[at] ^= flip;
  }
}

TEST_CASE("a payload with any byte changed still opens, and Verify refuses it") {
  CheckChangedPayload(SmallFile(), kHeader);
  CheckChangedPayload(PositionsFile(), FieldsEnd());
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
  for (const WeightType type : kTypes) {
    files.push_back(SmallFile(type));
    files.push_back(PositionsFile(type));
  }
  const uint32_t edges[] = {0, 1, 2, 3, 6, 15, 16, 17, 255, 256, 1u << 20, (1u << 20) + 1,
                            1u << 31, 0xffffffffu, 0x7f800000u, 0x7fc00000u};
  size_t opened = 0;
  for (uint64_t seed = 0; seed < Effort(40000, 8000); ++seed) {
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
      const bool is_header = good[4] == std::byte{1} || random.Chance(30);
      const size_t at = is_header ? 4 * random.Below(22)
                                  : kHeader + 4 * random.Below((FieldsEnd() - kHeader) / 4);
      memcpy(file.data() + at, &value, sizeof(value));
    }
    if (seed % 10 > 1) RepairChecksums(file.bytes());
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
    const WeightType type = kTypes[seed % (sizeof(kTypes) / sizeof(kTypes[0]))];
    const bool has_positions = seed / 4 % 2 != 0;
    const std::vector<std::byte> good = has_positions ? PositionsFile(type) : SmallFile(type);
    const size_t begin = has_positions ? FieldsEnd() : kHeader;
    const Guarded<std::byte> file(good.size(), Side::kRight);
    memcpy(file.data(), good.data(), begin);
    for (size_t i = begin; i < good.size(); ++i) {
      file.data()[i] = std::byte(random.Next() & 0xff);
    }
    Weights weights;
    REQUIRE(Open(file, &weights).ok());
    RunOpened(file, weights);
  }
}

// PositionsFile with edits; Open makes every checksum right. The sections are the fields, the
// matrices, the frequencies and the weights of the two norms.
class Crafted {
 public:
  Crafted() : Crafted(PositionsFile()) {}
  explicit Crafted(std::vector<std::byte> file) : bytes(std::move(file)) {}

  void SetVersion(uint32_t version) { Put(4, version); }
  void SetFileBytes(uint64_t size) { Put(16, size); }
  void SetNumSections(uint32_t count) { Put(80, count); }
  SectionEntry Entry(size_t i) const { return At<SectionEntry>(kHeader + i * 32); }
  void SetEntry(size_t i, const SectionEntry& entry) { Put(kHeader + i * 32, entry); }
  TaggedField Field(size_t i) const { return At<TaggedField>(FieldsBegin() + i * 12); }
  void SetField(size_t i, const TaggedField& field) { Put(FieldsBegin() + i * 12, field); }

  Status Open() const {
    const Guarded<std::byte> file(bytes.size(), Side::kRight);
    memcpy(file.data(), bytes.data(), bytes.size());
    RepairChecksums(file.bytes());
    Weights weights;
    const Status status = test::Open(file, &weights);
    CHECK(weights.is_open() == status.ok());
    if (status.ok()) RunOpened(file, weights);
    return status;
  }
  void Refused(StatusCode code, const char* argument, int64_t actual) const {
    const Status status = Open();
    CAPTURE(Text(status));
    CHECK(status.code == code);
    CHECK(Names(status, argument));
    CHECK(status.actual == actual);
  }

  std::vector<std::byte> bytes;

 private:
  static size_t FieldsBegin() { return detail::FileLayoutOf(PositionsConfig()).sections[0].begin; }
  template <typename T>
  T At(size_t offset) const {
    T value;
    memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  }
  template <typename T>
  void Put(size_t offset, const T& value) {
    memcpy(bytes.data() + offset, &value, sizeof(value));
  }
};

template <typename Edit>
void RefusedEntry(size_t i, const Edit& edit, StatusCode code, int64_t actual) {
  Crafted file;
  SectionEntry entry = file.Entry(i);
  edit(entry);
  file.SetEntry(i, entry);
  CAPTURE(i);
  file.Refused(code, "file", actual);
}

template <typename Edit>
void RefusedField(size_t i, const Edit& edit, StatusCode code, const char* argument,
                  int64_t actual) {
  Crafted file;
  TaggedField field = file.Field(i);
  edit(field);
  file.SetField(i, field);
  CAPTURE(i);
  file.Refused(code, argument, actual);
}

constexpr auto kBadHeader = StatusCode::kBadHeader;
constexpr auto kUnsupported = StatusCode::kUnsupported;

TEST_CASE("the file that the tests below craft is whole") { CHECK(Crafted().Open().ok()); }

TEST_CASE("unknown kinds, flags and ids are unsupported by their number, wherever they are") {
  for (size_t i = 0; i < 5; ++i) {
    for (uint32_t kind : {0u, 6u, 77u, 0xffffffffu}) {
      RefusedEntry(i, [kind](SectionEntry& e) { e.kind = kind; }, kUnsupported, kind);
    }
    for (uint32_t flags : {1u, 0x80000000u}) {
      RefusedEntry(i, [flags](SectionEntry& e) { e.flags = flags; }, kUnsupported, flags);
    }
  }
  for (size_t i = 0; i < 6; ++i) {
    for (uint16_t id : {uint16_t{0}, uint16_t{7}, uint16_t{0xffff}}) {
      RefusedField(i, [id](TaggedField& f) { f.id = id; }, kUnsupported, "file", id);
      // The rest of the field does not matter.
      RefusedField(i, [id](TaggedField& f) { f = {id, 9, 5, 0}; }, kUnsupported, "file", id);
    }
  }
  RefusedField(0, [](TaggedField& f) { f.value = 3; }, kUnsupported, "config.rope_style", 3);
  // A sixth section, in the table's padding, of a kind that is not there yet.
  Crafted file;
  file.SetNumSections(6);
  file.SetEntry(5, {6, 0, file.bytes.size(), 0, 0, 0});
  file.Refused(kUnsupported, "file", 6);
}

TEST_CASE("a table that is not the one of its config is a bad header") {
  constexpr uint64_t kHuge = ~uint64_t{0};
  const Crafted good;
  for (size_t i = 0; i < 5; ++i) {
    const SectionEntry entry = good.Entry(i);
    for (uint64_t offset : {uint64_t{0}, entry.offset - 64, entry.offset + 64, entry.offset + 4,
                            uint64_t{1} << 63, kHuge, kHuge - 63, uint64_t{good.bytes.size()}}) {
      RefusedEntry(i, [offset](SectionEntry& e) { e.offset = offset; }, kBadHeader,
                   static_cast<int64_t>(offset));
    }
    for (uint64_t bytes : {entry.bytes - 4, entry.bytes + 4, kHuge, kHuge - entry.offset + 1,
                           uint64_t{1} << 32, uint64_t{0}}) {
      Crafted file;
      SectionEntry changed = entry;
      changed.bytes = bytes;
      file.SetEntry(i, changed);
      CAPTURE(i);
      CAPTURE(bytes);
      // A section of fields that ends too early or too late may read as a field of unknown id.
      const Status status = file.Open();
      CHECK((status.code == kBadHeader || (i == 0 && status.code == kUnsupported)));
    }
    RefusedEntry(i, [](SectionEntry& e) { e.reserved = 1; }, kBadHeader, 1);
    // Two of a kind, and sections in another order.
    const size_t next = (i + 1) % 5;
    RefusedEntry(i, [&](SectionEntry& e) { e = good.Entry(next); }, kBadHeader,
                 good.Entry(next).kind);
    Crafted swapped;
    swapped.SetEntry(i, good.Entry(next));
    swapped.SetEntry(next, good.Entry(i));
    CHECK(swapped.Open().code == kBadHeader);
  }
}

TEST_CASE("a table of another length than its config needs is a bad header") {
  for (uint32_t count : {0u, 65537u, 0x08000000u, 0x80000000u, 0xffffffffu}) {
    Crafted file;
    file.SetNumSections(count);
    file.Refused(kBadHeader, "file", count);
  }
  for (uint32_t count = 1; count < 200; ++count) {  // as far as the file goes, and further
    if (count == 5) continue;
    Crafted file;
    file.SetNumSections(count);
    CAPTURE(count);
    const Status status = file.Open();
    CHECK((status.code == kBadHeader || (count > 5 && status.code == kUnsupported)));
  }
  // The last section twice: the table has room for a sixth entry before the fields.
  Crafted twice;
  twice.SetNumSections(6);
  twice.SetEntry(5, twice.Entry(4));
  twice.Refused(kBadHeader, "file", 6);
  // The file's own size says that it ends before the table does.
  for (uint64_t size : {uint64_t{0}, uint64_t{255}, uint64_t{256}, uint64_t{256 + 159}}) {
    Crafted file;
    file.SetFileBytes(size);
    CHECK(file.Open().code == kBadHeader);
  }
  Crafted longer;
  longer.SetFileBytes(longer.bytes.size() + 64);
  longer.Refused(kBadHeader, "file", static_cast<int64_t>(longer.bytes.size()));
  longer.bytes.resize(longer.bytes.size() + 64);
  longer.Refused(kBadHeader, "file", static_cast<int64_t>(longer.bytes.size()));
}

TEST_CASE("a tagged field of another type, count or place is a bad header by its name") {
  const Crafted good;
  const char* const names[] = {"config.rope_style", "config.rope_dims", "config.rope_factor",
                               "config.q_norm",     "config.k_norm",    "config.norm_eps"};
  for (size_t i = 0; i < 6; ++i) {
    const TaggedField field = good.Field(i);
    for (uint16_t type : {uint16_t{0}, uint16_t(3 - field.type), uint16_t{3}, uint16_t{0xffff}}) {
      RefusedField(i, [type](TaggedField& f) { f.type = type; }, kBadHeader, names[i], type);
    }
    for (uint32_t count : {0u, 2u, 0x40000000u, 0xffffffffu}) {
      RefusedField(i, [count](TaggedField& f) { f.count = count; }, kBadHeader, names[i], count);
    }
    RefusedField(i, [](TaggedField& f) { f.value = 0; }, kBadHeader, names[i], 0);
    if (i == 3 || i == 4) {
      RefusedField(i, [](TaggedField& f) { f.value = 2; }, kBadHeader, names[i], 2);
      RefusedField(i, [](TaggedField& f) { f.value = 0x101; }, kBadHeader, names[i], 0x101);
    }
    if (i == 0) continue;
    // Twice, and out of order.
    RefusedField(i, [&](TaggedField& f) { f = good.Field(i - 1); }, kBadHeader, "file", i);
    Crafted swapped;
    swapped.SetField(i - 1, field);
    swapped.SetField(i, good.Field(i - 1));
    swapped.Refused(kBadHeader, "file", i);
  }
  const auto bad_config = [](size_t i, uint32_t value, const char* name) {
    Crafted file;
    TaggedField field = file.Field(i);
    field.value = value;
    file.SetField(i, field);
    const Status status = file.Open();
    CHECK(status.code == StatusCode::kBadConfig);
    CHECK(Names(status, name));
  };
  for (uint32_t dims : {1u, 3u, 5u, 8u, 0xfffffffeu}) bad_config(1, dims, names[1]);
  for (uint32_t bits : {0x7f800000u, 0x7fc00000u, 0xbf800000u}) {
    bad_config(2, bits, names[2]);
    bad_config(5, bits, names[5]);
  }
  bad_config(5, 1, names[5]);
}

// Opens a PositionsFile that has these fields alone, and all its sections.
Status OpenWithFields(const std::vector<TaggedField>& fields) {
  Crafted file;
  SectionEntry entry = file.Entry(0);
  entry.bytes = fields.size() * sizeof(TaggedField);
  file.SetEntry(0, entry);
  for (size_t i = 0; i < 6; ++i) {
    file.SetField(i, i < fields.size() ? fields[i] : TaggedField{});
  }
  return file.Open();
}

TEST_CASE("fields that the config does not need or lacks are refused") {
  const Crafted good;
  const auto without = [&good](size_t first, size_t last) {
    std::vector<TaggedField> fields;
    for (size_t i = 0; i < 6; ++i) {
      if (i < first || i > last) fields.push_back(good.Field(i));
    }
    return OpenWithFields(fields);
  };
  CHECK(without(6, 6).ok());
  CHECK(without(0, 5).code == kBadHeader);  // version 1 would do
  CHECK(Names(without(0, 0), "config.rope_dims"));
  CHECK(Names(without(0, 1), "config.rope_factor"));
  CHECK(Names(without(3, 4), "config.norm_eps"));
  for (size_t missing : {1, 2, 5}) {
    CHECK(without(missing, missing).code == kBadHeader);  // a default in place of a number
  }
  CHECK(without(3, 3).code == kBadHeader);  // a section that no field needs
  CHECK(without(0, 2).code == kBadHeader);
}

TEST_CASE("the versions do not pass for each other") {
  Crafted as_old;
  as_old.SetVersion(1);
  as_old.Refused(kBadHeader, "file", 5);  // a reserved byte of version 1
  as_old.SetNumSections(0);
  CHECK(as_old.Open().code == kBadHeader);
  Crafted as_new(SmallFile());
  as_new.SetVersion(2);
  as_new.Refused(kBadHeader, "file", 0);

  // A plain layer as version 2 would hold it: a table with its matrices alone, no fields.
  const std::vector<std::byte> plain = SmallFile();
  for (uint32_t first_kind : {1u, 2u}) {
    std::vector<std::byte> bytes(plain.begin(), plain.begin() + kHeader);
    bytes.resize(kHeader + 64);
    bytes.insert(bytes.end(), plain.begin() + kHeader, plain.end());
    Crafted file(bytes);
    file.SetVersion(2);
    file.SetFileBytes(bytes.size());
    const uint64_t payload = plain.size() - kHeader;
    file.SetNumSections(3 - first_kind);
    file.SetEntry(0, {1, 0, kHeader + 64, 0, 0, 0});
    file.SetEntry(2 - first_kind, {2, 0, kHeader + 64, payload, 0, 0});
    CHECK(file.Open().code == kBadHeader);
  }
}

}  // namespace
}  // namespace heed::test
