#include "tests/support/layer_cases.h"

#include <limits>

#include <doctest/doctest.h>

namespace heed::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Contiguous tensors; key_len 0 is self-attention.
LayerCase Make(const char* name, AttentionConfig config, size_t batch, size_t query_len,
               size_t key_len = 0) {
  Random random(static_cast<uint64_t>(name[0]) * 1000 + query_len);
  LayerCase c;
  c.name = name;
  c.layer = BellLayer(config, random);
  const AttentionConfig r = Resolved(config);
  c.query = BellVector(random, batch * query_len * r.embed_dim);
  c.args.query = ConstTensorView(c.query.data(), batch, query_len, r.embed_dim);
  if (key_len != 0) {
    c.key = BellVector(random, batch * key_len * r.kdim);
    c.value = BellVector(random, batch * key_len * r.vdim);
    c.args.key = ConstTensorView(c.key.data(), batch, key_len, r.kdim);
    c.args.value = ConstTensorView(c.value.data(), batch, key_len, r.vdim);
  }
  return c;
}

void Odd(std::vector<LayerCase>& cases) {
  cases.push_back(Make("batch of odd length", Shape(20, 4), 3, 57));
  cases.push_back(Make("heads across panels", Shape(120, 8), 1, 57));
  cases.push_back(Make("one of everything", Shape(1, 1, false), 1, 1));
  AttentionConfig cross = Shape(12, 3);
  cross.kdim = 7;
  cross.vdim = 13;
  cases.push_back(Make("kdim and vdim of their own", cross, 2, 5, 70));
  cross = Shape(64, 2, false);
  cross.kdim = 515;
  cross.vdim = 300;
  cases.push_back(Make("deep products without biases", cross, 1, 65, 129));
}

void Masked(std::vector<LayerCase>& cases) {
  Random random(77);
  AttentionConfig grouped = Shape(32, 8);
  grouped.num_kv_heads = 2;
  cases.push_back(Make("grouped heads, causal", grouped, 1, 131));
  cases.back().args.causal = true;

  cases.push_back(Make("lengths down to zero", Shape(30, 2), 4, 66, 131));
  cases.back().lengths = {0, 1, 64, 131};
  cases.back().args.lengths = Lengths(cases.back().lengths.data(), 4);

  cases.push_back(Make("window far behind", Shape(16, 2), 2, 10, 200));
  cases.back().args.window = 20;
  cases.back().args.offset = 150;

  cases.push_back(Make("padding, bias and weights", Shape(30, 2), 2, 50, 140));
  LayerCase& c = cases.back();
  c.padding.assign(2 * 140, 0);
  for (size_t j = 0; j < 2 * 140; ++j) c.padding[j] = j % 140 < 70 || j % 140 > 130;
  c.args.key_padding = KeyPadding(c.padding.data(), 2, 140);
  c.bias = BellVector(random, 50 * 140);
  c.args.bias = BiasMask(c.bias.data(), 50, 140);
  c.wanted = WeightsWanted::kPerHead;

  AttentionConfig added = Shape(24, 3);
  added.add_bias_kv = added.add_zero_attn = true;
  added.softcap = 5.0f;
  cases.push_back(Make("added keys, softcap, average", added, 2, 20, 33));
  cases.back().wanted = WeightsWanted::kAverage;
}

// Values that are not finite in hidden and visible rows, heads of 15 columns across panels.
void NotFinite(std::vector<LayerCase>& cases) {
  cases.push_back(Make("NaN hidden and seen", Shape(45, 3), 2, 40, 90));
  LayerCase& c = cases.back();
  c.keep.assign(40 * 90, 1);
  for (size_t i = 0; i < 40; ++i) {
    c.keep[i * 90 + 13] = 0;          // nobody sees key 13,
    c.keep[i * 90 + 70] = i % 5 == 0;  // some rows see key 70
  }
  c.args.keep = KeepMask(c.keep.data(), 40, 90);
  c.key[13 * 45 + 3] = c.value[13 * 45 + 44] = kNan;
  c.value[70 * 45 + 20] = kNan;
}

// Values of which a sum overflows, in some rows, and tiny ones in the others. Rows see the first
// large value in the first block, in a later one, or never.
void Large(std::vector<LayerCase>& cases) {
  for (const size_t key_len : {3, 150}) {
    cases.push_back(Make("values near the largest float", Shape(12, 2), 1, 50, key_len));
    LayerCase& c = cases.back();
    for (float& w : c.layer.out_weight) w *= 0x1p-8f;
    for (size_t j = 0; j < key_len; ++j) {
      const bool is_large = j % 70 == 2 || j > 140;
      for (size_t i = 0; i < 12; ++i) c.value[j * 12 + i] *= is_large ? 0x1p120f : 0x1p-110f;
    }
    c.args.causal = true;
  }
}

// Rows and batch entries with gaps that hold NaN, which nothing may read into a result.
void Strided(std::vector<LayerCase>& cases) {
  constexpr size_t kBatch = 2, kLen = 37, kDim = 18, kRow = 23;
  Random random(78);
  cases.push_back(Make("gaps between rows", Shape(kDim, 3), kBatch, kLen, kLen));
  LayerCase& c = cases.back();
  const auto spread = [&random](std::vector<float>* tensor, ConstTensorView* view) {
    tensor->assign(kBatch * (kLen + 1) * kRow, kNan);
    view->data = tensor->data();
    view->row_stride = kRow;
    view->batch_stride = (kLen + 1) * kRow;
    for (size_t b = 0; b < kBatch; ++b) {
      for (size_t i = 0; i < kLen * kDim; ++i) {
        (*tensor)[(b * (kLen + 1) + i / kDim) * kRow + i % kDim] = random.Bell();
      }
    }
  };
  spread(&c.query, &c.args.query);
  spread(&c.key, &c.args.key);
  spread(&c.value, &c.args.value);
}

}  // namespace

void ForEachLayerCase(const std::function<void(const LayerCase&)>& function) {
  std::vector<LayerCase> cases;
  cases.reserve(32);  // views point into the cases
  Odd(cases);
  Masked(cases);
  NotFinite(cases);
  Large(cases);
  Strided(cases);
  for (const LayerCase& c : cases) {
    INFO("case: ", c.name);
    function(c);
  }
}

}  // namespace heed::test
