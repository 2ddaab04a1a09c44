#include "cli/call.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

constexpr int64_t kMaxThreads = 1024;

// CRC-32C (Castagnoli, reflected 0x82f63b78), as the packed file uses; little-endian floats.
uint32_t Crc32c(const float* values, size_t count) {
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000) bits = 0x7fc00000;  // one NaN for all
    crc ^= bits;
    for (int bit = 0; bit < 32; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

[[noreturn]] void FailAtElement(const char* option, const Array& array, size_t index, double value,
                                const char* expected) {
  Fail(option, ": ", array.path, ": element ", index, " is ", NumberText(value), "; expected ",
       expected);
}

// Returns which elements a boolean mask sets. A float array is such a mask if it holds 0 and 1, or
// 0 and -inf as PyTorch adds it. Elements of -inf hide keys, so a keep mask sets the others.
std::vector<uint8_t> FlagsOfFloats(const char* option, const Array& array, bool is_keep) {
  bool has_one = false, has_minus_infinity = false;
  for (size_t i = 0; i < array.count; ++i) {
    const double value = array.Float(i);
    if (value == 0.0) continue;
    has_one = has_one || value == 1.0;
    has_minus_infinity = has_minus_infinity || value == kMinusInfinity;
    if ((value != 1.0 && value != kMinusInfinity) || (has_one && has_minus_infinity)) {
      FailAtElement(option, array, i, value,
                    "0 and 1, or 0 and -inf; a float mask that is added is --bias-mask");
    }
  }
  if (is_keep && !has_one && !has_minus_infinity && array.count != 0) {
    Fail(option, ": ", array.path, ": every element is 0, which hides all keys if 1 takes part, ",
         "and none if -inf hides; expected a bool array, or a mask that says which");
  }
  std::vector<uint8_t> flags(array.count + 1);
  for (size_t i = 0; i < array.count; ++i) {
    flags[i] = is_keep && has_minus_infinity ? array.Float(i) == 0.0 : array.Float(i) != 0.0;
  }
  return flags;
}

std::vector<uint8_t> FlagsOf(const char* option, const Array& array, bool is_keep) {
  if (array.is_float()) return FlagsOfFloats(option, array, is_keep);
  std::vector<uint8_t> flags(array.count + 1);
  for (size_t i = 0; i < array.count; ++i) {
    const int64_t value = array.Integer(i);
    // A byte is a truth value, as in the library; wider integers may be something else, such as
    // numbers of segments.
    if (array.type != DType::kUint8 && value != 0 && value != 1) {
      Fail(option, ": ", array.path, ": element ", i, " is ", value, "; expected 0 and 1");
    }
    flags[i] = value != 0;
  }
  return flags;
}

const std::vector<DType> kFlagTypes = {DType::kBool,    DType::kUint8,   DType::kInt8,
                                       DType::kInt32,   DType::kInt64,   DType::kFloat32,
                                       DType::kFloat16, DType::kFloat64};

// The sum of two numbers that are added to a score. -inf hides whatever the other is, and finite
// numbers stay finite, so that finfo.min twice does not hide.
float SumOfBiases(float a, float b) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (a == -kInfinity || b == -kInfinity) return -kInfinity;
  if (!std::isfinite(a) || !std::isfinite(b)) return a + b;
  const double sum = static_cast<double>(a) + static_cast<double>(b);
  constexpr auto kLargest = static_cast<double>(FLT_MAX);
  return static_cast<float>(std::clamp(sum, -kLargest, kLargest));
}

// For an error: says how the files were read, if the array's first dimension looks like a length.
std::string LayoutHint(const CallShape& shape, const std::vector<size_t>& got) {
  const bool is_swapped = !got.empty() && got[0] != shape.batch &&
                          (got[0] == shape.query_len || got[0] == shape.key_len);
  if (!is_swapped || !shape.batched) return "";
  return std::string("; the query is ") + shape.layout + " with B = " +
         std::to_string(shape.batch) + " and S = " + std::to_string(shape.query_len);
}

