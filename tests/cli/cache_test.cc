// tests/cli/cache_test.cc: `heed run` gives a sequence to a layer in pieces, with a cache or a
// memory. It writes the same bytes as the same command without --stream.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"

namespace heed::test {
namespace {

AttentionConfig Decoder(RopeStyle style = RopeStyle::kHalf) {
  AttentionConfig config = Shape(12, 4);
  config.num_kv_heads = 2;
  config.head_dim = 6;
  return config.WithRope(style, 4);
}

LayerData DecoderLayer(uint64_t seed, AttentionConfig config = Decoder()) {
  Random random(seed);
  config.q_norm = config.k_norm = true;
  return NormalLayer(config, random);
}

// A call in a folder, whole and in pieces.
class StreamedCall {
 public:
  StreamedCall(const LayerData& layer, const CallSizes& sizes, uint64_t seed)
      : call(layer, sizes, seed) {}

  const Folder& folder() const { return call.folder(); }
  Words Run(const Words& more) const {
    return call.words() + more + Words{"--output", folder().Path("y.npy")};
  }
  // The bytes that the command writes; `with_weights` asks for attention weights too.
  std::string Written(const Words& more, bool with_weights = true) const {
    const Words weights = with_weights ? Words{"--attention-weights", folder().Path("a.npy")}
                                       : Words{};
    HeedOk(Run(more) + weights);
    return folder().Read("y.npy") + (with_weights ? folder().Read("a.npy") : "");
  }
  void SameInPieces(const Words& more, const std::vector<size_t>& pieces,
                    const Words& cache = {}, bool with_weights = true) const {
    const std::string whole = Written(more, with_weights);
    for (const size_t rows : pieces) {
      CAPTURE(rows);
      const Words stream = {"--stream", std::to_string(rows)};
      CHECK((Written(more + cache + stream, with_weights) == whole));
    }
  }
  void Wrong(const Words& more, const Words& words, int exit_code = 2) const {
    CheckRefused(folder(), Run(more), exit_code, words, "y.npy");
  }

