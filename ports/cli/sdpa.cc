// heed sdpa: scaled dot product attention without projections.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/sdpa.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::string query;
  std::string key;
  std::string value;
  std::string past_key, past_value;
  std::string present_key, present_value;
  std::optional<int64_t> heads;
  std::optional<int64_t> kv_heads;
  std::optional<float> scale;
  std::optional<float> softcap;
  CallOptions call;
};

// The heads of a row [heads * columns] lie side by side.
template <typename View>
void PutHeadsInRows(View* view) {
  view->head_stride = view->columns;
  view->row_stride = view->heads * view->columns;
}

// [B, S, heads * D], or [B, H, S, D] where `heads` is 0.
ConstTensorView ViewOf(const Array& array, const char* name, size_t heads) {
  const std::vector<size_t>& s = array.shape;
  if (heads == 0) {
    if (s.size() != 4) {
      Fail(array.path, ": expected [B, H, S, D], or [B, S, H * D] with --heads, got ",
           ShapeText(s));
    }
    return ConstTensorView(array.floats(), s[0], s[1], s[2], s[3]);
  }
  if (s.size() != 3) {
    Fail(array.path, ": expected [B, S, H * D] with --heads, got ", ShapeText(s));
  }
  if (s[2] % heads != 0) {
    Fail(array.path, ": ", name, ": last dimension: expected a multiple of ", heads,
         " heads, got ", s[2]);
  }
  ConstTensorView view(array.floats(), s[0], heads, s[1], s[2] / heads);
  PutHeadsInRows(&view);
  return view;
}

// Keys or values of earlier calls, [B, H_kv, P, D], or [B, P, H_kv * D] with --heads.
ConstTensorView PastOf(const Array& array, const char* name, size_t heads) {
  return ViewOf(array, name, array.shape.size() == 4 ? 0 : heads);
}

// The keys or values of the past, then the call's own: [B, H_kv, P + S, D].
Result Joined(const ConstTensorView& past, const ConstTensorView& own) {
  Result joined({own.batch, own.heads, past.rows + own.rows, own.columns});
  float* to = joined.floats();
  for (size_t b = 0; b < own.batch; ++b) {
    for (size_t h = 0; h < own.heads; ++h) {
      for (const ConstTensorView* part : {&past, &own}) {
        for (size_t row = 0; row < part->rows; ++row, to += own.columns) {
          const float* from = part->data + b * part->batch_stride + h * part->head_stride +
                              row * part->row_stride;
          std::copy_n(from, own.columns, to);
        }
      }
    }
  }
  return joined;
}

ConstTensorView ViewOf(Result* result) {
  const std::vector<size_t>& s = result->shape;
  return ConstTensorView(result->floats(), s[0], s[1], s[2], s[3]);
}

void CheckPast(const Array& array, const char* name, const ConstTensorView& past,
               const ConstTensorView& own, size_t rows) {
  const auto check = [&](const char* what, size_t expected, size_t got) {
    CheckDimension(array, (std::string(name) + ": " + what).c_str(), expected, got);
  };
  check("batch", own.batch, past.batch);
  check("heads", own.heads, past.heads);
  check("last dimension", own.columns, past.columns);
  check("length", rows, past.rows);
}

// Keys and values with the past before them, where the options name a past or want the present.
struct Joint {
  std::optional<Result> keys, values;
  size_t past_len = 0;
};

// Fills `joint`, and makes the call's keys and values views of it.
void JoinPast(const Options& options, size_t kv_heads, SdpaArgs* args, Joint* joint) {
  if (!options.past_key.empty()) {
    const Array past_key = ReadFloats(options.past_key);
    const Array past_value = ReadFloats(options.past_value);
    const ConstTensorView keys = PastOf(past_key, "past key", kv_heads);
    const ConstTensorView values = PastOf(past_value, "past value", kv_heads);
    joint->past_len = keys.rows;
    CheckPast(past_key, "past key", keys, args->key, joint->past_len);
    CheckPast(past_value, "past value", values, args->value, joint->past_len);
    joint->keys = Joined(keys, args->key);
    joint->values = Joined(values, args->value);
  } else if (!options.present_key.empty() || !options.present_value.empty()) {
    ConstTensorView no_keys = args->key, no_values = args->value;
    no_keys.rows = no_values.rows = 0;
    joint->keys = Joined(no_keys, args->key);
    joint->values = Joined(no_values, args->value);
  } else {
    return;
  }
  args->key = ViewOf(&*joint->keys);
  args->value = ViewOf(&*joint->values);
}

// The arrays are those of the views in args.
void CheckInputs(const Array& query, const Array& key, const Array& value, const SdpaArgs& args) {
  if (args.query.columns == 0) {
    Fail(query.path, ": query: last dimension: expected at least 1, got 0");
  }
  if (args.value.columns == 0) {
    Fail(value.path, ": value: last dimension: expected at least 1, got 0");
  }
  CheckDimension(key, "key: last dimension", args.query.columns, args.key.columns);
  CheckDimension(key, "key: batch", args.query.batch, args.key.batch);
  CheckDimension(value, "value: batch", args.query.batch, args.value.batch);
  CheckDimension(value, "value: heads", args.key.heads, args.value.heads);
  CheckDimension(value, "value: length", args.key.rows, args.value.rows);
  if (args.key.heads == 0 || args.query.heads % args.key.heads != 0) {
    Fail(key.path, ": key: heads: expected ", args.query.heads, " or a divisor, got ",
         args.key.heads);
  }
}