// One integer for each batch entry; without a batch dimension a single number will do.
std::vector<int64_t> ReadPerEntry(const std::string& path, const char* what,
                                  const CallShape& shape) {
  const Array array = ReadNpy(path, {DType::kInt32, DType::kInt64});
  const bool plain = !shape.batched && array.shape.empty();
  if (array.shape != std::vector<size_t>{shape.batch} && !plain) {
    Fail(path, ": ", what, ": expected ", ShapeText({shape.batch}), ", got ",
         ShapeText(array.shape), LayoutHint(shape, array.shape));
  }
  std::vector<int64_t> values(array.count);
  for (size_t i = 0; i < array.count; ++i) values[i] = array.Integer(i);
  return values;
}

void CheckTarget(const std::string& target) {
  std::string names;
  for (size_t i = 0; i < TargetCount(); ++i) {
    if (target == TargetName(i)) return;
    names += std::string(TargetName(i)) + ", ";
  }
  if (target != "REFERENCE") {
    Fail("--target: expected one of ", names, "REFERENCE, got '", target, "'");
  }
}

}  // namespace

void AddMaskOptions(CLI::App* command, CallOptions* options) {
  AddText(command, "--keep-mask", &options->keep_mask,
          "non-zero takes part; or floats 0 and -inf. [Sq, Sk] and more, or [B, Sk]");
  AddText(command, "--ignore-mask", &options->ignore_mask,
          "non-zero is ignored; or floats 0 and -inf");
  AddText(command, "--key-padding-mask", &options->key_padding_mask,
          "[B, Sk], non-zero is ignored; floats are added");
  AddText(command, "--bias-mask", &options->bias_mask, "added to the scores; -inf hides");
  AddText(command, "--key-lengths", &options->key_lengths, "[B], int32 or int64");
  CLI::Option* causal =
      AddFlag(command, "--causal", &options->causal, "hide key j from query i unless j <= i + N");
  CLI::Option* offset =
      AddInteger(command, "--causal-offset", &options->causal_offset, "N (default: 0)");
  CLI::Option* offsets =
      AddText(command, "--causal-offsets", &options->causal_offsets,
              "[B], int32 or int64: N of each batch entry")
          ->excludes(offset);
  CLI::Option* window =
      AddIntegers(command, "--window", &options->window,
                  "W: causal, and j > i + N - W. LEFT,RIGHT: j from i + N - LEFT to i + N + RIGHT "
                  "(-1: no end)");
  AddInteger(command, "--first-keys", &options->first_keys,
             "with a window: the first F keys are seen as well, up to the row's position");
  command->parse_complete_callback([causal, offset, offsets, window] {
    if (causal->count() != 0 || window->count() != 0) return;
    for (const CLI::Option* option : {offset, offsets}) {
      if (option->count() != 0) throw CLI::RequiresError(option->get_name(), "--causal");
    }
  });
}

void AddEngineOptions(CLI::App* command, CallOptions* options) {
  AddInteger(command, "--threads", &options->threads, "workers (default: 1)");
  AddText(command, "--target", &options->target, "a name of `heed targets`, or REFERENCE");
}

void AddCallOptions(CLI::App* command, CallOptions* options) {
  AddMaskOptions(command, options);
  AddText(command, "--output", &options->output, "the result, .npy");
  AddText(command, "--attention-weights", &options->attention_weights,
          "the softmax weights, .npy");
  AddEngineOptions(command, options);
}

