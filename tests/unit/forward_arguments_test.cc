// tests/unit/forward_arguments_test.cc: what Forward refuses, by code and name, writing nothing.
#include <cstdint>
#include <limits>

#include <doctest/doctest.h>

#include "tests/support/executors.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

using Call = LayerCall;

TEST_CASE("a call with every optional argument is accepted, so each refusal below has one cause") {
  Call call;
  call.ExpectAccepted(call.args());
}

TEST_CASE("a tensor of the wrong shape is refused by its name") {
  Call call;
  const auto refused = [&call](auto edit, const char* argument) {
    ForwardArgs args = call.args();
    edit(args);
    call.ExpectRefused(args, StatusCode::kBadShape, argument);
  };
  refused([](ForwardArgs& a) { a.query.columns = 7; }, "query");
  refused([](ForwardArgs& a) { a.query.columns = 0; }, "query");
  refused([](ForwardArgs& a) { a.query.heads = 2; }, "query");
  refused([](ForwardArgs& a) { a.key.columns = Call::kEmbedDim; }, "key");
  refused([](ForwardArgs& a) { a.key.batch = 1; }, "key");
  refused([](ForwardArgs& a) { a.key.heads = 0; }, "key");
  refused([](ForwardArgs& a) { a.value.columns = Call::kEmbedDim; }, "value");
  refused([](ForwardArgs& a) { a.value.rows = 6; }, "value");
  refused([](ForwardArgs& a) { a.value.batch = 1; }, "value");
  refused([](ForwardArgs& a) { a.output.rows = 4; }, "output");
  refused([](ForwardArgs& a) { a.output.columns = 7; }, "output");
  refused([](ForwardArgs& a) { a.output.batch = 1; }, "output");
  refused([](ForwardArgs& a) { a.output.heads = 2; }, "output");
  refused([](ForwardArgs& a) { a.attention_weights.columns = Call::kKeyLen; },
          "attention_weights");  // the added key has a column too
  refused([](ForwardArgs& a) { a.attention_weights.heads = 1; }, "attention_weights");
  refused([](ForwardArgs& a) { a.average_weights = true; }, "attention_weights");
  refused([](ForwardArgs& a) { a.attention_weights.rows = 4; }, "attention_weights");
}

TEST_CASE("key and value may be absent only where the trained shape allows it") {
  Call call;
  ForwardArgs args = call.args();
  args.key = ConstTensorView();
  call.ExpectRefused(args, StatusCode::kBadShape, "key");  // value without key
  args = call.args();
  args.value = ConstTensorView();
  call.ExpectRefused(args, StatusCode::kBadShape, "key");  // vdim is not kdim
  args.key = ConstTensorView();
  call.ExpectRefused(args, StatusCode::kBadShape, "query");  // kdim is not embed_dim
}

TEST_CASE("a null pointer is refused by its name") {
  Call call;
  const auto refused = [&call](auto edit, const char* argument) {
    ForwardArgs args = call.args();
    edit(args);
    call.ExpectRefused(args, StatusCode::kNullPointer, argument);
  };
  refused([](ForwardArgs& a) { a.query.data = nullptr; }, "query");
  refused([](ForwardArgs& a) { a.key.data = nullptr; }, "key");
  refused([](ForwardArgs& a) { a.value.data = nullptr; }, "value");
  refused([](ForwardArgs& a) { a.output.data = nullptr; }, "output");
  refused([](ForwardArgs& a) { a.attention_weights.data = nullptr; }, "attention_weights");
  refused([](ForwardArgs& a) { a.keep.data = nullptr; }, "keep");
  refused([](ForwardArgs& a) { a.ignore.data = nullptr; }, "ignore");
  refused([](ForwardArgs& a) { a.key_padding.data = nullptr; }, "key_padding");
  refused([](ForwardArgs& a) { a.bias.data = nullptr; }, "bias");
  refused([](ForwardArgs& a) { a.lengths.data = nullptr; }, "lengths");
}

TEST_CASE("a pointer without the alignment of its type is refused by its name") {
  Call call;
  const auto shifted = [](const auto* data) {
    return reinterpret_cast<decltype(data)>(reinterpret_cast<uintptr_t>(data) + 2);
  };
  const auto refused = [&call](const ForwardArgs& args, const char* argument) {
    call.ExpectRefused(args, StatusCode::kMisaligned, argument);
  };
  ForwardArgs args = call.args();
  args.query.data = shifted(args.query.data);
  refused(args, "query");
  args = call.args();
  args.key.data = shifted(args.key.data);
  refused(args, "key");
  args = call.args();
  args.value.data = shifted(args.value.data);
  refused(args, "value");
  args = call.args();
  args.output.data = const_cast<float*>(shifted(args.output.data));
  refused(args, "output");
  args = call.args();
  args.attention_weights.data = const_cast<float*>(shifted(args.attention_weights.data));
  refused(args, "attention_weights");
  args = call.args();
  args.bias.data = shifted(args.bias.data);
  refused(args, "bias");
  args = call.args();
  args.lengths.data = shifted(args.lengths.data);
  refused(args, "lengths");
}

