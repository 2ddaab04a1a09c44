// tests/cli/sdpa_test.cc: `heed sdpa` gives the oracle's answer.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

struct Sizes {
  size_t batch = 2, heads = 4, kv_heads = 4, query_len = 5, key_len = 7;
  size_t head_dim = 6, value_dim = 6;
};

// A layout says how the inputs lie in their files.
struct Files {
  std::string descr = "<f4";
  bool heads_in_rows = false;  // [B, S, H * D]
};

// [B][H][S][D] as [B][S][H * D]
template <typename T>
std::vector<T> HeadsInRows(const std::vector<T>& values, const Dims& shape) {
  const size_t heads = shape[1], rows = shape[2], columns = shape[3];
  std::vector<T> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t d = i % columns, s = i / columns % rows, h = i / columns / rows % heads;
    const size_t b = i / columns / rows / heads;
    result[((b * rows + s) * heads + h) * columns + d] = values[i];
  }
  return result;
}

Dims ShapeInRows(const Dims& shape) { return {shape[0], shape[2], shape[1] * shape[3]}; }

class SdpaCall {
 public:
  SdpaCall(const Sizes& sizes, uint64_t seed, const Files& files = {})
      : sizes_(sizes), files_(files), words_{"sdpa"} {
    Random random(seed);
    const Sizes& s = sizes;
    Add(random, "query", {s.batch, s.heads, s.query_len, s.head_dim}, &query_, &args_.query);
    Add(random, "key", {s.batch, s.kv_heads, s.key_len, s.head_dim}, &key_, &args_.key);
    Add(random, "value", {s.batch, s.kv_heads, s.key_len, s.value_dim}, &value_, &args_.value);
  }
  const Folder& folder() const { return folder_; }
  const Words& words() const { return words_; }

  // As LayerCall::Check; scale and softcap are what `more` says.
  void Check(const MaskOptions& masks, const Words& more = {}, float scale = 0.0f,
             float softcap = 0.0f) const {
    HeedOk(words_ + masks.words() + more +
           Words{"--output", folder_.Path("y.npy"), "--attention-weights", folder_.Path("a.npy")});
    SdpaArgs args = args_;
    masks.Apply(&args);
    args.scale = scale;
    args.softcap = softcap;
    const oracle::Result exact = oracle::ScaledDotProductAttention(args);
    const Sizes& s = sizes_;
    const Dims shape = {s.batch, s.heads, s.query_len, s.value_dim};
    if (files_.heads_in_rows) {
      CheckNpy(folder_.Path("y.npy"), ShapeInRows(shape), HeadsInRows(exact.output, shape));
    } else {
      CheckNpy(folder_.Path("y.npy"), shape, exact.output);
    }
    CheckNpy(folder_.Path("a.npy"), {s.batch, s.heads, s.query_len, s.key_len}, exact.weights);
  }
  void Check(const Words& more = {}, float scale = 0.0f, float softcap = 0.0f) const {
    Check(MaskOptions(folder_, 0), more, scale, softcap);
  }

 private:
  void Add(Random& random, const std::string& name, const Dims& shape, std::vector<float>* values,
           ConstTensorView* view) {
    *values = NormalVector(random, shape[0] * shape[1] * shape[2] * shape[3]);
    if (files_.descr == "<f2") *values = Exact(*values);
    *view = ConstTensorView(values->data(), shape[0], shape[1], shape[2], shape[3]);
    std::vector<double> numbers(values->begin(), values->end());
    if (files_.descr == "<f8") {  // numbers that are rounded to those floats
      for (double& number : numbers) number *= 1.0 + 0x1p-26;
    }
    const bool in_rows = files_.heads_in_rows;
    if (in_rows) numbers = HeadsInRows(numbers, shape);
    words_ = words_ + Words{"--" + name,
                            folder_.Write(name + ".npy",
                                          Npy(files_.descr, in_rows ? ShapeInRows(shape) : shape,
                                              NumberBytes(numbers, files_.descr)))};
  }

  Sizes sizes_;
  Files files_;
  Folder folder_;
  std::vector<float> query_, key_, value_;
  Words words_;
  SdpaArgs args_;
};

TEST_CASE("heads, grouped heads and values of their own width equal the oracle") {
  SdpaCall(Sizes{}, 1).Check();
  SdpaCall({1, 1, 1, 1, 1, 1, 1}, 2).Check();
  SdpaCall({2, 6, 2, 5, 7, 6, 11}, 3).Check();
  SdpaCall({1, 6, 1, 70, 130, 33, 3}, 4).Check();
}