void Sdpa(const Options& options) {
  const uint32_t heads = CheckedCount("--heads", options.heads, 0);
  const uint32_t kv_heads = CheckedCount("--kv-heads", options.kv_heads, heads);
  const Array query = ReadFloats(options.query);
  const Array key = ReadFloats(options.key);
  const Array value = ReadFloats(options.value);
  SdpaArgs args;
  args.query = ViewOf(query, "query", heads);
  args.key = ViewOf(key, "key", kv_heads);
  args.value = ViewOf(value, "value", kv_heads);
  CheckInputs(query, key, value, args);
  Joint joint;
  JoinPast(options, kv_heads, &args, &joint);
  CallShape shape = {args.query.batch, args.query.heads, args.query.rows, args.key.rows};
  if (heads != 0) shape.layout = "[B, S, H * D]";

  SdpaLimits limits;
  Dimension("query: batch", shape.batch);
  limits.max_key_len = Dimension("key: length", shape.key_len);
  limits.max_head_dim = Dimension("query: head_dim", args.query.columns);
  limits.max_value_dim = Dimension("value: head_dim", args.value.columns);
  Engine engine(options.call);
  limits.max_workers = engine.workers();
  Memory block(CheckedBytes("a call of this shape", SdpaWorkspaceBytes(limits)));

  const size_t width = args.value.columns;
  Result output(heads == 0
                    ? std::vector<size_t>{shape.batch, shape.num_heads, shape.query_len, width}
                    : std::vector<size_t>{shape.batch, shape.query_len, heads * width});
  args.output =
      TensorView(output.floats(), shape.batch, shape.num_heads, shape.query_len, width);
  if (heads != 0) PutHeadsInRows(&args.output);
  std::optional<Result> weights;
  if (!options.call.attention_weights.empty()) {
    weights.emplace(
        std::vector<size_t>{shape.batch, shape.num_heads, shape.query_len, shape.key_len});
    args.attention_weights = TensorView(weights->floats(), shape.batch, shape.num_heads,
                                        shape.query_len, shape.key_len);
  }
  if (options.scale) args.scale = CheckedScale(*options.scale);
  if (options.softcap) args.softcap = CheckedSoftcap(*options.softcap);
  const Masks masks(options.call, shape);
  masks.Apply(&args);
  const CallOptions& call = options.call;
  // The first query follows the past, unless the call says where it stands.
  if (!call.causal_offset && call.causal_offsets.empty()) {
    args.offset = static_cast<int64_t>(joint.past_len);
  }
  args.executor = engine.executor();
  Check(ScaledDotProductAttention(args, limits, MutableBytes(block.data(), block.size()),
                                  engine.create_options()));
  const std::string key_header = joint.keys ? NpyHeader(joint.keys->shape) : "";
  const std::string value_header = joint.values ? NpyHeader(joint.values->shape) : "";
  std::vector<Output> present;
  if (!options.present_key.empty()) {
    present.push_back({options.present_key, {key_header, joint.keys->memory.text()}});
  }
  if (!options.present_value.empty()) {
    present.push_back({options.present_value, {value_header, joint.values->memory.text()}});
  }
  Deliver(call, output, weights ? &*weights : nullptr,
          {options.query, options.key, options.value, options.past_key, options.past_value},
          present);
}

}  // namespace

void AddSdpa(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("sdpa", "Scaled dot product attention, without projections.");
  AddText(command, "--query", &options->query, "[B, H, Sq, D] .npy of floats")->required();
  AddText(command, "--key", &options->key, "[B, H_kv, Sk, D]")->required();
  AddText(command, "--value", &options->value, "[B, H_kv, Sk, D_v]")->required();
  CLI::Option* past_key =
      AddText(command, "--past-key", &options->past_key,
              "[B, H_kv, P, D]: keys before those of --key; the first query then stands at P");
  CLI::Option* past_value = AddText(command, "--past-value", &options->past_value,
                                    "[B, H_kv, P, D_v]");
  past_key->needs(past_value);
  past_value->needs(past_key);
  AddText(command, "--present-key", &options->present_key,
          "writes the keys of past and call, [B, H_kv, P + Sk, D]");
  AddText(command, "--present-value", &options->present_value,
          "writes the values, [B, H_kv, P + Sk, D_v]");
  CLI::Option* heads = AddInteger(command, "--heads", &options->heads,
                                  "H: inputs and output are [B, S, H * D] instead");
  AddInteger(command, "--kv-heads", &options->kv_heads, "H_kv (default: H)")->needs(heads);
  AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(D), which 0 means");
  AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)");
  AddCallOptions(command, &options->call);
  command->callback([options] { Sdpa(*options); });
}

}  // namespace heed::cli
