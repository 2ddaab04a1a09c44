// tests/cli/call.h: a call of `heed run` or `heed sdpa` on files, and the same for the oracle.
#ifndef HEED_TESTS_CLI_CALL_H_
#define HEED_TESTS_CLI_CALL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/cli/files.h"
#include "tests/cli/program.h"
#include "tests/oracle/attend.h"
#include "tests/support/layer.h"
#include "tests/support/npy.h"

namespace heed::test {

// What a mask says for [batch][heads][query_len][key_len], each full or 1.
struct Logical {
  size_t batch = 1, heads = 1, query_len = 1, key_len = 1;
  size_t count() const { return batch * heads * query_len * key_len; }
};

// The values, rounded to multiples of 1/128: those below 16 are exact in float16.
std::vector<float> Exact(std::vector<float> values);

// Masks of a call: random ones in files of a folder, and as the oracle takes them.
class MaskOptions {
 public:
  MaskOptions(const Folder& folder, uint64_t seed) : folder_(folder), random_(seed) {}

  // option: --keep-mask, --ignore-mask or --key-padding-mask; `percent` of the flags are set, at
  // least one of floats that --keep-mask takes. `is_additive`: floats 0 and -inf, not 1 and 0.
  void AddFlags(const std::string& option, const std::string& descr, const Dims& shape,
                const Logical& logical, size_t percent = 60, bool is_additive = false);
  // Numbers that are exact in every type of floats, every fifth -inf.
  void AddBias(const Dims& shape, const Logical& logical, const std::string& descr = "<f4");
  // descr: <i4 or <i8.
  void AddLengths(const std::string& descr, const Dims& shape, const std::vector<int32_t>& values);
  void AddCausal();
  void AddOffset(int64_t offset);
  // descr: <i4 or <i8.
  void AddOffsets(const std::string& descr, const Dims& shape, const std::vector<int64_t>& values);
  void AddWindow(int64_t window);
  // --window LEFT,RIGHT
  void AddWindow(int64_t left, int64_t right);

  const Words& words() const { return words_; }
  // Args: ForwardArgs or SdpaArgs.
  template <typename Args>
  void Apply(Args* args) const {
    args->keep = masks_.keep;
    args->ignore = masks_.ignore;
    args->key_padding = masks_.key_padding;
    args->bias = masks_.bias;
    args->lengths = masks_.lengths;
    args->causal = masks_.causal;
    args->offset = masks_.offset;
    args->offsets = masks_.offsets;
    args->window = masks_.window;
    args->window_right = masks_.window_right;
  }

 private:
  void AddFile(const std::string& option, const std::string& contents);

  const Folder& folder_;
  Random random_;
  Words words_;
  oracle::Masks masks_;
  std::deque<std::vector<uint8_t>> flags_;  // what masks_ points to
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<int32_t>> integers_;
  std::deque<std::vector<int64_t>> offsets_;
};

// Sizes of a call. key_len 0 with `own_key` false: self-attention.
struct CallSizes {
  size_t batch = 2, query_len = 5, key_len = 0;
  bool own_key = false, own_value = false;
  bool batched = true;  // false: files without the batch dimension; batch is 1
};

// A packed layer and random inputs, as files and for the oracle.
class LayerCall {
 public:
  LayerCall(const LayerData& layer, const CallSizes& sizes, uint64_t seed);

  const Folder& folder() const { return folder_; }
  std::string packed() const { return folder_.Path("layer.heed"); }
  // "run", the packed file and the inputs.
  const Words& words() const { return words_; }
  ForwardArgs args() const { return args_; }
  size_t key_len() const { return args_.key.present() ? args_.key.rows : args_.query.rows; }

  // Runs the program with these masks and more words, asks for output and attention weights, and
  // compares both, shapes included, with the oracle: within 1e-5 of the largest magnitude.
  void Check(const MaskOptions& masks, const Words& more = {}) const;
  void Check(const Words& more = {}) const { Check(MaskOptions(folder_, 0), more); }

 private:
  LayerData layer_;
  CallSizes sizes_;
  Folder folder_;
  std::vector<float> query_, key_, value_;
  Words words_;
  ForwardArgs args_;
};

// The .npy file is of this shape and within 1e-5 of the largest magnitude.
void CheckNpy(const std::string& path, const Dims& shape, const std::vector<double>& wanted);

}  // namespace heed::test

#endif  // HEED_TESTS_CLI_CALL_H_
