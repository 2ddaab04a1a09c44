// tests/cli/run_test.cc: `heed run` gives the layer's answer, whatever way it is asked.
#include <cstdio>
#include <limits>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

LayerData MakeLayer(const AttentionConfig& config, uint64_t seed) {
  Random random(seed);
  return NormalLayer(config, random);
}

CallSizes Cross(size_t batch, size_t query_len, size_t key_len, bool batched = true) {
  return CallSizes{batch, query_len, key_len, true, true, batched};
}

TEST_CASE("self-attention, key alone, and key with value of other widths equal the oracle") {
  AttentionConfig cross = Shape(12, 3);
  cross.kdim = 7;
  cross.vdim = 5;
  AttentionConfig square = cross;  // kdim == vdim, so that key alone can be the value too
  square.vdim = 7;
  for (const bool batched : {true, false}) {
    CAPTURE(batched);
    const size_t batch = batched ? 3 : 1;
    LayerCall(MakeLayer(Shape(12, 3), 21), CallSizes{batch, 6, 0, false, false, batched}, 1)
        .Check();
    LayerCall(MakeLayer(square, 22), CallSizes{batch, 4, 9, true, false, batched}, 2).Check();
    LayerCall(MakeLayer(cross, 23), Cross(batch, 4, 9, batched), 3).Check();
  }
}

TEST_CASE("layers with added keys, grouped heads, softcap and a window equal the oracle") {
  AttentionConfig config = Shape(20, 4);
  config.add_bias_kv = config.add_zero_attn = true;
  LayerCall(MakeLayer(config, 24), Cross(2, 3, 70), 4).Check();
  config.num_kv_heads = 2;
  config.softcap = 1.5f;
  config.window = 20;
  LayerCall(MakeLayer(config, 25), Cross(1, 70, 90), 5).Check();
  config.scale = 3.0f;
  config.head_dim = 33;
  const LayerCall call(MakeLayer(config, 26), CallSizes{2, 40}, 6);
  call.Check();
  MaskOptions window(call.folder(), 0);  // replaces the file's
  window.AddWindow(31);
  call.Check(window);
}

TEST_CASE("attention weights may be averaged over the heads, and be asked for alone") {
  AttentionConfig config = Shape(12, 3);
  config.add_bias_kv = true;
  const LayerData layer = MakeLayer(config, 27);
  for (const bool batched : {true, false}) {
    const size_t batch = batched ? 2 : 1;
    const LayerCall call(layer, Cross(batch, 4, 9, batched), 7);
    const Folder& folder = call.folder();
    const std::string out = HeedOk(call.words() + Words{"--average-heads", "--attention-weights",
                                                        folder.Path("a.npy")});
    const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), call.args());
    CheckNpy(folder.Path("a.npy"), batched ? Dims{2, 4, 10} : Dims{4, 10}, exact.average);
    CHECK(out.find("crc32c") != std::string::npos);
  }
}

TEST_CASE("threads and FMA targets do not change a bit, and SSE4 stays within 2e-5") {
  AttentionConfig config = Shape(40, 5);
  config.add_zero_attn = true;
  const LayerCall call(MakeLayer(config, 28), Cross(2, 70, 130), 8);
  MaskOptions masks(call.folder(), 1);
  masks.AddFlags("--keep-mask", "|b1", {70, 130}, {1, 1, 70, 130});
  const auto run = [&](const Words& more) {
    HeedOk(call.words() + masks.words() + more +
           Words{"--output", call.folder().Path("y.npy"), "--attention-weights",
                 call.folder().Path("a.npy")});
    return call.folder().Read("y.npy") + call.folder().Read("a.npy");
  };
  const std::string reference = run({"--target", "REFERENCE"});
  CHECK((run({}) == reference));
  Words targets = {"REFERENCE"};
  std::istringstream lines(HeedOk({"targets"}));
  for (std::string line; std::getline(lines, line);) targets.push_back(line);
  for (const std::string& target : targets) {
    CAPTURE(target);
    const std::string serial = run({"--target", target, "--threads", "1"});
    for (const std::string threads : {"2", "5"}) {
      CHECK((run({"--threads", threads, "--target", target}) == serial));
    }
    if (HasFma(target.c_str())) {
      CHECK((serial == reference));
      continue;
    }
    const size_t y_bytes = call.folder().Read("y.npy").size();
    CHECK(RelativeError(ParseNpy(serial.substr(0, y_bytes)).Floats(),
                        ParseNpy(reference.substr(0, y_bytes)).Floats()) <= 2e-5);
    CHECK(RelativeError(ParseNpy(serial.substr(y_bytes)).Floats(),
                        ParseNpy(reference.substr(y_bytes)).Floats()) <= 2e-5);
  }
}