TEST_CASE("heads that lie side by side in [B, S, H * D] equal the oracle, output included") {
  const Files in_rows = {"<f4", true};
  SdpaCall(Sizes{}, 21, in_rows).Check({"--heads", "4"});
  SdpaCall({2, 6, 2, 5, 7, 6, 11}, 22, in_rows).Check({"--heads", "6", "--kv-heads", "2"});
  SdpaCall({1, 1, 1, 3, 2, 1, 5}, 23, in_rows).Check({"--heads", "1"});
  const SdpaCall call({3, 6, 1, 70, 130, 33, 3}, 24, in_rows);
  MaskOptions masks(call.folder(), 25);
  masks.AddFlags("--keep-mask", "<i8", {3, 130}, {3, 1, 1, 130});
  masks.AddWindow(40, 20);
  call.Check(masks, {"--heads", "6", "--kv-heads", "1", "--threads", "3"});
}

TEST_CASE("inputs of float16 and float64 equal the oracle of the floats they become") {
  SdpaCall(Sizes{}, 31, {"<f2", false}).Check();
  SdpaCall(Sizes{}, 32, {"<f8", false}).Check();
  SdpaCall({2, 6, 2, 5, 7, 6, 11}, 33, {"<f8", true}).Check({"--heads", "6", "--kv-heads", "2"});
}

TEST_CASE("every float16 is read exactly, and float64 is rounded to the nearest float32") {
  const Folder folder;
  // Attention over one key gives the value.
  const auto read = [&folder](const std::string& descr, size_t count, const std::string& data) {
    const std::string one = folder.Write("one.npy", NpyFloats({1, 1, 1, 1}, {0.0f}));
    const std::string value = folder.Write("v.npy", Npy(descr, {1, 1, 1, count}, data));
    const std::string y = folder.Path("y.npy");
    HeedOk({"sdpa", "--query", one, "--key", one, "--value", value, "--output", y});
    return ReadNpy(y).Floats();
  };
  std::vector<double> halves;
  for (int exponent = -24; exponent <= 15; ++exponent) {
    for (const double mantissa : {1.0, 1.5, 1.25, 1.0 + 1.0 / 1024, 2.0 - 1.0 / 1024}) {
      const double unit = std::ldexp(1.0, std::max(exponent, -14) - 10);
      const double value = std::ldexp(mantissa, exponent);
      if (value / unit != std::floor(value / unit)) continue;  // a subnormal has fewer bits
      halves.push_back(value);
      halves.push_back(-value);
    }
  }
  halves.push_back(0.0);
  const std::vector<float> got = read("<f2", halves.size(), NumberBytes(halves, "<f2"));
  for (size_t i = 0; i < halves.size(); ++i) CHECK(static_cast<double>(got[i]) == halves[i]);
  constexpr auto kLargest = static_cast<double>(std::numeric_limits<float>::max());
  // Beside a value of 2^106 or more, one below 2^-105 loses bits.
  for (const std::vector<double>& values :
       {std::vector<double>{0.1, -1.0 / 3, 1.0 + 0x1p-24, 1.0 + 0x1.8p-23, 0x1p-149, 0x1.2p-140,
                            1e-300},
        std::vector<double>{kLargest, -kLargest * (1 + 0x1p-26), 0.1}}) {
    const std::vector<float> rounded = read("<f8", values.size(), NumberBytes(values, "<f8"));
    for (size_t i = 0; i < values.size(); ++i) CHECK(rounded[i] == static_cast<float>(values[i]));
  }
}

TEST_CASE("scale and softcap equal the oracle, negative and tiny scales among them") {
  const SdpaCall call(Sizes{}, 5);
  call.Check({"--scale", "2.5"}, 2.5f);
  call.Check({"--scale=-0.5", "--softcap", "0.75"}, -0.5f, 0.75f);
  call.Check({"--scale", "1e-3"}, 1e-3f);
  call.Check({"--scale", "0"});
  call.Check({"--softcap", "20"}, 0.0f, 20.0f);
}