TEST_CASE("a mask of the wrong shape is refused, in each of its dimensions") {
  Call call;
  const auto refused = [&call](auto member, const char* argument) {
    for (int dimension = 0; dimension < 4; ++dimension) {
      for (size_t wrong : {size_t{0}, size_t{3}, size_t{Call::kKeyLen + 1}, size_t{SIZE_MAX}}) {
        ForwardArgs args = call.args();
        auto& mask = args.*member;
        size_t* const sizes[] = {&mask.batch, &mask.heads, &mask.query_len, &mask.key_len};
        *sizes[dimension] = wrong;
        CAPTURE(dimension);
        CAPTURE(wrong);
        call.ExpectRefused(args, StatusCode::kBadMask, argument);
      }
    }
  };
  refused(&ForwardArgs::keep, "keep");
  refused(&ForwardArgs::ignore, "ignore");
  refused(&ForwardArgs::key_padding, "key_padding");
  refused(&ForwardArgs::bias, "bias");
}

TEST_CASE("key lengths below zero, above the keys, or not one for each batch entry are refused") {
  Call call;
  for (int32_t wrong : {-1, static_cast<int32_t>(Call::kKeyLen) + 1,
                        std::numeric_limits<int32_t>::min(),
                        std::numeric_limits<int32_t>::max()}) {
    for (size_t entry = 0; entry < Call::kBatch; ++entry) {
      call.lengths = {5, 7};
      call.lengths[entry] = wrong;
      CAPTURE(wrong);
      call.ExpectRefused(call.args(), StatusCode::kBadMask, "lengths");
    }
  }
  call.lengths = {5, 7, 7};
  for (size_t count : {size_t{0}, size_t{1}, size_t{3}}) {
    ForwardArgs args = call.args();
    args.lengths.count = count;
    call.ExpectRefused(args, StatusCode::kBadMask, "lengths");
  }
}

TEST_CASE("offsets that are null, misaligned, or not one for each batch entry are refused") {
  Call call;
  const int64_t offsets[] = {2, -1, 0};
  const auto refused = [&](const Offsets& wrong, StatusCode code) {
    ForwardArgs args = call.args();
    args.offset = 0;
    args.offsets = wrong;
    call.ExpectRefused(args, code, "offsets");
    args.causal = false;  // although nothing would read them
    args.window = 0;
    call.ExpectRefused(args, code, "offsets");
  };
  for (size_t count : {size_t{0}, size_t{1}, size_t{3}, size_t{SIZE_MAX}}) {
    refused(Offsets(offsets, count), StatusCode::kBadMask);
  }
  refused(Offsets(nullptr, 1), StatusCode::kBadMask);
  refused(Offsets(nullptr, Call::kBatch), StatusCode::kNullPointer);
  for (size_t shift : {size_t{1}, size_t{2}, alignof(int64_t) / 2}) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(offsets) + shift;
    refused(Offsets(reinterpret_cast<const int64_t*>(address), Call::kBatch),
            StatusCode::kMisaligned);
  }
}

