// cli/call.h: what the commands run and sdpa share: masks, threads, target and outputs.
#ifndef HEED_PORTS_CLI_CALL_H_
#define HEED_PORTS_CLI_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <heed/attention.h>
#include <heed/mask.h>

#include "cli/file.h"
#include "cli/npy.h"
#include "threads/thread_pool.h"

namespace heed::cli {

// The options of the command line; absent paths are empty.
struct CallOptions {
  std::string keep_mask;
  std::string ignore_mask;
  std::string key_padding_mask;
  std::string bias_mask;
  std::string key_lengths;
  bool causal = false;
  std::optional<int64_t> causal_offset;
  std::string causal_offsets;
  std::vector<int64_t> window;  // W, or LEFT and RIGHT
  std::optional<int64_t> first_keys;
  std::string output;
  std::string attention_weights;
  std::optional<int64_t> threads;
  std::string target;
};
void AddMaskOptions(CLI::App* command, CallOptions* options);
void AddEngineOptions(CLI::App* command, CallOptions* options);  // --threads and --target
void AddCallOptions(CLI::App* command, CallOptions* options);    // both, and the outputs

// The logical shape of a call, against which files are read.
struct CallShape {
  size_t batch = 0;
  size_t num_heads = 0;
  size_t query_len = 0;
  size_t key_len = 0;
  bool batched = true;  // false: the files have no batch dimension
  const char* layout = "[B, H, S, D]";  // the query's file has these dimensions
  uint32_t window = 0;                  // the layer's window; 0: it has none
};

// Masks and lengths as arrays of their own; the views of a call point into it.
class Masks {
 public:
  Masks(const CallOptions& options, const CallShape& shape);

  // Args: ForwardArgs or SdpaArgs.
  template <typename Args>
  void Apply(Args* args) const {
    args->keep = View<KeepMask>(keep_);
    args->ignore = View<IgnoreMask>(ignore_);
    args->key_padding = View<IgnoreMask>(key_padding_);
    args->bias = View<BiasMask>(bias_);
    if (has_lengths_) args->lengths = Lengths(lengths_.data(), lengths_.size() - 1);
    args->causal = causal_;
    args->offset = options_.causal_offset.value_or(0);
    if (has_offsets_) args->offsets = Offsets(offsets_.data(), offsets_.size() - 1);
    args->window = window_;
    args->window_right = window_right_;
    args->first_keys = options_.first_keys.value_or(0);
  }
  // Cuts the masks that Apply has set to rows [first, first + rows) and the first `keys` keys.
  void Cut(size_t first, size_t rows, size_t keys, ForwardArgs* args) const;

  bool has_lengths() const { return has_lengths_; }
  int32_t length(size_t entry) const { return lengths_[entry]; }

 private:
  template <typename T>
  struct Values {
    bool present = false;
    size_t batch = 0, heads = 0, query_len = 0, key_len = 0;
    std::vector<T> data;  // one element longer than the mask, so that it is never null

    size_t count() const { return batch * heads * query_len * key_len; }
  };
  template <typename Mask, typename T>
  static Mask View(const Values<T>& v) {
    if (!v.present) return Mask();
    return Mask(v.data.data(), v.batch, v.heads, v.query_len, v.key_len);
  }
  // `hidden` is an element that hides its key.
  template <typename T>
  void PadKeys(const CallShape& shape, T hidden, Values<T>* values) const;
  template <typename T>
  void Shape(const Array& array, const CallShape& shape, bool is_keep, Values<T>* values) const;
  void ReadPadding(const std::string& path, const CallShape& shape);
  void AddToBias(const Array& array, const CallShape& shape);
  void ReadLengths(const std::string& path, const CallShape& shape);
  void ReadOffsets(const std::string& path, const CallShape& shape);
  void SetWindow(const std::vector<int64_t>& option, const CallShape& shape);

  CallOptions options_;
  bool causal_ = false;
  int64_t window_ = 0, window_right_ = 0;  // as in ForwardArgs
  Values<uint8_t> keep_, ignore_, key_padding_;
  Values<float> bias_;
  bool has_lengths_ = false;
  std::vector<int32_t> lengths_;  // one longer than the batch, so that it is never null
  size_t longest_ = 0;            // the largest of them
  bool has_offsets_ = false;
  std::vector<int64_t> offsets_;  // likewise
};

// Threads and target. With one thread there is no executor.
class Engine {
 public:
  explicit Engine(const CallOptions& options);
  const CreateOptions& create_options() const { return create_options_; }
  const Executor* executor() const { return pool_ ? &executor_ : nullptr; }
  uint32_t workers() const { return workers_; }

 private:
  std::string target_;
  CreateOptions create_options_;
  uint32_t workers_ = 1;
  std::optional<ThreadPool> pool_;
  Executor executor_;
};

// A float32 result with its shape as the user sees it.
struct Result {
  std::vector<size_t> shape;
  Memory memory;

  explicit Result(const std::vector<size_t>& result_shape);
  float* floats() { return reinterpret_cast<float*>(memory.data()); }
};

// Writes what options name and what `more` has, or prints the output's shape and CRC-32C (all NaNs
// counted as one). None of the inputs, nor of the options' masks, may be overwritten.
void Deliver(const CallOptions& options, const Result& output, const Result* attention_weights,
             std::vector<std::string> inputs, const std::vector<Output>& more = {});

// Fails unless a dimension is the expected one. Called before anything is sized by the others,
// which an array without elements may have as large as it likes.
void CheckDimension(const Array& array, const char* what, size_t expected, size_t got);

// A dimension of an array as the limits want it.
uint32_t Dimension(const std::string& what, size_t value);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_CALL_H_