  LayerCall call;
};

const Words kCausal = {"--causal"};

TEST_CASE("a sequence in pieces of any size gives the bytes of the whole, weights included") {
  const StreamedCall call(DecoderLayer(201), {2, 70}, 202);
  call.SameInPieces(kCausal, {1, 3, 64, 69, 70, 1000});
  call.SameInPieces(kCausal, {7}, {"--kv-cache", "f32", "--value-cache", "f32", "--threads", "3"});
  call.SameInPieces(kCausal + Words{"--average-heads"}, {9});
  const StreamedCall plain(DecoderLayer(203), {1, 5, 0, false, false, /*batched=*/false}, 204);
  plain.SameInPieces(kCausal, {1, 2, 5});
}

TEST_CASE("masks are given for the whole sequence, and cut by rows") {
  const StreamedCall call(DecoderLayer(205, Decoder(RopeStyle::kInterleaved)), {2, 9}, 206);
  const auto same = [&](const auto& add, const Words& more = kCausal) {
    MaskOptions masks(call.folder(), 207);
    add(&masks);
    call.SameInPieces(more + masks.words(), {1, 2, 4, 9});
  };
  const size_t b = 2, h = 4, s = 9;
  same([&](MaskOptions* m) { m->AddFlags("--keep-mask", "|b1", {s, s}, {1, 1, s, s}); });
  same([&](MaskOptions* m) {
    m->AddFlags("--ignore-mask", "|u1", {b, h, s, s}, {b, h, s, s}, 30);
  });
  same([&](MaskOptions* m) { m->AddFlags("--keep-mask", "<i8", {b, s}, {b, 1, 1, s}); });
  same([&](MaskOptions* m) { m->AddFlags("--keep-mask", "|b1", {s, 1}, {1, 1, s, 1}); });
  same([&](MaskOptions* m) {
    m->AddFlags("--key-padding-mask", "|b1", {b, s}, {b, 1, 1, s}, 30);
    m->AddBias({h, s, s}, {1, h, s, s});
  });
  same([&](MaskOptions* m) { m->AddBias({b, 1, 1, s}, {b, 1, 1, s}); });
  same([&](MaskOptions* m) { m->AddBias({1, 1}, {1, 1, 1, 1}); });
  same([&](MaskOptions* m) { m->AddWindow(3); }, {});
  same([&](MaskOptions* m) { m->AddWindow(2, 0); }, {});
  same([&](MaskOptions* m) { m->AddWindow(2, 5); });
  same([&](MaskOptions* m) { m->AddWindow(3); }, {"--first-keys", "2"});
}

TEST_CASE("rows after an entry's length are not fed: they give the output's bias") {
  const LayerData layer = DecoderLayer(208);
  const StreamedCall call(layer, {3, 8}, 209);
  MaskOptions masks(call.folder(), 210);
  masks.AddLengths("<i4", {3}, {8, 3, 0});
  masks.AddFlags("--ignore-mask", "|b1", {8, 8}, {1, 1, 8, 8}, 20);
  call.Written(kCausal + masks.words(), false);
  const std::vector<float> whole = ReadNpy(call.folder().Path("y.npy")).Floats();
  for (const std::string rows : {"1", "3", "8"}) {
    CAPTURE(rows);
    call.Written(kCausal + masks.words() + Words{"--stream", rows});
    const std::vector<float> y = ReadNpy(call.folder().Path("y.npy")).Floats();
    REQUIRE(y.size() == whole.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t entry = i / 12 / 8, row = i / 12 % 8;
      const bool is_fed = row < (entry == 0 ? 8u : entry == 1 ? 3u : 0u);
      CHECK(y[i] == (is_fed ? whole[i] : layer.out_bias[i % 12]));
    }
  }
}

TEST_CASE("added keys are the last columns of the attention weights, in pieces too") {
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = config.add_zero_attn = true;
  const StreamedCall call(DecoderLayer(211, config), {2, 6}, 212);
  call.SameInPieces(kCausal, {1, 4});
}

TEST_CASE("a window of the layer is enough for --stream, and so is a core of int8") {
  AttentionConfig config = Decoder();
  config.window = 4;
  const StreamedCall call(DecoderLayer(213, config), {1, 12}, 214);
  call.SameInPieces({}, {1, 5});
  config.core = CoreType::kInt8;
  const StreamedCall int8(DecoderLayer(215, config), {2, 70}, 216);
  int8.SameInPieces({}, {1, 31}, {}, false);
  int8.SameInPieces({}, {8}, {"--kv-cache", "int8"}, false);
  int8.Wrong({"--stream", "2", "--kv-cache", "bf16"}, {"--kv-cache", "int8", "bf16"}, 1);
  int8.Wrong({"--stream", "2", "--value-cache", "f32"}, {"--value-cache", "int8", "f32"}, 1);
}

TEST_CASE("bf16 and int8 caches are near the whole, the same in any pieces, and differ") {
  const StreamedCall call(DecoderLayer(217), {1, 40}, 218);
  call.Written(kCausal, false);
  const Array whole = ReadNpy(call.folder().Path("y.npy"));
  std::vector<std::string> written;
  for (const Words& types : {Words{"--kv-cache", "bf16"}, Words{"--kv-cache", "int8"},
                             Words{"--kv-cache", "f32", "--value-cache", "int8"},
                             Words{"--value-cache", "bf16"}}) {
    written.push_back(call.Written(kCausal + types + Words{"--stream", "1"}, false));
    const Array y = ReadNpy(call.folder().Path("y.npy"));
    const double error = RelativeError(y.Floats(), whole.Doubles());
    CHECK(error > 1e-5);
    CHECK(error < 0.05);
    CHECK((call.Written(kCausal + types + Words{"--stream", "13"}, false) == written.back()));
  }
  std::sort(written.begin(), written.end());
  CHECK(std::unique(written.begin(), written.end()) == written.end());
}

TEST_CASE("a ring keeps the window and the first keys, and goes on from a file") {
  const StreamedCall call(DecoderLayer(219), {1, 300}, 220);
  for (const Words& window :
       {Words{"--window", "20"}, Words{"--window", "70", "--first-keys", "5"}}) {
    call.SameInPieces(window, {1, 50}, {"--ring"}, false);
  }
  call.Wrong({"--window", "3", "--stream", "2", "--ring", "--attention-weights", "a"},
             {"--ring", "--attention-weights"});
  call.Wrong(kCausal + Words{"--stream", "2", "--ring"}, {"--ring", "--window"});
  call.Wrong({"--window", "3", "--ring"}, {"--ring", "--stream"});
}

// Rows [first, first + rows) of each entry of a query [B, S, E], as a file.
std::string RowsOf(const std::vector<float>& query, size_t batch, size_t columns, size_t first,
                   size_t rows) {
  const size_t all = query.size() / batch / columns;
  std::vector<float> part;
  for (size_t b = 0; b < batch; ++b) {
    const auto begin = query.begin() + static_cast<ptrdiff_t>((b * all + first) * columns);
    part.insert(part.end(), begin, begin + static_cast<ptrdiff_t>(rows * columns));
  }
  return NpyFloats({batch, rows, columns}, part);
}

TEST_CASE("a saved cache goes on where it stopped, with more keys than it was made for") {
  const LayerData layer = DecoderLayer(221);
  const StreamedCall call(layer, {2, 150}, 222);
  const Folder& folder = call.folder();
  const std::vector<float> query = ReadNpy(folder.Path("query.npy")).Floats();
  for (const std::string type : {"f32", "bf16", "int8"}) {
    CAPTURE(type);
    for (const bool is_ring : {false, true}) {
      const Words words = {"run", call.call.packed(), "--window", "40", "--kv-cache", type};
      const Words ring = is_ring ? Words{"--ring"} : Words{};
      const auto run = [&](size_t first, size_t rows, const Words& more) {
        HeedOk(words + ring + more +
               Words{"--query", folder.Write("part.npy", RowsOf(query, 2, 12, first, rows)),
                     "--output", folder.Path("part_y.npy")});
        return ReadNpy(folder.Path("part_y.npy")).Floats();
      };
      const std::string state = folder.Path("state");
      std::vector<float> y[3] = {run(0, 61, {"--stream", "20", "--save-cache", state}),
                                 run(61, 9, {"--load-cache", state, "--save-cache", state}),
                                 run(70, 80, {"--load-cache", state, "--stream", "33"})};
      call.Written({"--window", "40", "--kv-cache", type, "--stream", "7"}, false);
      const std::vector<float> whole = ReadNpy(folder.Path("y.npy")).Floats();
      std::vector<float> joined;
      for (size_t b = 0; b < 2; ++b) {
        for (std::vector<float>& part : y) {
          const auto size = static_cast<ptrdiff_t>(part.size() / 2);
          const auto begin = part.begin() + static_cast<ptrdiff_t>(b) * size;
          joined.insert(joined.end(), begin, begin + size);
        }
      }
      CHECK(SameBits(joined, whole));
    }
  }
}

TEST_CASE("with a cache of a file, masks and attention weights have its keys and the new ones") {
  const LayerData layer = DecoderLayer(223);
  const StreamedCall call(layer, {2, 10}, 224);
  const Folder& folder = call.folder();
  MaskOptions masks(folder, 225);
  masks.AddFlags("--keep-mask", "|b1", {10, 10}, {1, 1, 10, 10}, 70);
  call.Written(kCausal + masks.words());
  const Array y = ReadNpy(folder.Path("y.npy")), a = ReadNpy(folder.Path("a.npy"));
  const std::string flags = folder.Read("keep-mask.npy");
  const auto mask_rows = [&](size_t first, size_t rows, size_t keys) {
    std::string part;
    for (size_t i = first; i < first + rows; ++i) {
      part += flags.substr(flags.size() - 100 + i * 10, keys);
    }
    return folder.Write("mask.npy", Npy("|b1", {rows, keys}, part));
  };
  const std::vector<float> query = ReadNpy(folder.Path("query.npy")).Floats();
  const auto run = [&](size_t first, size_t rows, const Words& more) {
    HeedOk(Words{"run", call.call.packed(), "--causal", "--output", folder.Path("y2.npy"),
                 "--attention-weights", folder.Path("a2.npy"), "--query",
                 folder.Write("part.npy", RowsOf(query, 2, 12, first, rows)), "--keep-mask",
                 mask_rows(first, rows, first + rows)} + more);
  };
  run(0, 4, {"--save-cache", folder.Path("state")});
  for (const Words& stream : {Words{}, Words{"--stream", "0"}, Words{"--stream", "4"}}) {
    run(4, 6, stream + Words{"--load-cache", folder.Path("state")});
    const Array y2 = ReadNpy(folder.Path("y2.npy")), a2 = ReadNpy(folder.Path("a2.npy"));
    CHECK((a2.shape == Dims{2, 4, 6, 10}));
    for (size_t b = 0; b < 2; ++b) {
      for (size_t i = 0; i < 6 * 12; ++i) {
        CHECK(y2.Floats()[b * 72 + i] == y.Floats()[b * 120 + 48 + i]);
      }
      for (size_t h = 0; h < 4; ++h) {
        for (size_t i = 0; i < 60; ++i) {
          CHECK(a2.Floats()[(b * 4 + h) * 60 + i] == a.Floats()[(b * 4 + h) * 100 + 40 + i]);
        }
      }
    }
  }
  // Lengths are those at the end of the call, cached keys included.
  const std::string lengths =
      folder.Write("lengths.npy", Npy("<i8", {2}, NumberBytes({10, 4}, "<i8")));
  run(4, 6, {"--load-cache", folder.Path("state"), "--stream", "2", "--key-lengths", lengths,
             "--save-cache", folder.Path("uneven")});
  const std::vector<float> y2 = ReadNpy(folder.Path("y2.npy")).Floats();
  for (size_t i = 0; i < 72; ++i) {
    CHECK(y2[i] == y.Floats()[48 + i]);
    CHECK(y2[72 + i] == layer.out_bias[i % 12]);
  }
  const std::string few = folder.Write("few.npy", Npy("<i8", {2}, NumberBytes({10, 3}, "<i8")));
  call.Wrong(kCausal + Words{"--load-cache", folder.Path("state"), "--key-lengths", few},
             {"--key-lengths", "4", "entry 1", "3"}, 1);
  // An entry cannot have more keys than it held and the query's ten rows.
  const std::string many = folder.Write("many.npy", Npy("<i8", {2}, NumberBytes({20, 15}, "<i8")));
  call.Wrong(kCausal + Words{"--load-cache", folder.Path("uneven"), "--key-lengths", many},
             {"--key-lengths", "entry 1", "4", "14", "15"}, 1);
}

TEST_CASE("a damaged or foreign cache is refused in a sentence, and nothing is written") {
  const StreamedCall call(DecoderLayer(226), {1, 5}, 227);
  const Folder& folder = call.folder();
  call.Written(kCausal + Words{"--stream", "2", "--save-cache", folder.Path("state")}, false);
  const std::string good = folder.Read("state");
  const auto refused = [&](const std::string& bytes, const Words& words, const Words& more = {}) {
    call.Wrong(kCausal + Words{"--load-cache", folder.Write("bad", bytes)} + more, words, 1);
  };
  refused("", {"bad"});
  refused("HEKV", {"bad"});
  refused(good.substr(0, good.size() - 64), {"bad"});
  refused(good + "x", {"bad", "size", std::to_string(good.size())});
  refused(folder.Read("layer.heed"), {"bad"});
  for (size_t i = 0; i < 128; i += Stride(3, 40)) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 4);
    refused(bytes, {"bad"});
  }
  std::string length = good;
  length[128] = 127;  // more keys than it has room for
  refused(length, {"bad"});
  call.Wrong(kCausal + Words{"--load-cache", folder.Path("state"), "--kv-cache", "int8"},
             {"--kv-cache", "f32", "int8"}, 1);
  call.Wrong({"--window", "2", "--load-cache", folder.Path("state"), "--ring"}, {"--ring"}, 1);
  const StreamedCall other(DecoderLayer(228, Decoder(RopeStyle::kInterleaved)), {1, 5}, 229);
  other.Wrong(kCausal + Words{"--load-cache", folder.Path("state")}, {"state", "rope_style"}, 1);
  const StreamedCall more(DecoderLayer(226), {2, 5}, 230);
  more.Wrong(kCausal + Words{"--load-cache", folder.Path("state")}, {"state", "2", "1"}, 1);
  const StreamedCall absent(DecoderLayer(226), {1, 5}, 231);
  absent.Wrong(kCausal + Words{"--load-cache", folder.Path("none")}, {"none"}, 1);
}