TEST_CASE("every mask option of sdpa equals the oracle") {
  const Sizes s{2, 6, 3, 5, 7, 6, 4};
  const SdpaCall call(s, 6);
  uint64_t seed = 10;
  const auto with = [&](const auto& add) {
    CAPTURE(seed);
    MaskOptions masks(call.folder(), ++seed);
    add(&masks);
    call.Check(masks);
  };
  for (const std::string descr : {"|b1", "|u1", "<f4"}) {
    CAPTURE(descr);
    with([&](MaskOptions* m) { m->AddFlags("--keep-mask", descr, {5, 7}, {1, 1, 5, 7}); });
    with([&](MaskOptions* m) { m->AddFlags("--keep-mask", descr, {12, 5, 1}, {2, 6, 5, 1}); });
    with([&](MaskOptions* m) { m->AddFlags("--ignore-mask", descr, {6, 1, 7}, {1, 6, 1, 7}); });
    with([&](MaskOptions* m) {
      m->AddFlags("--ignore-mask", descr, {2, 1, 5, 7}, {2, 1, 5, 7});
    });
    with([&](MaskOptions* m) {
      m->AddFlags("--key-padding-mask", descr, {2, 7}, {2, 1, 1, 7}, 30, descr == "<f4");
    });
  }
  with([&](MaskOptions* m) { m->AddBias({6, 5, 7}, {1, 6, 5, 7}); });
  with([&](MaskOptions* m) { m->AddBias({2, 6, 1, 7}, {2, 6, 1, 7}); });
  with([&](MaskOptions* m) { m->AddLengths("<i4", {2}, {3, 0}); });
  with([&](MaskOptions* m) { m->AddLengths("<i8", {2}, {7, 2}); });
  with([&](MaskOptions* m) { m->AddCausal(); });
  with([&](MaskOptions* m) { m->AddWindow(2); });
  with([&](MaskOptions* m) { m->AddWindow(1, 3); });
  with([&](MaskOptions* m) { m->AddWindow(-1, 1); });
  with([&](MaskOptions* m) { m->AddFlags("--keep-mask", "<i8", {2, 7}, {2, 1, 1, 7}); });
  with([&](MaskOptions* m) { m->AddFlags("--keep-mask", "|b1", {7}, {1, 1, 1, 7}); });
  with([&](MaskOptions* m) {
    m->AddCausal();
    m->AddOffsets("<i4", {2}, {2, -3});
  });
  with([&](MaskOptions* m) {
    m->AddOffsets("<i8", {2}, {int64_t{1} << 40, 4});
    m->AddWindow(2);
    m->AddLengths("<i8", {2}, {3, 6});
  });
  with([&](MaskOptions* m) {
    m->AddCausal();
    m->AddOffset(-1);
    m->AddBias({1, 7}, {1, 1, 1, 7});
    m->AddLengths("<i4", {2}, {6, 5});
  });
}

TEST_CASE("threads and FMA targets do not change a bit of sdpa, and SSE4 stays within 2e-5") {
  const SdpaCall call({2, 4, 2, 50, 130, 16, 20}, 7);
  const auto run = [&](const Words& more) {
    HeedOk(call.words() + more + Words{"--causal", "--output", call.folder().Path("y.npy")});
    return call.folder().Read("y.npy");
  };
  const std::string reference = run({"--target", "REFERENCE"});
  std::istringstream lines(HeedOk({"targets"}));
  for (std::string target; std::getline(lines, target);) {
    CAPTURE(target);
    for (const std::string threads : {"1", "2", "5"}) {
      const std::string got = run({"--target", target, "--threads", threads});
      if (HasFma(target.c_str())) {
        CHECK((got == reference));
      } else {
        CHECK(RelativeError(ParseNpy(got).Floats(), ParseNpy(reference).Floats()) <= 2e-5);
      }
    }
  }
}

TEST_CASE("without --output sdpa prints the shape and CRC-32C of what the file would hold") {
  const SdpaCall call({1, 2, 2, 3, 4, 5, 6}, 8);
  HeedOk(call.words() + Words{"--output", call.folder().Path("y.npy")});
  char wanted[64];
  std::snprintf(wanted, sizeof(wanted), "shape [1, 2, 3, 6] crc32c %08x\n",
                Checksum(ReadNpy(call.folder().Path("y.npy")).Floats()));
  CHECK(HeedOk(call.words()) == wanted);
}

