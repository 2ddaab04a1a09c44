// tests/support/stream.h: sequences with masks over all their positions. They run whole in one
// call, or are fed to a cache in calls of any sizes.
#ifndef HEED_TESTS_SUPPORT_STREAM_H_
#define HEED_TESTS_SUPPORT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

// A mask by absolute positions, [batch][heads][rows][keys]; dimensions of 1 repeat.
template <typename T>
struct StreamMask {
  size_t batch = 0, heads = 0, rows = 0, keys = 0;
  std::vector<T> values;

  bool present() const { return !values.empty(); }
  size_t Index(size_t b, size_t h, size_t i, size_t j) const {
    return ((b % batch * heads + h % heads) * rows + (rows == 1 ? 0 : i)) * keys +
           (keys == 1 ? 0 : j);
  }
};

// A sequence of `len` rows for each batch entry, and everything that belongs to a row by its
// position.
struct Stream {
  LayerData layer;
  size_t batch = 1, len = 0;
  std::vector<float> x;  // [batch][len][embed_dim]
  bool causal = true;    // a window in its place is causal, too
  int64_t window = 0, window_right = 0, first_keys = 0;
  StreamMask<uint8_t> keep, ignore, padding;
  StreamMask<float> bias;
  std::vector<int32_t> positions;  // absent, or [batch][len]
  WeightsWanted wanted = WeightsWanted::kNone;

  AttentionConfig config() const { return Resolved(layer.config); }
  size_t num_added() const { return sizes::AddedKeys(layer.config); }
  size_t weight_heads() const;
  // The call that has all rows, whose masks point into this.
  ForwardArgs args() const;
};

// The types that a random stream may have.
struct StreamTypes {
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;
};
// Heads, dimensions, positions, norms and masks of every kind; a window in some.
Stream RandomStream(Random& random, const StreamTypes& types);
// Draws the rows from `first` on anew, of one entry.
void DrawRows(Random& random, size_t entry, size_t first, Stream* stream);

// The results of the whole sequence in one call.
Outputs RunWhole(const Stream& stream, const char* target = nullptr,
                 const Executor* executor = nullptr);

// A layer and a cache, to which the rows of a stream are fed in order. Outputs are kept by
// position, [batch][len], and look like those of RunWhole once every entry is at its end.
class Feeder {
 public:
  // The stream may change between calls; its shape may not.
  Feeder(const Stream& stream, const CacheLimits& limits, const CreateOptions& options,
         uint32_t max_workers = 1);
  Feeder(const Stream& stream, const CacheLimits& limits, const char* target = nullptr);

  // One call with the next counts[b] rows of the first entries. Rows that do not count, gaps
  // between rows, and what lies in masks beyond an entry's keys, are NaN; some calls run in place.
  // Fails the test where the call is refused, where lengths are not what was appended, or where
  // rows that do not count give anything but the bias.
  void Step(const std::vector<size_t>& counts, const Executor* executor = nullptr);
  // Feeds every entry up to its first `end` rows: 1 to most_rows rows of each at a time, and none
  // for some entries; some calls leave the last entries out.
  void FeedTo(Random& random, size_t most_rows, size_t end, const Executor* executor = nullptr);

  KvCache& cache() { return cache_; }
  // The same cache in other bytes, which are a copy of these.
  void MoveTo(AlignedBytes block);
  const AlignedBytes& block() const { return block_; }
  const Runner& runner() const { return *runner_; }
  const Outputs& outputs() const { return outputs_; }

 private:
  const Stream& stream_;
  std::unique_ptr<Runner> runner_;
  AlignedBytes block_;
  KvCache cache_;
  Outputs outputs_;
  size_t calls_ = 0;
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_STREAM_H_