TEST_CASE("without --output the printed shape and CRC-32C are those of the file") {
  for (const bool batched : {true, false}) {
    const size_t batch = batched ? 2 : 1;
    const LayerCall call(MakeLayer(Shape(12, 3), 29),
                         CallSizes{batch, 5, 0, false, false, batched}, 9);
    HeedOk(call.words() + Words{"--output", call.folder().Path("y.npy")});
    const Array y = ReadNpy(call.folder().Path("y.npy"));
    char wanted[64];
    std::snprintf(wanted, sizeof(wanted), "shape %s crc32c %08x\n",
                  batched ? "[2, 5, 12]" : "[5, 12]", Checksum(y.Floats()));
    CHECK(HeedOk(call.words()) == wanted);
  }
  // RFC 3720, B.4: 32 bytes of zeros.
  CHECK(Checksum(std::vector<float>(8, 0.0f)) == 0x8a9136aau);
}

TEST_CASE("--explain says what runs, and the result stays what it is") {
  const LayerData layer = MakeLayer(Shape(12, 3), 30);
  const LayerCall call(layer, Cross(1, 70, 130), 10);
  const std::string plain = HeedOk(call.words());
  const std::string text = HeedOk(call.words() + Words{"--explain", "--causal", "--target",
                                                       "REFERENCE"});
  CHECK(text.find(plain) == std::string::npos);  // causal: another result
  const std::string not_causal = HeedOk(call.words() + Words{"--explain"});
  REQUIRE(not_causal.size() > plain.size());
  CHECK(not_causal.substr(not_causal.size() - plain.size()) == plain);
  std::map<std::string, std::string> values;
  std::istringstream lines(text);
  for (std::string name, value; lines >> name >> value && name != "shape";) values[name] = value;
  CHECK(values["target"] == "REFERENCE");
  for (const char* name : {"flops", "weight_bytes", "workspace_bytes", "tensor_bytes", "gemm_rows",
                           "gemm_columns", "query_block", "key_block", "tiles", "tiles_full",
                           "tiles_masked", "tiles_skipped"}) {
    CAPTURE(name);
    REQUIRE(values.count(name) == 1);
    REQUIRE(values[name].find_first_not_of("0123456789") == std::string::npos);
  }
  const auto number = [&](const char* name) { return std::stoull(values[name]); };
  CHECK(number("weight_bytes") == PackedWeightsBytes(layer.config));
  CHECK(number("tensor_bytes") == 4 * (2 * 70 * 12 + 2 * 130 * 12));
  CHECK(number("tiles") ==
        number("tiles_full") + number("tiles_masked") + number("tiles_skipped"));
  CHECK(number("tiles_skipped") > 0);
}

TEST_CASE("NaN and infinite inputs are numbers like others: rows that see them show it") {
  const LayerData layer = MakeLayer(Shape(4, 1), 31);
  const Folder folder;
  const LayerCall call(layer, CallSizes{1, 3, 0, false, false, false}, 11);
  std::vector<float> x(12, 1.0f);
  x[11] = std::numeric_limits<float>::quiet_NaN();  // of the last row
  folder.Write("x.npy", NpyFloats({3, 4}, x));
  HeedOk({"run", call.packed(), "--query", folder.Path("x.npy"), "--causal", "--output",
          folder.Path("y.npy")});
  const std::vector<float> y = ReadNpy(folder.Path("y.npy")).Floats();
  CHECK(!AnyNan({y.begin(), y.begin() + 8}));
  CHECK(AllNan({y.begin() + 8, y.end()}));
  const std::string line =
      HeedOk({"run", call.packed(), "--query", folder.Path("x.npy"), "--causal"});
  char wanted[64];
  std::snprintf(wanted, sizeof(wanted), "crc32c %08x", Checksum(y));
  CHECK(line.find(wanted) != std::string::npos);
}

TEST_CASE("a trained layer of PP-OCRv4 packs and runs to within 1e-5 of its own engine") {
  const std::string sample = HEED_SOURCE_DIR "/ports/example/ppocrv4_rec/layer";
  const Folder folder;
  for (const std::string layer : {"0", "1"}) {
    HeedOk({"pack", sample + layer + ".safetensors", folder.Path("layer.heed"), "--heads", "8"});
    HeedOk({"run", folder.Path("layer.heed"), "--query", sample + layer + "_x.npy", "--output",
            folder.Path("y.npy")});
    const Array wanted = ReadNpy(sample + layer + "_y.npy");
    CheckNpy(folder.Path("y.npy"), wanted.shape, wanted.Doubles());
  }
}

}  // namespace
}  // namespace heed::test
