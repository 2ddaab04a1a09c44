// tests/cli/call.cc
#include "tests/cli/call.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"

namespace heed::test {

std::vector<float> Exact(std::vector<float> values) {
  for (float& value : values) value = std::round(value * 128.0f) / 128.0f;
  return values;
}

void MaskOptions::AddFile(const std::string& option, const std::string& contents) {
  words_ = words_ + Words{option, folder_.Write(option.substr(2) + ".npy", contents)};
}

void MaskOptions::AddFlags(const std::string& option, const std::string& descr, const Dims& shape,
                           const Logical& logical, size_t percent, bool is_additive) {
  flags_.push_back(FlagVector(random_, logical.count(), percent));
  std::vector<uint8_t>& flags = flags_.back();
  const bool is_keep = option == "--keep-mask";
  if (is_keep && descr[1] == 'f' && !flags.empty()) flags[0] = 1;
  if (is_additive) {
    if (!flags.empty()) flags.back() = is_keep ? 0 : 1;
    std::vector<uint8_t> hidden = flags;
    for (uint8_t& flag : hidden) flag = (flag != 0) != is_keep;
    AddFile(option, Npy(descr, shape, HidingBytes(hidden, descr)));
  } else {
    AddFile(option, Npy(descr, shape, FlagBytes(flags, descr)));
  }
  const uint8_t* data = flags_.back().data();
  const Logical& l = logical;
  if (option == "--keep-mask") {
    masks_.keep = KeepMask(data, l.batch, l.heads, l.query_len, l.key_len);
  } else {
    (option == "--ignore-mask" ? masks_.ignore : masks_.key_padding) =
        IgnoreMask(data, l.batch, l.heads, l.query_len, l.key_len);
  }
}

void MaskOptions::AddBias(const Dims& shape, const Logical& logical, const std::string& descr) {
  floats_.push_back(Exact(NormalVector(random_, logical.count())));
  for (size_t i = 4; i < logical.count(); i += 5) {
    floats_.back()[i] = -std::numeric_limits<float>::infinity();
  }
  AddFile("--bias-mask",
          Npy(descr, shape,
              NumberBytes({floats_.back().begin(), floats_.back().end()}, descr)));
  masks_.bias = BiasMask(floats_.back().data(), logical.batch, logical.heads, logical.query_len,
                         logical.key_len);
}

void MaskOptions::AddLengths(const std::string& descr, const Dims& shape,
                             const std::vector<int32_t>& values) {
  integers_.push_back(values);
  AddFile("--key-lengths",
          Npy(descr, shape,
              descr == "<i4" ? BytesOf(values)
                             : BytesOf(std::vector<int64_t>(values.begin(), values.end()))));
  masks_.lengths = Lengths(integers_.back().data(), values.size());
}

void MaskOptions::AddCausal() {
  words_.push_back("--causal");
  masks_.causal = true;
}

void MaskOptions::AddOffset(int64_t offset) {
  words_ = words_ + Words{"--causal-offset", std::to_string(offset)};
  masks_.offset = offset;
}

void MaskOptions::AddOffsets(const std::string& descr, const Dims& shape,
                             const std::vector<int64_t>& values) {
  offsets_.push_back(values);
  AddFile("--causal-offsets",
          Npy(descr, shape,
              descr == "<i8" ? BytesOf(values)
                             : BytesOf(std::vector<int32_t>(values.begin(), values.end()))));
  masks_.offsets = Offsets(offsets_.back().data(), values.size());
}

void MaskOptions::AddWindow(int64_t window) {
  words_ = words_ + Words{"--window", std::to_string(window)};
  masks_.window = window;
}

void MaskOptions::AddWindow(int64_t left, int64_t right) {
  words_ = words_ + Words{"--window", std::to_string(left) + "," + std::to_string(right)};
  masks_.window = left + 1;
  masks_.window_right = right;
  if (left < 0 && right == 0) masks_.causal = true;
}

LayerCall::LayerCall(const LayerData& layer, const CallSizes& sizes, uint64_t seed)
    : layer_(layer), sizes_(sizes) {
  const AttentionConfig c = Resolved(layer.config);
  const AlignedBytes file = Pack(layer);
  folder_.Write("layer.heed",
                std::string(reinterpret_cast<const char*>(file.data()), file.size()));
  words_ = {"run", packed()};
  Random random(seed);
  const auto add = [&](const char* name, size_t rows, size_t columns, std::vector<float>* values,
                       ConstTensorView* view) {
    *values = NormalVector(random, sizes.batch * rows * columns);
    values->reserve(1);  // never null
    *view = ConstTensorView(values->data(), sizes.batch, rows, columns);
    const Dims shape =
        sizes.batched ? Dims{sizes.batch, rows, columns} : Dims{rows, columns};
    words_ = words_ + Words{std::string("--") + name,
                            folder_.Write(std::string(name) + ".npy", NpyFloats(shape, *values))};
  };
  add("query", sizes.query_len, c.embed_dim, &query_, &args_.query);
  if (sizes.own_key) add("key", sizes.key_len, c.kdim, &key_, &args_.key);
  if (sizes.own_value) add("value", sizes.key_len, c.vdim, &value_, &args_.value);
}

void LayerCall::Check(const MaskOptions& masks, const Words& more) const {
  const AttentionConfig c = Resolved(layer_.config);
  const Words outputs = {"--output", folder_.Path("y.npy"), "--attention-weights",
                         folder_.Path("a.npy")};
  HeedOk(words_ + masks.words() + more + outputs);
  ForwardArgs args = args_;
  masks.Apply(&args);
  const oracle::Result exact = oracle::Layer(layer_.config, layer_.tensors(), args);
  Dims y_shape = {sizes_.batch, sizes_.query_len, c.embed_dim};
  Dims a_shape = {sizes_.batch, c.num_heads, sizes_.query_len,
                  key_len() + sizes::AddedKeys(c)};
  if (!sizes_.batched) {
    y_shape.erase(y_shape.begin());
    a_shape.erase(a_shape.begin());
  }
  CheckNpy(folder_.Path("y.npy"), y_shape, exact.output);
  CheckNpy(folder_.Path("a.npy"), a_shape, exact.weights);
}

void CheckNpy(const std::string& path, const Dims& shape, const std::vector<double>& wanted) {
  const Array array = ReadNpy(path);
  CAPTURE(path);
  CHECK((array.shape == shape));
  CHECK(array.type == "<f4");
  CHECK(RelativeError(array.Floats(), wanted) <= 1e-5);
}

}  // namespace heed::test