// 1-D is [Sk]; 2-D is [Sq or 1, Sk or 1]; 3-D is [H or 1, Sq, Sk], or PyTorch's [B * H, Sq, Sk];
// 4-D is as it stands. A keep mask may also be [B, Sk], as Hugging Face's attention_mask, which is
// an integer array: one that could be either is refused. Fewer keys than there are will do where
// the key lengths hide the others. The library checks each dimension but those that only this
// notation has.
template <typename T>
void Masks::Shape(const Array& array, const CallShape& shape, bool is_keep,
                  Values<T>* values) const {
  const std::vector<size_t>& s = array.shape;
  if (s.empty() || s.size() > 4) {
    Fail(array.path, ": mask: expected 1 to 4 dimensions, got ", ShapeText(s));
  }
  values->present = true;
  values->query_len = s.size() >= 2 ? s[s.size() - 2] : 1;
  values->key_len = s[s.size() - 1];
  values->heads = s.size() >= 3 ? s[s.size() - 3] : 1;
  values->batch = s.size() == 4 ? s[0] : 1;
  if (s.size() == 3 && shape.batch > 1 && s[0] == shape.batch * shape.num_heads) {
    values->batch = shape.batch;
    values->heads = shape.num_heads;
  }
  if (is_keep && shape.batch > 1 && s == std::vector<size_t>{shape.batch, shape.key_len}) {
    if (s[0] != shape.query_len) {
      values->batch = shape.batch;
      values->query_len = 1;
    } else if (!array.is_float() && array.type != DType::kBool && array.type != DType::kUint8) {
      Fail(array.path, ": mask: ", ShapeText(s), " is [B, Sk] or [Sq, Sk]; expected [", s[0],
           ", 1, 1, ", s[1], "] or [1, 1, ", s[0], ", ", s[1], "]");
    }
  }
  const auto fits = [](size_t got, size_t wanted) { return got == wanted || got == 1; };
  const bool fits_but_keys = fits(values->batch, shape.batch) &&
                             fits(values->heads, shape.num_heads) &&
                             fits(values->query_len, shape.query_len);
  const bool has_fewer_keys = values->key_len < shape.key_len && values->key_len != 1;
  const bool are_others_hidden = has_lengths_ && longest_ <= values->key_len;
  const bool do_keys_fit =
      has_fewer_keys ? are_others_hidden : fits(values->key_len, shape.key_len);
  if (fits_but_keys && do_keys_fit) return;
  std::string hint = LayoutHint(shape, s);
  if (fits_but_keys && has_fewer_keys) {
    hint = "; a mask of fewer keys needs --key-lengths of at most " +
           std::to_string(values->key_len);
  }
  Fail(array.path, ": mask: expected [", shape.batch, " or 1, ", shape.num_heads, " or 1, ",
       shape.query_len, " or 1, ", shape.key_len, " or 1], or its last dimensions, got ",
       ShapeText(s), hint);
}

template <typename T>
void Masks::PadKeys(const CallShape& shape, T hidden, Values<T>* values) const {
  const size_t given = values->key_len;
  if (given == 1 || given == shape.key_len) return;
  const size_t rows = values->batch * values->heads * values->query_len;
  values->key_len = shape.key_len;
  std::vector<T> data(values->count() + 1, hidden);
  for (size_t row = 0; row < rows; ++row) {
    std::copy_n(values->data.begin() + static_cast<ptrdiff_t>(row * given), given,
                data.begin() + static_cast<ptrdiff_t>(row * shape.key_len));
  }
  values->data = std::move(data);
}

Masks::Masks(const CallOptions& options, const CallShape& shape)
    : options_(options), causal_(options.causal) {
  if (!options.key_lengths.empty()) ReadLengths(options.key_lengths, shape);
  const auto read = [&](const char* option, const std::string& path, bool is_keep,
                        Values<uint8_t>* values) {
    if (path.empty()) return;
    const Array array = ReadNpy(path, kFlagTypes);
    Shape(array, shape, is_keep, values);
    values->data = FlagsOf(option, array, is_keep);
    PadKeys<uint8_t>(shape, is_keep ? 0 : 1, values);
  };
  read("--keep-mask", options.keep_mask, true, &keep_);
  read("--ignore-mask", options.ignore_mask, false, &ignore_);
  if (!options.bias_mask.empty()) {
    const Array array = ReadFloats(options.bias_mask, Beyond::kBecomesLargest);
    Shape(array, shape, false, &bias_);
    bias_.data.assign(array.floats(), array.floats() + array.count);
    bias_.data.push_back(0.0f);
    PadKeys(shape, -std::numeric_limits<float>::infinity(), &bias_);
  }
  if (!options.key_padding_mask.empty()) ReadPadding(options.key_padding_mask, shape);
  if (!options.causal_offsets.empty()) ReadOffsets(options.causal_offsets, shape);
  if (!options.window.empty()) SetWindow(options.window, shape);
  if (options.first_keys) {
    if (*options.first_keys < 0) {
      Fail("--first-keys: expected at least 0, got ", *options.first_keys);
    }
    if (window_ == 0 && shape.window == 0) {
      Fail("--first-keys: expected a window with a left end beside it, got none");
    }
  }
}