TEST_CASE("an offset beside offsets is refused, and every number is a valid offset") {
  Call call;
  std::vector<int64_t> offsets = {2, -1};
  ForwardArgs args = call.args();
  args.offsets = Offsets(offsets.data(), Call::kBatch);
  for (int64_t wrong : {int64_t{1}, int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    args.offset = wrong;
    call.ExpectRefused(args, StatusCode::kBadValue, "offset");
  }
  args.offset = 0;
  call.ExpectAccepted(args);
  for (int64_t far : {int64_t{1} << 31, -(int64_t{1} << 31) - 1, int64_t{1} << 40,
                      std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    for (size_t entry = 0; entry < Call::kBatch; ++entry) {
      offsets = {2, -1};
      offsets[entry] = far;
      CAPTURE(far);
      call.ExpectAccepted(args);
      args.window = 0;
      call.ExpectAccepted(args);
      args.window = std::numeric_limits<int64_t>::max();
      call.ExpectAccepted(args);
    }
  }
}

TEST_CASE("a negative window is refused") {
  Call call;
  for (int64_t wrong : {int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    ForwardArgs args = call.args();
    args.window = wrong;
    call.ExpectRefused(args, StatusCode::kBadValue, "window");
  }
}

TEST_CASE("a right side of a window is refused below -1, and may be any other number") {
  Call call;
  ForwardArgs args = call.args();
  for (int64_t wrong : {int64_t{-2}, std::numeric_limits<int64_t>::min()}) {
    args.window_right = wrong;
    call.ExpectRefused(args, StatusCode::kBadValue, "window_right");
  }
  for (int64_t right : {int64_t{-1}, int64_t{1}, std::numeric_limits<int64_t>::max()}) {
    args.window_right = right;
    call.ExpectAccepted(args);
  }
}

TEST_CASE("a call larger than the limits is refused by the tensor that is too large") {
  Call call;
  std::vector<float> large(3 * 8 * 16);
  ForwardArgs args;
  args.query = ConstTensorView(large.data(), 3, Call::kQueryLen, Call::kEmbedDim);
  args.key = ConstTensorView(large.data(), 3, Call::kKeyLen, Call::kKdim);
  args.value = ConstTensorView(large.data(), 3, Call::kKeyLen, Call::kVdim);
  std::vector<float> result(3 * 8 * Call::kEmbedDim);
  args.output = TensorView(result.data(), 3, Call::kQueryLen, Call::kEmbedDim);
  call.ExpectRefused(args, StatusCode::kOverLimit, "query");
  args.query.batch = args.key.batch = args.value.batch = args.output.batch = 2;
  args.query.rows = args.output.rows = Call::kQueryLen + 1;
  call.ExpectRefused(args, StatusCode::kOverLimit, "query");
  args.query.rows = args.output.rows = Call::kQueryLen;
  args.key.rows = args.value.rows = Call::kKeyLen + 1;
  call.ExpectRefused(args, StatusCode::kOverLimit, "key");
  args.key.rows = args.value.rows = SIZE_MAX;
  call.ExpectRefused(args, StatusCode::kOverLimit, "key");
}

TEST_CASE("strides that leave the address space, or fold an output onto itself, are refused") {
  Call call;
  const auto refused = [&call](auto edit, const char* argument) {
    ForwardArgs args = call.args();
    edit(args);
    call.ExpectRefused(args, StatusCode::kBadShape, argument);
  };
  refused([](ForwardArgs& a) { a.query.row_stride = SIZE_MAX; }, "query");
  refused([](ForwardArgs& a) { a.key.batch_stride = SIZE_MAX / 4; }, "key");
  refused([](ForwardArgs& a) { a.value.row_stride = SIZE_MAX / 2; }, "value");
  refused([](ForwardArgs& a) { a.output.batch_stride = SIZE_MAX / 8; }, "output");
  refused([](ForwardArgs& a) { a.output.row_stride = 0; }, "output");
  refused([](ForwardArgs& a) { a.output.row_stride = Call::kEmbedDim - 1; }, "output");
  refused([](ForwardArgs& a) { a.output.batch_stride = 0; }, "output");
  refused([](ForwardArgs& a) { a.output.batch_stride = a.output.row_stride; }, "output");
  refused([](ForwardArgs& a) { a.attention_weights.head_stride = 0; }, "attention_weights");
  refused([](ForwardArgs& a) { a.attention_weights.row_stride = 3; }, "attention_weights");
  ForwardArgs args = call.args();
  args.keep.query_stride = SIZE_MAX / 2;
  call.ExpectRefused(args, StatusCode::kBadMask, "keep");
  args = call.args();
  args.bias.head_stride = SIZE_MAX / 4;
  call.ExpectRefused(args, StatusCode::kBadMask, "bias");
}

TEST_CASE("an executor without workers, or with more than the limits allow, is refused") {
  Call call;
  for (size_t workers : {size_t{0}, size_t{3}, size_t{SIZE_MAX}}) {
    ReversedExecutor reversed(workers);
    const Executor executor = reversed.executor();
    ForwardArgs args = call.args();
    args.executor = &executor;
    call.ExpectRefused(args, workers == 0 ? StatusCode::kBadValue : StatusCode::kOverLimit,
                       "executor.num_workers");
  }
}

TEST_CASE("a layer that was not created refuses to run") {
  Call call;
  const Attention none;
  CHECK(!none.is_created());
  CHECK(none.Forward(call.args()).code == StatusCode::kNullPointer);
  Explanation explanation;
  CHECK(none.Explain(call.args(), &explanation).code == StatusCode::kNullPointer);
  CHECK(call.runner().layer().Explain(call.args(), nullptr).code == StatusCode::kNullPointer);
}

}  // namespace
}  // namespace heed::test
