// tests/cli/hostile_packed_test.cc: every command that opens a packed file refuses a broken one.
#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/support/packed_file.h"

namespace heed::test {
namespace {

constexpr size_t kHeader = sizes::kHeaderBytes;

std::string GoodFile() {
  Random random(91);
  AttentionConfig config = Shape(6, 2);
  config.add_bias_kv = true;
  const AlignedBytes file = Pack(NormalLayer(config, random));
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

// A file of version 2. Its table begins at 256, its fields at 448 and its matrices at 576.
constexpr size_t kFields = 448, kMatrices = 576;

std::string PositionsFile() {
  Random random(93);
  AttentionConfig config = Shape(6, 1).WithRope(RopeStyle::kInterleaved, 4);
  config.q_norm = config.k_norm = true;
  const AlignedBytes file = Pack(NormalLayer(config, random));
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

// `field` at `offset`, with every checksum made true again.
std::string With(std::string file, size_t offset, const std::string& field) {
  file.replace(offset, field.size(), field);
  RepairChecksums(MutableBytes(reinterpret_cast<std::byte*>(file.data()), file.size()));
  return file;
}
std::string WithField(size_t offset, const std::string& field) {
  return With(GoodFile(), offset, field);
}

// A folder with a query that fits the good file.
class Opener {
 public:
  Opener() : query_(folder_.Write("x.npy", NpyFloats({3, 6}, std::vector<float>(18, 1.0f)))) {}
  Words Info(const std::string& file) const {
    return {"info", folder_.Write("layer.heed", file)};
  }
  Words Run(const std::string& path) const {
    return {"run", path, "--query", query_, "--output", folder_.Path("y.npy")};
  }
  // Both info and run say so, with the file's name.
  void RefusedPath(const std::string& path, const Words& words) const {
    CheckRefused(folder_, {"info", path}, 1, words + Words{path});
    CheckRefused(folder_, Run(path), 1, words + Words{path}, "y.npy");
  }
  void Refused(const std::string& file, const Words& words) const {
    RefusedPath(folder_.Write("layer.heed", file), words);
  }
  const Folder& folder() const { return folder_; }

 private:
  Folder folder_;
  std::string query_;
};

TEST_CASE("the file that the tests below break is whole") {
  const Opener opener;
  HeedOk(opener.Info(GoodFile()));
  HeedOk(opener.Run(opener.folder().Path("layer.heed")));
  HeedOk(opener.Info(PositionsFile()));
  HeedOk(opener.Run(opener.folder().Path("layer.heed")));
}

TEST_CASE("a packed file cut anywhere is refused with both sizes") {
  const Opener opener;
  const std::string good = GoodFile();
  for (size_t size = 0; size < good.size();
       size += size < kHeader ? Stride(3, 101) : Stride(61, 701)) {
    CAPTURE(size);
    CHECK(!Survives(opener.Info(good.substr(0, size))));
  }
  const std::string bytes = std::to_string(good.size());
  opener.Refused("", {"at least 256", "got 0"});
  opener.Refused(good.substr(0, 255), {"at least 256", "got 255"});
  opener.Refused(good.substr(0, 256), {"at least " + bytes, "got 256"});
  opener.Refused(good.substr(0, good.size() - 1), {"at least " + bytes});

  const std::string positions = PositionsFile();
  for (size_t size = 0; size < positions.size();
       size += size < kMatrices ? Stride(5, 103) : Stride(61, 701)) {
    CAPTURE(size);
    CHECK(!Survives(opener.Info(positions.substr(0, size))));
  }
  opener.Refused(positions.substr(0, 300),
                 {"at least " + std::to_string(positions.size()), "got 300"});
}

TEST_CASE("bytes behind a packed file are refused with both sizes") {
  const Opener opener;
  const std::string good = GoodFile();
  const std::string bytes = std::to_string(good.size());
  opener.Refused(good + '\0', {"expected " + bytes, "got " + std::to_string(good.size() + 1)});
  opener.Refused(good + good, {"expected " + bytes, "got " + std::to_string(2 * good.size())});
}

void RefusedWithFlip(const Opener& opener, std::string file, size_t bit) {
  CAPTURE(bit);
  file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
  CHECK(!Survives(opener.Info(file)));
}

TEST_CASE("a packed file with a bit of its header flipped is refused") {
  const Opener opener;
  const std::string file = GoodFile();
  for (size_t bit = 0; bit < kHeader * 8; bit += Stride(bit < 80 * 8 ? 1 : 7, 97)) {
    RefusedWithFlip(opener, file, bit);
  }
}

// tests/unit/hostile_file_test.cc flips every bit.
TEST_CASE("a file of version 2 with a bit flipped anywhere is refused") {
  const Opener opener;
  const std::string file = PositionsFile();
  for (size_t bit = 0; bit < file.size() * 8;
       bit += bit < kMatrices * 8 ? Stride(11, 97) : Stride(101, 997)) {
    RefusedWithFlip(opener, file, bit);
  }
}

TEST_CASE("a section or a field with true checksums is refused by number or name") {
  const Opener opener;
  const std::string good = PositionsFile();
  const std::string bytes = std::to_string(good.size());
  const auto refused = [&](size_t offset, const std::string& field, const Words& words) {
    opener.Refused(With(good, offset, field), words);
  };
  refused(16, Number(uint64_t{1} << 60, 8), {"at least 1152921504606846976", "got " + bytes});
  refused(80, Number(0, 4), {"section table", "got 0"});
  refused(80, Number(4, 4), {"first section", "offset 384", "got 448"});
  refused(80, Number(0xffffffffu, 4), {"section table", "got 4294967295"});
  refused(88, Number(1, 1), {"reserved", "got 1"});
  refused(256 + 3 * 32, Number(6, 4), {"unsupported", "kinds 1 to 5", "got 6"});
  refused(256 + 3 * 32 + 4, Number(9, 4), {"unsupported", "flags", "got 0x00000009"});
  refused(256 + 32 + 8, Number(uint64_t{1} << 63, 8), {"offset", "expected", "576"});
  refused(256 + 32 + 16, Number(64, 8), {"bytes of a section", "got 64"});
  refused(kFields, Number(7, 2), {"unsupported", "ids 1 to 6", "got 7"});
  refused(kFields + 2, Number(2, 2), {"rope_style", "type 1", "got 2"});
  refused(kFields + 4, Number(2, 4), {"rope_style", "count of 1", "got 2"});
  refused(kFields + 8, Number(3, 4), {"unsupported", "rope_style", "got 3"});
  refused(kFields + 20, Number(8, 4), {"rope_dims", "2 to 6", "got 8"});
  refused(kFields + 12, Number(1, 2), {"rising id", "got 1"});
  refused(kMatrices - 1, Number(5, 1), {"between sections", "got 5"});
}

TEST_CASE("a packed file with a bit of its weights flipped is refused by its checksum") {
  const Opener opener;
  std::string file = GoodFile();
  Random random(92);
  for (size_t at = kHeader; at < file.size(); at += Stride(29, 997)) {
    CAPTURE(at);
    const char flip = static_cast<char>(1 << random.Below(8));
    file[at] = static_cast<char>(file[at] ^ flip);
    CheckError(Heed(opener.Info(file)), 1, {"a payload with CRC-32C 0x"});
    file[at] = static_cast<char>(file[at] ^ flip);
  }
  file.back() = static_cast<char>(file.back() ^ 1);
  opener.Refused(file, {"checksum", "payload"});
}

TEST_CASE("another magic, version, or field with a true checksum is refused by name") {
  const Opener opener;
  std::string file = GoodFile();
  file[0] = 'h';
  opener.Refused(file, {"not a heed file"});
  for (const uint32_t version : {0u, 3u, 0xffffffffu}) {
    opener.Refused(WithField(4, Number(version, 4)),
                   {"expected version 1 to 2", "got " + std::to_string(version)});
  }
  opener.Refused(WithField(4, Number(2, 4)), {"section table", "got 0"});
  opener.Refused(WithField(80, Number(1, 4)), {"reserved", "got 1"});
  opener.Refused(WithField(8, Number(128, 4)), {"header_bytes = 256", "got 128"});
  opener.Refused(WithField(16, Number(uint64_t{1} << 60, 8)),
                 {"file_bytes", "got 1152921504606846976"});
  opener.Refused(WithField(28, Number(8, 4)), {"panel_columns = 16", "got 8"});
  opener.Refused(WithField(32, Number(0, 4)), {"embed_dim", "got 0"});
  opener.Refused(WithField(32, Number(0x80000000u, 4)), {"embed_dim", "got 2147483648"});
  opener.Refused(WithField(36, Number(0, 4)), {"num_heads", "got 0"});
  opener.Refused(WithField(40, Number(3, 4)), {"num_kv_heads", "got 3"});
  opener.Refused(WithField(44, Number(1u << 20, 4)), {"num_heads", "1048576"});
  opener.Refused(WithField(44, Number(4, 4)), {"file_bytes"});
  opener.Refused(WithField(56, Number(0x7fc00000u, 4)), {"scale"});
  opener.Refused(WithField(60, Number(0xbf800000u, 4)), {"softcap"});
  opener.Refused(WithField(64, Number(0x80000000u, 4)), {"window", "got 2147483648"});
  opener.Refused(WithField(68, Number(64, 4)), {"flags", "got 0x00000040"});
  opener.Refused(WithField(72, Number(4, 4)), {"weights", "got 4"});
  opener.Refused(WithField(76, Number(2, 4)), {"core", "got 2"});
  opener.Refused(WithField(255, Number(1, 1)), {"reserved", "got 1"});
}

TEST_CASE("what is no packed file is refused by its path") {
  const Opener opener;
  const Folder& folder = opener.folder();
  opener.RefusedPath(folder.Path("absent.heed"), {"No such file"});
  opener.RefusedPath(folder.Path(""), {"directory"});
  opener.RefusedPath(folder.Path("x.npy") + "/layer.heed", {"Not a directory"});
  opener.RefusedPath(folder.Path("x.npy"), {"expected a packed file, got a NumPy array"});
  opener.RefusedPath("/dev/null", {"at least 256", "got 0"});
  opener.Refused(std::string(4096, '\0'), {"not a heed file"});
  opener.Refused(std::string(100000, '\xff'), {"not a heed file"});
}

}  // namespace
}  // namespace heed::test