void Masks::Cut(size_t first, size_t rows, size_t keys, ForwardArgs* args) const {
  const auto cut = [&](auto* mask) {
    if (!mask->present()) return;
    if (mask->query_stride != 0) {
      mask->data += first * mask->query_stride;
      mask->query_len = rows;
    }
    if (mask->key_stride != 0) mask->key_len = keys;
  };
  cut(&args->keep);
  cut(&args->ignore);
  cut(&args->key_padding);
  cut(&args->bias);
}

// PyTorch adds a float key_padding_mask to the scores; any other type hides.
void Masks::ReadPadding(const std::string& path, const CallShape& shape) {
  Array array = ReadNpy(path, kFlagTypes);
  std::vector<size_t> wanted = {shape.batch, shape.key_len};
  const bool plain = !shape.batched && array.shape == std::vector<size_t>{shape.key_len};
  if (array.shape != wanted && !plain) {
    Fail(path, ": key padding mask: expected ", ShapeText(wanted), ", got ",
         ShapeText(array.shape), LayoutHint(shape, array.shape));
  }
  if (array.is_float()) {
    bool is_added = false;
    for (size_t i = 0; i < array.count; ++i) {
      is_added = is_added || (array.Float(i) != 0.0 && array.Float(i) != kMinusInfinity);
    }
    if (is_added) {
      AddToBias(ReadFloats(path, Beyond::kBecomesLargest), shape);
      return;
    }
  }
  key_padding_.present = true;
  key_padding_.batch = shape.batch;
  key_padding_.heads = key_padding_.query_len = 1;
  key_padding_.key_len = shape.key_len;
  key_padding_.data = FlagsOf("--key-padding-mask", array, false);
}

void Masks::AddToBias(const Array& array, const CallShape& shape) {
  Values<float> sum;
  sum.present = true;
  sum.batch = shape.batch;
  sum.heads = bias_.present ? bias_.heads : 1;
  sum.query_len = bias_.present ? bias_.query_len : 1;
  sum.key_len = shape.key_len;
  sum.data.reserve(sum.count() + 1);
  const size_t rows = sum.heads * sum.query_len;
  for (size_t b = 0; b < sum.batch; ++b) {
    for (size_t row = 0; row < rows; ++row) {
      const size_t bias_row = (bias_.batch == 1 ? row : b * rows + row) * bias_.key_len;
      for (size_t j = 0; j < sum.key_len; ++j) {
        float value = array.floats()[b * sum.key_len + j];
        if (bias_.present) {
          value = SumOfBiases(value, bias_.data[bias_row + (bias_.key_len == 1 ? 0 : j)]);
        }
        sum.data.push_back(value);
      }
    }
  }
  sum.data.push_back(0.0f);
  bias_ = std::move(sum);
}

void Masks::ReadLengths(const std::string& path, const CallShape& shape) {
  const std::vector<int64_t> values = ReadPerEntry(path, "key lengths", shape);
  has_lengths_ = true;
  lengths_.assign(values.size() + 1, 0);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || static_cast<uint64_t>(values[i]) > shape.key_len) {
      Fail(path, ": key lengths: expected 0 to ", shape.key_len, " keys, got ", values[i],
           " for batch entry ", i);
    }
    lengths_[i] = static_cast<int32_t>(values[i]);
    longest_ = std::max(longest_, static_cast<size_t>(values[i]));
  }
}