// Keys [first, first + rows) of an array [B, H, S, D] of the folder.
std::string KeysOf(const Folder& folder, const std::string& name, size_t first, size_t rows) {
  const Array array = ReadNpy(folder.Path(name));
  const std::vector<float> all = array.Floats();
  const Dims& s = array.shape;
  std::vector<float> part;
  for (size_t head = 0; head < s[0] * s[1]; ++head) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>((head * s[2] + first) * s[3]);
    part.insert(part.end(), begin, begin + static_cast<ptrdiff_t>(rows * s[3]));
  }
  return NpyFloats({s[0], s[1], rows, s[3]}, part);
}

TEST_CASE("past keys come before the call's own, and both are written as the present") {
  const SdpaCall call({2, 4, 2, 5, 9, 6, 3}, 61);
  const Folder& folder = call.folder();
  const auto bytes_of = [&](const Words& words) {
    HeedOk(words + Words{"--output", folder.Path("y.npy"), "--attention-weights",
                         folder.Path("a.npy")});
    return folder.Read("y.npy") + folder.Read("a.npy");
  };
  const Words present = {"--present-key", folder.Path("pk.npy"), "--present-value",
                         folder.Path("pv.npy")};
  MaskOptions masks(folder, 62);
  masks.AddFlags("--keep-mask", "|b1", {5, 9}, {1, 1, 5, 9});
  for (const size_t past : {0, 1, 4, 9}) {
    CAPTURE(past);
    const Words split = {"sdpa", "--query", folder.Path("query.npy"), "--past-key",
                         folder.Write("1.npy", KeysOf(folder, "key.npy", 0, past)), "--past-value",
                         folder.Write("2.npy", KeysOf(folder, "value.npy", 0, past)), "--key",
                         folder.Write("3.npy", KeysOf(folder, "key.npy", past, 9 - past)),
                         "--value",
                         folder.Write("4.npy", KeysOf(folder, "value.npy", past, 9 - past))};
    const std::string offset = std::to_string(past);
    CHECK((bytes_of(split + present + masks.words()) == bytes_of(call.words() + masks.words())));
    CHECK((ReadNpy(folder.Path("pk.npy")).Floats() == ReadNpy(folder.Path("key.npy")).Floats()));
    CHECK((ReadNpy(folder.Path("pv.npy")).Floats() == ReadNpy(folder.Path("value.npy")).Floats()));
    CHECK((ReadNpy(folder.Path("pv.npy")).shape == Dims{2, 2, 9, 3}));
    // The first query stands after the past, unless an offset is given.
    CHECK((bytes_of(split + Words{"--causal"}) ==
           bytes_of(call.words() + Words{"--causal", "--causal-offset", offset})));
    CHECK((bytes_of(split + Words{"--window", "2,1"}) ==
           bytes_of(call.words() + Words{"--window", "2,1", "--causal-offset", offset})));
    CHECK((bytes_of(split + Words{"--causal", "--causal-offset", "2"}) ==
           bytes_of(call.words() + Words{"--causal", "--causal-offset", "2"})));
  }
}

TEST_CASE("past keys of another shape, or without their values, are refused by name") {
  const SdpaCall call({2, 4, 2, 5, 9, 6, 3}, 63);
  const Folder& folder = call.folder();
  const std::string key = folder.Path("key.npy"), value = folder.Path("value.npy");
  const auto refused = [&](const Words& more, const Words& words, int exit_code = 1) {
    CheckRefused(folder, call.words() + more + Words{"--output", folder.Path("y.npy")}, exit_code,
                 words, "y.npy");
  };
  refused({"--past-key", key}, {"--past-key", "--past-value"}, 2);
  refused({"--past-value", key}, {"--past-key", "--past-value"}, 2);
  refused({"--past-key", key, "--past-value", key}, {"key.npy", "past value", "3", "6"});
  refused({"--past-key", folder.Path("query.npy"), "--past-value", value},
          {"query.npy", "past key: heads", "2", "4"});
  refused({"--past-key", key, "--past-value",
           folder.Write("short.npy", KeysOf(folder, "value.npy", 0, 8))},
          {"short.npy", "past value: length", "9", "8"});
  refused({"--past-key", folder.Write("flat.npy", NpyFloats({2, 9, 12}, std::vector<float>(216))),
           "--past-value", value}, {"flat.npy", "[2, 9, 12]"});
  refused({"--present-key", key}, {"key.npy", "input"});
}

}  // namespace
}  // namespace heed::test
