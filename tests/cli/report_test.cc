// tests/cli/report_test.cc: `heed report` prints a row for the layer and for each head of every
// weight type and core that is built, and refuses what run and pack refuse.
#include <cstdint>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

constexpr size_t kHeads = 3, kLen = 5;

// Weight types and cores of this build beside the float layer.
size_t BuiltTypes(AttentionConfig config) {
  size_t count = 0;
  for (uint32_t type = 1; type < 8; ++type) {
    config.weights = static_cast<WeightType>(type / 2);
    config.core = static_cast<CoreType>(type % 2);
    count += CheckConfig(config).ok() ? 1 : 0;
  }
  return count;
}

struct Files {
  Folder folder;
  LayerData layer;
  Words words;

  Files() {
    Random random(41);
    layer = NormalLayer(Shape(12, kHeads), random);
    folder.Write("layer.safetensors", Safetensors(Saved(layer, Naming::kTorch)));
    folder.Write("x.npy", NpyFloats({2, kLen, 12}, NormalVector(random, 2 * kLen * 12)));
    words = {"report",  folder.Path("layer.safetensors"), "--heads", std::to_string(kHeads),
             "--query", folder.Path("x.npy")};
  }
};

void CheckTable(const std::string& table, size_t types) {
  std::istringstream lines(table);
  std::string line;
  REQUIRE(std::getline(lines, line));
  if (types == 0) {
    CHECK(line == "this build has no weight type and no core but f32");
  } else {
    CHECK(line.find("rel_error") != std::string::npos);
  }
  size_t rows = 0;
  for (; std::getline(lines, line); ++rows) {
    std::istringstream words(line);
    std::string weights, core, part;
    words >> weights >> core >> part;
    const size_t head = rows % (1 + kHeads);
    CHECK(part == (head == 0 ? "layer" : "head"));
    size_t number = 0;
    if (head != 0) {
      CHECK(!(words >> number).fail());
      CHECK(number == head - 1);
    }
    double relative = -1.0, sqnr = -1.0, worst_row = -1.0;
    CHECK(!(words >> relative >> sqnr >> worst_row).fail());
    CHECK(relative > 0.0);
    CHECK(relative < 0.5);
    CHECK(worst_row >= relative * 0.999999);  // six digits are printed
    CHECK(sqnr > 0.0);
  }
  CHECK(rows == types * (1 + kHeads));
}

TEST_CASE("report prints the layer and each head of every type that is built") {
  const Files files;
  const size_t types = BuiltTypes(files.layer.config);
  CheckTable(HeedOk(files.words), types);
  CheckTable(HeedOk(files.words + Words{"--causal", "--window", "3"}), types);
  CheckTable(HeedOk(files.words + Words{"--target", "REFERENCE", "--threads", "2"}), types);
}

TEST_CASE("report refuses what is no call of the layer") {
  const Files files;
  CHECK(Heed(files.words + Words{"--output", files.folder.Path("y.npy")}).exit_code == 2);
  CHECK(Heed(files.words + Words{"--value", files.folder.Path("x.npy")}).exit_code == 2);
  CHECK(Heed({"report", files.folder.Path("layer.safetensors"), "--heads", "3"}).exit_code == 2);
  CHECK(Heed({"report", files.folder.Path("layer.safetensors"), "--query",
              files.folder.Path("x.npy")})
            .exit_code == 2);
  files.folder.Write("narrow.npy", NpyFloats({4, 11}, std::vector<float>(44)));
  const Outcome narrow = Heed({"report", files.folder.Path("layer.safetensors"), "--heads", "3",
                               "--query", files.folder.Path("narrow.npy")});
  CHECK(narrow.exit_code == 1);
  CHECK(narrow.err.find("last dimension: expected 12, got 11") != std::string::npos);
}

}  // namespace
}  // namespace heed::test