TEST_CASE("options of caches that do not go together are wrong usage") {
  const StreamedCall call(DecoderLayer(232), {1, 5}, 233);
  const std::string path = call.folder().Path("query.npy");
  call.Wrong({"--stream", "2"}, {"--stream", "--causal"});
  call.Wrong({"--stream", "2", "--window", "2,1"}, {"--stream", "--causal"});
  call.Wrong({"--stream", "2", "--window=-1,1"}, {"--stream", "--causal"});
  const Words stream = kCausal + Words{"--stream", "2"};
  call.Wrong(stream + Words{"--key", path}, {"--stream", "--key"});
  call.Wrong(stream + Words{"--causal-offset", "0"}, {"--stream", "--causal-offset"});
  call.Wrong(stream + Words{"--causal-offsets", path}, {"--stream", "--causal-offsets"});
  call.Wrong(stream + Words{"--explain"}, {"--stream", "--explain"});
  call.Wrong(stream + Words{"--memory-key-padding-mask", path}, {"--memory"});
  call.Wrong({"--kv-cache", "f32"}, {"--kv-cache", "--stream"});
  call.Wrong({"--value-cache", "f32"}, {"--value-cache", "--stream"});
  call.Wrong({"--save-cache", "s", "--key", path}, {"--save-cache", "--key"});
  for (const std::string bad : {"f16", "F32", "", "int4"}) {
    call.Wrong(stream + Words{"--kv-cache", bad}, {"--kv-cache"});
    call.Wrong(stream + Words{"--value-cache", bad}, {"--value-cache"});
  }
  for (const std::string bad : {"two", "", "1.5"}) {
    call.Wrong(kCausal + Words{"--stream", bad}, {"--stream"});
  }
  for (const std::string bad : {"-1", "1048577"}) {
    call.Wrong(kCausal + Words{"--stream=" + bad}, {"--stream", bad}, 1);
  }
  const Words ring = {"--stream", "2", "--ring"};
  call.Wrong(kCausal + ring, {"--ring", "--window"});
  call.Wrong({"--ring", "--window", "2"}, {"--ring", "--stream"});
  call.Wrong(ring + Words{"--window=-1,0"}, {"--ring", "--window with a left end"});
  for (const std::string bad : {"0", "1048577", "9223372036854775807,0"}) {
    call.Wrong(ring + Words{"--window", bad},
               {"--ring", "1 to 1048576", bad.substr(0, bad.find(','))}, 1);
  }
  call.Wrong(ring + Words{"--window", "2", "--first-keys", "1048577"},
             {"--ring", "--first-keys", "1048576", "1048577"}, 1);
  call.Wrong(kCausal + Words{"--first-keys", "2"}, {"--first-keys", "window"}, 1);
  call.Wrong({"--window", "2", "--first-keys=-1"}, {"--first-keys", "-1"}, 1);
  call.Wrong(stream + Words{"--save-cache", path}, {"query.npy"}, 1);
  for (const std::string option : {"--key", "--save-cache", "--load-cache"}) {
    call.Wrong({"--memory", path, option, path}, {"--memory", option});
  }
}

