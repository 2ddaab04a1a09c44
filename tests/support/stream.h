// tests/support/stream.h: sequences with masks over all their positions. A sequence runs as a whole
// in one call, or is fed to a cache in calls of any sizes.
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
  bool causal = true;    // a stream with a window is causal without it
  int64_t window = 0, window_right = 0, first_keys = 0;
  StreamMask<uint8_t> keep, ignore, padding;
  StreamMask<float> bias;
  std::vector<int32_t> positions;  // absent, or [batch][len]
  WeightsWanted wanted = WeightsWanted::kNone;

  AttentionConfig config() const { return Resolved(layer.config); }
  size_t num_added() const { return sizes::AddedKeys(layer.config); }
  size_t weight_heads() const;
  // One call with all rows. Its pointers lead into this stream.
  ForwardArgs args() const;
};

// A stream with heads, dimensions, positions, norms and masks of every kind; some have a window.
Stream RandomStream(Random& random, const LayerTypes& types);
// Replaces the rows of an entry from `first` on by random ones.
void DrawRows(Random& random, size_t entry, size_t first, Stream* stream);

// A linear cache with room for the whole stream, whose type changes no result.
CacheLimits CacheLimitsFor(const Stream& stream);

// The results of the whole sequence in one call.
Outputs RunWhole(const Stream& stream, const char* target = nullptr,
                 const Executor* executor = nullptr);

// The shape of one call with a cache. Entry b appends counts[b] of its `rows` rows after the
// first[b] keys that it holds, and `keys` is the length of the longest entry afterwards.
struct StepShape {
  std::vector<size_t> first, counts;
  size_t rows = 0, keys = 0;
  size_t stride = 0;  // from row to row, in floats
};

// A layer and a cache, to which the rows of a stream are fed in order. Outputs are kept by
// position, [batch][len], and look like those of RunWhole once every entry is at its end.
class Feeder {
 public:
  // The stream may change between calls; its shape may not.
  Feeder(const Stream& stream, const CacheLimits& limits, const CreateOptions& options,
         uint32_t max_workers = 1);
  Feeder(const Stream& stream, const CacheLimits& limits, const char* target = nullptr);

  // One call with the next counts[b] rows of the first entries. Rows that do not count, gaps
  // between rows and the bias mask after an entry's keys are NaN; some calls run in place. Fails
  // the test where the call is refused, where an entry has not grown by its rows, where rows that
  // do not count give another output than the bias of the output projection, or where a weight of
  // theirs or of a key that the entry does not hold is not 0.
  void Step(const std::vector<size_t>& counts, const Executor* executor = nullptr);
  // Feeds every entry up to its first `end` rows. Each call has 1 to most_rows rows of an entry, or
  // none of some; some calls leave the last entries out.
  void FeedTo(Random& random, size_t most_rows, size_t end, const Executor* executor = nullptr);

  KvCache& cache() { return cache_; }
  // From now on the cache lies in `block`, a copy of its bytes.
  void MoveTo(AlignedBytes block);
  const AlignedBytes& block() const { return block_; }
  const Runner& runner() const { return *runner_; }
  const Outputs& outputs() const { return outputs_; }

 private:
  // These copy the results of a call to their places in outputs_, and check the rest.
  void KeepOutput(const StepShape& shape, const std::vector<float>& y);
  void KeepWeights(const StepShape& shape, const std::vector<float>& weights);

  const Stream& stream_;
  std::unique_ptr<Runner> runner_;
  AlignedBytes block_;
  KvCache cache_;
  Outputs outputs_;
  size_t calls_ = 0;
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_STREAM_H_