void Masks::ReadOffsets(const std::string& path, const CallShape& shape) {
  has_offsets_ = true;
  offsets_ = ReadPerEntry(path, "causal offsets", shape);
  offsets_.push_back(0);
}

void Masks::SetWindow(const std::vector<int64_t>& option, const CallShape& shape) {
  if (option.size() == 1) {
    if (option[0] < 1) Fail("--window: expected at least 1, got ", option[0]);
    window_ = option[0];
    return;
  }
  const int64_t left = option[0], right = option[1];
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max() - 1;
  for (const int64_t side : option) {
    if (side < -1 || side > kHighest) {
      Fail("--window: LEFT and RIGHT: expected -1 to ", kHighest, ", got ", side);
    }
  }
  if (left < 0 && shape.window != 0) {
    Fail("--window: LEFT: expected 0 or more for a layer with a window of ", shape.window,
         " keys, got -1");
  }
  window_ = left + 1;
  window_right_ = right;
  causal_ = causal_ || (left < 0 && right == 0);
}

Engine::Engine(const CallOptions& options) : target_(options.target) {
  if (!target_.empty()) {
    CheckTarget(target_);
    create_options_.target = target_.c_str();
  }
  const int64_t threads = options.threads.value_or(1);
  if (threads < 1 || threads > kMaxThreads) {
    Fail("--threads: expected 1 to ", kMaxThreads, ", got ", threads);
  }
  workers_ = static_cast<uint32_t>(threads);
  if (workers_ > 1) {
    pool_.emplace(workers_);
    executor_ = pool_->executor();
  }
}

Result::Result(const std::vector<size_t>& result_shape) : shape(result_shape) {
  size_t bytes = sizeof(float);
  for (const size_t dimension : shape) {
    if (dimension != 0 && bytes > std::numeric_limits<size_t>::max() / 2 / dimension) {
      Fail("result of shape ", ShapeText(shape), ": expected fewer elements");
    }
    bytes *= dimension;
  }
  memory.Resize(bytes);
}

void Deliver(const CallOptions& options, const Result& output, const Result* attention_weights,
             std::vector<std::string> inputs, const std::vector<Output>& more) {
  for (const std::string* mask : {&options.keep_mask, &options.ignore_mask, &options.bias_mask,
                                  &options.key_padding_mask, &options.key_lengths,
                                  &options.causal_offsets}) {
    inputs.push_back(*mask);
  }
  const std::string output_header = NpyHeader(output.shape);
  const std::string weights_header =
      attention_weights != nullptr ? NpyHeader(attention_weights->shape) : "";
  std::vector<Output> files;
  if (!options.output.empty()) {
    files.push_back({options.output, {output_header, output.memory.text()}});
  }
  if (attention_weights != nullptr) {
    files.push_back(
        {options.attention_weights, {weights_header, attention_weights->memory.text()}});
  }
  files.insert(files.end(), more.begin(), more.end());
  WriteFiles(files, inputs);
  if (options.output.empty()) {
    const float* values = reinterpret_cast<const float*>(output.memory.data());
    std::printf("shape %s crc32c %08x\n", ShapeText(output.shape).c_str(),
                Crc32c(values, output.memory.size() / sizeof(float)));
  }
}

void CheckDimension(const Array& array, const char* what, size_t expected, size_t got) {
  if (got != expected) Fail(array.path, ": ", what, ": expected ", expected, ", got ", got);
}

uint32_t Dimension(const std::string& what, size_t value) {
  if (value > kMaxDimension) {
    Fail(what, ": at most 2^20: expected ", kMaxDimension, ", got ", value);
  }
  return static_cast<uint32_t>(std::max<size_t>(value, 1));
}

}  // namespace heed::cli