TEST_CASE("a memory is projected once and gives what --key gives, whole and in pieces") {
  AttentionConfig config = Shape(12, 4);
  config.kdim = config.vdim = 7;
  for (const CoreType core : {CoreType::kF32, CoreType::kInt8}) {
    config.core = core;
    Random random(234);
    const StreamedCall call(NormalLayer(config, random), {2, 6, 70, true}, 235);
    const Folder& folder = call.folder();
    const Words words = {"run", call.call.packed(), "--query", folder.Path("query.npy"),
                         "--output", folder.Path("y2.npy"), "--attention-weights",
                         folder.Path("a2.npy"), "--memory", folder.Path("key.npy")};
    for (int mask = 0; mask < 4; ++mask) {
      CAPTURE(mask);
      MaskOptions masks(folder, 236);
      if (mask == 1) masks.AddFlags("--keep-mask", "|b1", {6, 70}, {1, 1, 6, 70});
      if (mask == 2) masks.AddLengths("<i4", {2}, {70, 3});
      if (mask == 3) {
        masks.AddCausal();
        masks.AddOffset(5);
      }
      const std::string whole = call.Written(masks.words());
      for (const std::string rows : {"0", "1", "4"}) {
        HeedOk(words + masks.words() + Words{"--stream", rows});
        CHECK((folder.Read("y2.npy") + folder.Read("a2.npy") == whole));
      }
    }
    MaskOptions padding(folder, 237);
    padding.AddFlags("--key-padding-mask", "|b1", {2, 70}, {2, 1, 1, 70}, 30);
    const std::string whole = call.Written(padding.words());
    HeedOk(words + Words{"--memory-key-padding-mask", folder.Path("key-padding-mask.npy")});
    CHECK((folder.Read("y2.npy") + folder.Read("a2.npy") == whole));
    if (core == CoreType::kF32) {
      HeedOk(words + Words{"--kv-cache", "bf16"});
      CHECK(folder.Read("y2.npy") != whole.substr(0, folder.Read("y2.npy").size()));
    }
  }
}

