// tests/cli/sdpa_test.cc: `heed sdpa` gives the oracle's answer.
#include <cstdio>
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

class SdpaCall {
 public:
  SdpaCall(const Sizes& sizes, uint64_t seed) : sizes_(sizes), words_{"sdpa"} {
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
    CheckNpy(folder_.Path("y.npy"), {s.batch, s.heads, s.query_len, s.value_dim}, exact.output);
    CheckNpy(folder_.Path("a.npy"), {s.batch, s.heads, s.query_len, s.key_len}, exact.weights);
  }
  void Check(const Words& more = {}, float scale = 0.0f, float softcap = 0.0f) const {
    Check(MaskOptions(folder_, 0), more, scale, softcap);
  }

 private:
  void Add(Random& random, const std::string& name, const Dims& shape, std::vector<float>* values,
           ConstTensorView* view) {
    *values = NormalVector(random, shape[0] * shape[1] * shape[2] * shape[3]);
    *view = ConstTensorView(values->data(), shape[0], shape[1], shape[2], shape[3]);
    words_ = words_ + Words{"--" + name, folder_.Write(name + ".npy", NpyFloats(shape, *values))};
  }

  Sizes sizes_;
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

TEST_CASE("scale and softcap equal the oracle, negative and tiny scales among them") {
  const SdpaCall call(Sizes{}, 5);
  call.Check({"--scale", "2.5"}, 2.5f);
  call.Check({"--scale=-0.5", "--softcap", "0.75"}, -0.5f, 0.75f);
  call.Check({"--scale", "1e-3"}, 1e-3f);
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
      m->AddFlags("--key-padding-mask", descr, {2, 7}, {2, 1, 1, 7}, 30);
    });
  }
  with([&](MaskOptions* m) { m->AddBias({6, 5, 7}, {1, 6, 5, 7}); });
  with([&](MaskOptions* m) { m->AddBias({2, 6, 1, 7}, {2, 6, 1, 7}); });
  with([&](MaskOptions* m) { m->AddLengths("<i4", {2}, {3, 0}); });
  with([&](MaskOptions* m) { m->AddLengths("<i8", {2}, {7, 2}); });
  with([&](MaskOptions* m) { m->AddCausal(); });
  with([&](MaskOptions* m) { m->AddWindow(2); });
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

}  // namespace
}  // namespace heed::test
