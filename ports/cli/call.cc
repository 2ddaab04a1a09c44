#include "cli/call.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

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

void NonZero(const Array& array, std::vector<uint8_t>* data) {
  data->assign(array.count + 1, 0);
  for (size_t i = 0; i < array.count; ++i) {
    (*data)[i] = array.type == DType::kFloat32 ? array.floats()[i] != 0.0f : array.bytes()[i] != 0;
  }
}

// One integer for each batch entry; without a batch dimension a single number will do.
std::vector<int64_t> ReadPerEntry(const std::string& path, const char* what,
                                  const CallShape& shape) {
  const Array array = ReadNpy(path, {DType::kInt32, DType::kInt64});
  const bool plain = !shape.batched && array.shape.empty();
  if (array.shape != std::vector<size_t>{shape.batch} && !plain) {
    Fail(path, ": ", what, ": expected ", ShapeText({shape.batch}), ", got ",
         ShapeText(array.shape));
  }
  std::vector<int64_t> values(array.count);
  for (size_t i = 0; i < array.count; ++i) {
    if (array.type == DType::kInt64) {
      std::memcpy(&values[i], array.memory.data() + i * sizeof(int64_t), sizeof(int64_t));
    } else {
      int32_t narrow;
      std::memcpy(&narrow, array.memory.data() + i * sizeof(narrow), sizeof(narrow));
      values[i] = narrow;
    }
  }
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
  AddText(command, "--keep-mask", &options->keep_mask, "non-zero takes part");
  AddText(command, "--ignore-mask", &options->ignore_mask, "non-zero is ignored");
  AddText(command, "--key-padding-mask", &options->key_padding_mask,
          "[B, Sk], non-zero is ignored");
  AddText(command, "--bias-mask", &options->bias_mask, "added to the scores; -inf hides");
  AddText(command, "--key-lengths", &options->key_lengths, "[B], int32 or int64");
  CLI::Option* causal =
      command->add_flag("--causal", options->causal, "hide key j from query i unless j <= i + N");
  CLI::Option* offset =
      AddInteger(command, "--causal-offset", &options->causal_offset, "N (default: 0)");
  CLI::Option* offsets =
      AddText(command, "--causal-offsets", &options->causal_offsets,
              "[B], int32 or int64: N of each batch entry")
          ->excludes(offset);
  CLI::Option* window =
      AddInteger(command, "--window", &options->window, "causal, and j > i + N - W");
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

// 2-D is [Sq or 1, Sk or 1]; 3-D is [H or 1, Sq, Sk], or [B * H, Sq, Sk] as PyTorch has it; 4-D is
// as it stands. The library checks each dimension but those that only this notation has.
template <typename T>
void Masks::Shape(const Array& array, const CallShape& shape, Values<T>* values) {
  const std::vector<size_t>& s = array.shape;
  if (s.size() < 2 || s.size() > 4) {
    Fail(array.path, ": mask: expected 2 to 4 dimensions, got ", ShapeText(s));
  }
  values->present = true;
  values->query_len = s[s.size() - 2];
  values->key_len = s[s.size() - 1];
  values->heads = s.size() >= 3 ? s[s.size() - 3] : 1;
  values->batch = s.size() == 4 ? s[0] : 1;
  if (s.size() == 3 && shape.batch > 1 && s[0] == shape.batch * shape.num_heads) {
    values->batch = shape.batch;
    values->heads = shape.num_heads;
  }
  const auto fits = [](size_t got, size_t wanted) { return got == wanted || got == 1; };
  if (!fits(values->batch, shape.batch) || !fits(values->heads, shape.num_heads) ||
      !fits(values->query_len, shape.query_len) || !fits(values->key_len, shape.key_len)) {
    Fail(array.path, ": mask: expected [", shape.batch, " or 1, ", shape.num_heads, " or 1, ",
         shape.query_len, " or 1, ", shape.key_len, " or 1], or its last dimensions, got ",
         ShapeText(s));
  }
}

Masks::Masks(const CallOptions& options, const CallShape& shape) : options_(options) {
  const std::vector<DType> truth = {DType::kBool, DType::kUint8, DType::kFloat32};
  const auto read = [&](const std::string& path, Values<uint8_t>* values) {
    if (path.empty()) return;
    const Array array = ReadNpy(path, truth);
    Shape(array, shape, values);
    NonZero(array, &values->data);
  };
  read(options.keep_mask, &keep_);
  read(options.ignore_mask, &ignore_);
  if (!options.bias_mask.empty()) {
    const Array array = ReadNpy(options.bias_mask, {DType::kFloat32});
    Shape(array, shape, &bias_);
    bias_.data.assign(array.floats(), array.floats() + array.count);
    bias_.data.push_back(0.0f);
  }
  if (!options.key_padding_mask.empty()) ReadPadding(options.key_padding_mask, shape);
  if (!options.key_lengths.empty()) ReadLengths(options.key_lengths, shape);
  if (!options.causal_offsets.empty()) ReadOffsets(options.causal_offsets, shape);
  if (options.window && *options.window < 1) {
    Fail("--window: expected at least 1, got ", *options.window);
  }
}

void Masks::ReadPadding(const std::string& path, const CallShape& shape) {
  const Array array = ReadNpy(path, {DType::kBool, DType::kUint8, DType::kFloat32});
  std::vector<size_t> wanted = {shape.batch, shape.key_len};
  const bool plain = !shape.batched && array.shape == std::vector<size_t>{shape.key_len};
  if (array.shape != wanted && !plain) {
    Fail(path, ": key padding mask: expected ", ShapeText(wanted), ", got ",
         ShapeText(array.shape));
  }
  key_padding_.present = true;
  key_padding_.batch = shape.batch;
  key_padding_.heads = key_padding_.query_len = 1;
  key_padding_.key_len = shape.key_len;
  NonZero(array, &key_padding_.data);
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
  }
}

void Masks::ReadOffsets(const std::string& path, const CallShape& shape) {
  has_offsets_ = true;
  offsets_ = ReadPerEntry(path, "causal offsets", shape);
  offsets_.push_back(0);
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
             std::vector<std::string> inputs) {
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