TEST_CASE("positions of rows come from a file, and are cut like the rows") {
  const LayerData layer = DecoderLayer(238);
  const StreamedCall call(layer, {2, 6}, 239);
  const Folder& folder = call.folder();
  const std::string by_order = call.Written(kCausal);
  const auto with = [&](const std::string& descr, const Dims& shape,
                        const std::vector<double>& values) {
    return Words{"--positions",
                 folder.Write("p.npy", Npy(descr, shape, NumberBytes(values, descr)))};
  };
  CHECK((call.Written(kCausal + with("<i4", {6}, {0, 1, 2, 3, 4, 5})) == by_order));
  const Words own = with("<i8", {2, 6}, {3, 9, 2, 700, 5, 5, 0, 1048575, 2, 8, 1, 1});
  call.SameInPieces(kCausal + own, {1, 4});
  const std::vector<int32_t> positions = {3, 9, 2, 700, 5, 5, 0, 1048575, 2, 8, 1, 1};
  ForwardArgs args = call.call.args();
  args.causal = true;
  args.positions = Positions(positions.data(), 2, 6);
  const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
  CheckNpy(folder.Path("y.npy"), {2, 6, 12}, exact.output);
  call.Wrong(with("<i8", {7}, std::vector<double>(7)), {"p.npy", "positions", "[6]", "[7]"}, 1);
  call.Wrong(with("<i8", {6}, {0, 1, 2, 3, 4, 1048576}), {"p.npy", "element 5", "1048576"}, 1);
  call.Wrong(with("<i4", {6}, {0, 1, -2, 3, 4, 5}), {"p.npy", "element 2", "-2"}, 1);
  call.Wrong(with("<f4", {6}, {0, 1, 2, 3, 4, 5}), {"p.npy", "int32 or int64"}, 1);
  Random random(240);
  const StreamedCall plain(NormalLayer(Shape(8, 2), random), {2, 6}, 241);
  plain.Wrong(with("<i8", {6}, std::vector<double>(6)), {"positions", "no rotary positions"}, 1);
}

