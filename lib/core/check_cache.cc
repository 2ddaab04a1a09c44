#include "lib/core/check_cache.h"

#include "lib/core/cache.h"
#include "lib/core/check.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

LentMemory Lent(const char* name, const char* expectation, const KvCache& cache) {
  return {name, expectation, {cache.block().data, cache.block().size}};
}

Status CheckNewRows(const ForwardArgs& args, CallRequest* request) {
  const NewRows& rows = args.new_rows;
  if (!rows.present()) return Status();
  const size_t batch = args.query.batch;
  HEED_RETURN_IF_ERROR(CheckPerEntry(StatusCode::kBadShape, "new_rows", rows.data, rows.count,
                                     batch, alignof(int32_t)));
  for (size_t b = 0; b < batch; ++b) {
    if (rows.data[b] < 0 || static_cast<size_t>(rows.data[b]) > args.query.rows) {
      return Fail(StatusCode::kBadValue, "new_rows", "numbers from 0 to the length of query,",
                  args.query.rows, rows.data[b]);
    }
  }
  request->new_rows = {rows.data, batch * sizeof(int32_t)};
  return Status();
}

// The masks of a ring may show nothing that it does not keep.
Status CheckRing(const Plan& plan, const ForwardArgs& args, const CacheLimits& limits) {
  const int64_t window = args.window != 0 ? args.window : int64_t{plan.config.window};
  if (window < 1 || window > int64_t{limits.window}) {
    return Fail(StatusCode::kBadValue, "window", "1 to the window of the cache,", limits.window,
                window);
  }
  if (!args.causal && args.window_right != 0) {
    return Fail(StatusCode::kBadValue, "window_right", "0, as the cache is a ring", Number(),
                args.window_right);
  }
  if (args.first_keys > int64_t{limits.first_keys}) {
    return Fail(StatusCode::kBadValue, "first_keys", "at most the first_keys of the cache,",
                limits.first_keys, args.first_keys);
  }
  if (args.attention_weights.present()) {
    return Fail(StatusCode::kUnsupported, "attention_weights",
                "none, as a ring does not keep all keys");
  }
  return Status();
}

Status CheckAppend(const Plan& plan, const ForwardArgs& args, CallRequest* request) {
  const KvCache& cache = *args.cache;
  HEED_RETURN_IF_ERROR(CacheAccess::Check(cache, plan.config));
  const CacheLimits& limits = cache.limits();
  const Bound bounds[] = {
      {"query", "a batch dimension of at most the max_batch of the cache,", limits.max_batch,
       args.query.batch},
      {"query", "a length of at most the max_new_rows of the cache,", limits.max_new_rows,
       args.query.rows},
  };
  HEED_RETURN_IF_ERROR(CheckBounds(bounds, 2));
  if (args.offset != 0 || args.offsets.present()) {
    return Fail(StatusCode::kBadValue, args.offset != 0 ? "offset" : "offsets",
                "none, as the cache says where rows begin");
  }
  HEED_RETURN_IF_ERROR(CheckNewRows(args, request));
  if (limits.window != 0) HEED_RETURN_IF_ERROR(CheckRing(plan, args, limits));
  const size_t highest = CacheAccess::MaxLength(cache);
  for (size_t b = 0; b < args.query.batch; ++b) {
    const size_t rows = args.new_rows.present() ? static_cast<size_t>(args.new_rows.data[b])
                                                : args.query.rows;
    const size_t keys = CacheAccess::Length(cache, b) + rows;
    if (keys > highest) {
      if (limits.window != 0) {
        return Fail(StatusCode::kOverLimit, "query", "positions below", highest, keys - 1);
      }
      return Fail(StatusCode::kCacheFull, "cache", "room for all keys of an entry, capacity =",
                  highest, keys);
    }
    request->key_len = Max(request->key_len, keys);
  }
  request->has_cache = true;
  request->lent[2] = Lent("cache", "no memory shared with the cache", cache);
  return Status();
}

// Checks a memory of keys, for `batch` entries of the argument `name`.
Status CheckMemoryOfKeys(const Plan& plan, const KvCache& memory, const char* name, size_t batch,
                         CallRequest* request) {
  HEED_RETURN_IF_ERROR(CacheAccess::Check(memory, plan.config, "memory"));
  if (memory.limits().window != 0) {
    return Fail(StatusCode::kUnsupported, "memory", "a linear cache");
  }
  const Bound bound = {name, "a batch dimension of at most the max_batch of the memory,",
                       memory.limits().max_batch, batch};
  request->lent[2] = Lent("memory", "no memory shared with the memory of keys", memory);
  return CheckBounds(&bound, 1);
}

Status CheckRemembered(const Plan& plan, const ForwardArgs& args, CallRequest* request) {
  HEED_RETURN_IF_ERROR(
      CheckMemoryOfKeys(plan, *args.memory, "query", args.query.batch, request));
  for (size_t b = 0; b < args.query.batch; ++b) {
    request->key_len = Max(request->key_len, size_t{CacheAccess::Length(*args.memory, b)});
  }
  request->has_memory = true;
  return Status();
}

}  // namespace