TEST_CASE("stories260K's layers, named as Meta names them, give its outputs whole and in pieces") {
  const std::string root = HEED_SHARED_DATA_DIR "/stories260K/";
  std::string bytes;
  if (!ReadFile(root + "layer0/y.npy", &bytes)) {
    MESSAGE("skipped: no ", root);
    return;
  }
  for (size_t number = 0; number < 5; ++number) {
    const std::string from = root + "layer" + std::to_string(number) + "/";
    const Folder folder;
    std::vector<SavedTensor> tensors;
    for (const std::string name : {"wq", "wk", "wv", "wo"}) {
      const Array array = ReadNpy(from + name + ".npy");
      tensors.push_back({name + ".weight", "F32", array.shape, BytesOf(array.Floats())});
    }
    const std::string layer = folder.Path("layer.heed");
    const std::string said =
        HeedOk({"pack", folder.Write("in.safetensors", Safetensors(tensors)), layer, "--heads",
                "8", "--kv-heads", "4", "--rope-theta", "10000"});
    CHECK(said.find("positions: rotary, interleaved, theta 10000, dims 8\n") != said.npos);
    const Array y = ReadNpy(from + "y.npy");
    const Words run = {"run", layer, "--query", from + "x.npy", "--causal", "--output",
                       folder.Path("y.npy")};
    HeedOk(run);
    CheckNpy(folder.Path("y.npy"), y.shape, y.Doubles());
    const std::string whole = folder.Read("y.npy");
    for (const std::string rows : {"1", "17"}) {
      HeedOk(run + Words{"--stream", rows});
      CHECK((folder.Read("y.npy") == whole));
    }
  }
}

}  // namespace
}  // namespace heed::test