Status CheckCaches(const Plan& plan, const ForwardArgs& args, CallRequest* request) {
  const bool has_any = args.cache != nullptr || args.memory != nullptr;
  if constexpr (!built::kCache) {
    if (!has_any && !args.new_rows.present() && !plan.limits.cached) return Status();
    return Fail(StatusCode::kUnsupported, args.memory != nullptr ? "memory" : "cache",
                "none, as this library has no caches");
  }
  if (args.new_rows.present() && args.cache == nullptr) {
    return Fail(StatusCode::kBadShape, "cache", "a cache, as new_rows are given");
  }
  if (!has_any) {
    if (!plan.limits.cached) return Status();
    return Fail(StatusCode::kBadShape, "cache", "a cache or a memory, as limits.cached is set");
  }
  if (args.cache != nullptr && args.memory != nullptr) {
    return Fail(StatusCode::kBadShape, "memory", "none, as a cache is given");
  }
  if (args.key.present() || args.value.present()) {
    return Fail(StatusCode::kBadShape, args.key.present() ? "key" : "value",
                args.cache != nullptr ? "none, as a cache is given" : "none, as a memory is given");
  }
  return args.cache != nullptr ? CheckAppend(plan, args, request)
                               : CheckRemembered(plan, args, request);
}

Status CheckPositions(const Plan& plan, const ForwardArgs& args, CallRequest* request) {
  const Positions& positions = args.positions;
  if (!positions.present()) return Status();
  if (!HasRope(plan)) {
    return Fail(StatusCode::kBadValue, "positions", "none, as the layer has no rotary positions");
  }
  const size_t batch = args.query.batch;
  if (positions.batch != 1 && positions.batch != batch) {
    return Fail(StatusCode::kBadShape, "positions", "a batch dimension of 1 or query's", batch,
                positions.batch);
  }
  if (positions.length != args.query.rows) {
    return Fail(StatusCode::kBadShape, "positions", "a length of query's", args.query.rows,
                positions.length);
  }
  const size_t count = positions.batch * positions.length;
  if (count == 0) return Status();
  HEED_RETURN_IF_ERROR(CheckAddress("positions", positions.data, alignof(int32_t)));
  for (size_t i = 0; i < count; ++i) {
    if (positions.data[i] < 0 || positions.data[i] > kMaxPosition) {
      return Fail(StatusCode::kOverLimit, "positions", "numbers from 0 to", kMaxPosition,
                  positions.data[i]);
    }
  }
  request->positions = {positions.data, count * sizeof(int32_t)};
  return Status();
}

Status CheckOffsets(const Plan& plan, const ForwardArgs& args) {
  if (!HasRope(plan) || args.positions.present() || args.cache != nullptr) return Status();
  const bool are_many = args.offsets.present();
  const char* const name = are_many ? "offsets" : "offset";
  // Position 0 is that of the first key. Queries may lie before it, as far as keys after it.
  const int64_t lowest = -kMaxPosition;
  const int64_t highest = kMaxPosition + 1 - static_cast<int64_t>(args.query.rows);
  for (size_t b = 0; b < (are_many ? args.offsets.count : 1); ++b) {
    const int64_t offset = are_many ? args.offsets.data[b] : args.offset;
    if (offset < lowest) {
      return Fail(StatusCode::kOverLimit, name, "for rotary positions at least", lowest, offset);
    }
    if (offset > highest) {
      return Fail(StatusCode::kOverLimit, name, "for rotary positions of all rows at most", highest,
                  offset);
    }
  }
  return Status();
}

Status CheckCachedMasks(const ForwardArgs& args, MaskPlan* masks) {
  const KvCache* const cache = args.cache != nullptr ? args.cache : args.memory;
  if (!built::kCache || cache == nullptr) return Status();
  masks->held = CacheAccess::Lengths(*cache);
  masks->appends = args.cache != nullptr;
  masks->new_rows = args.new_rows.data;
  if (masks->lengths == nullptr || !masks->appends) return Status();
  for (size_t b = 0; b < args.query.batch; ++b) {
    const int64_t keys = static_cast<int64_t>(masks->KeysHeld(b));
    if (masks->lengths[b] != keys) {
      return Fail(StatusCode::kBadMask, "lengths",
                  "what the entry of the cache has after the call,", keys, masks->lengths[b]);
    }
  }
  return Status();
}

Status CheckRemember(const Plan& plan, const Lengths& lengths, const KvCache& memory,
                     CallRequest* request, MaskPlan* masks) {
  const ConstTensorView& key = request->key;
  const Bound bounds[] = {
      {"key", "a batch dimension of at most limits.max_batch =", plan.limits.max_batch, key.batch},
      {"key", "a length of at most limits.max_key_len =", plan.limits.max_key_len, key.rows},
  };
  HEED_RETURN_IF_ERROR(CheckMemoryOfKeys(plan, memory, "key", key.batch, request));
  HEED_RETURN_IF_ERROR(CheckBounds(bounds, 2));
  HEED_RETURN_IF_ERROR(CheckKeyAndValue(*request, key.batch));
  HEED_RETURN_IF_ERROR(CheckExecutor(request->executor, request->max_workers));
  ForwardArgs only_lengths;
  only_lengths.lengths = lengths;
  HEED_RETURN_IF_ERROR(MakeMaskPlan(MaskArgsOf(only_lengths), key.batch, 1, 1, key.rows, 0, masks));
  for (size_t b = 0; b < key.batch; ++b) {
    const size_t keys = masks->Interval(b, 0).end;
    if (keys > memory.limits().capacity) {
      return Fail(StatusCode::kCacheFull, "memory", "room for all keys of an entry, capacity =",
                  memory.limits().capacity, keys);
    }
  }
  request->query = ConstTensorView(nullptr, key.batch, 0, 0);
  HEED_RETURN_IF_ERROR(CheckOverlap(*request, *masks));
  SetUnusedStrides(request);
  return Status();
}

}  // namespace heed
