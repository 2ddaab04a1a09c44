// tests/golden/stories_test.cc: the five layers of the language model stories260K, which rotate
// queries and keys, from HEED_SHARED_DATA_DIR. The folder's files were computed in float64 and
// stored in float32.
#include <string>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/npy.h"
#include "tests/support/real_layers.h"
#include "tests/support/stream.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr RealModel kModel = kStories260K;
constexpr double kBound = 1e-5;  // of the largest number

bool HasLayers() {
  const bool has = FileExists(FolderOf(kModel, 0) + "/x.npy");
  if (!has) MESSAGE("skipped: no ", FolderOf(kModel, 0));
  return has;
}

// [len][heads][head_dim], as the folder has them, in place of [heads][len][head_dim].
template <typename T>
std::vector<T> ByRow(const std::vector<T>& heads, size_t num_heads, size_t len) {
  const size_t head_dim = heads.size() / num_heads / len;
  std::vector<T> rows(heads.size());
  for (size_t i = 0; i < heads.size(); ++i) {
    const size_t h = i / head_dim / len, r = i / head_dim % len, d = i % head_dim;
    rows[(r * num_heads + h) * head_dim + d] = heads[i];
  }
  return rows;
}

Stream StreamOf(const RealLayer& real) {
  Stream stream;
  stream.layer = real.layer;
  stream.len = real.len;
  stream.x = real.x;
  return stream;
}

// The keys of an f32 cache with one entry, [heads][len][head_dim] (heed/detail/kv_form.h).
std::vector<float> KeysOf(Feeder* feeder) {
  const AttentionConfig& c = feeder->runner().config();
  const detail::CacheShape shape = detail::CacheShapeOf(c, feeder->cache().limits());
  const auto* const keys = reinterpret_cast<const float*>(
      feeder->block().data() + detail::CacheMapOf(shape).kv.keys.offset);
  std::vector<float> heads;
  for (size_t h = 0; h < c.num_kv_heads; ++h) {
    const float* const head = keys + h * shape.blocks * 64 * c.head_dim;
    for (size_t j = 0; j < feeder->cache().length(0); ++j) {
      const float* const block = head + j / 64 * 64 * c.head_dim;
      for (size_t d = 0; d < c.head_dim; ++d) heads.push_back(block[d * 64 + j % 64]);
    }
  }
  return heads;
}

TEST_CASE("stories260K: rotated queries and keys, values and outputs are those of the model") {
  if (!HasLayers()) return;
  for (size_t index = 0; index < kModel.num_layers; ++index) {
    CAPTURE(index);
    const RealLayer real = LoadRealLayer(kModel, index);
    const std::string folder = FolderOf(kModel, index);
    const std::vector<float> q = ReadNpy(folder + "/q_rope.npy").Floats();
    const std::vector<float> k = ReadNpy(folder + "/k_rope.npy").Floats();
    const std::vector<float> v = ReadNpy(folder + "/v.npy").Floats();
    const oracle::Result exact =
        oracle::Layer(real.layer.config, real.layer.tensors(), real.args());
    CHECK(RelativeError(q, ByRow(exact.query, 8, real.len)) <= kBound);
    CHECK(RelativeError(k, ByRow(exact.key, 4, real.len)) <= kBound);
    CHECK(RelativeError(v, ByRow(exact.value, 4, real.len)) <= kBound);
    CHECK(RelativeError(real.y, exact.output) <= kBound);
    const Stream stream = StreamOf(real);
    // A layer whose keys are projected as queries has the model's queries in its cache.
    Stream queries = stream;
    queries.layer.k_weight = queries.layer.v_weight = real.layer.q_weight;
    queries.layer.config.num_kv_heads = kModel.num_heads;
    ForEachTarget([&](const char* target) {
      const Outputs whole = RunLayer(real.layer, real.args(), target);
      const double error = RelativeError(whole.output, real.y);
      MESSAGE("stories260K layer ", index, ", ", std::string(target), ": ", error,
              " of |y|max against y, ", RelativeError(whole.output, exact.output),
              " against the oracle");
      CHECK(error <= kBound);
      for (const size_t rows : {size_t{1}, size_t{7}, real.len}) {
        CAPTURE(rows);
        Random random(index);
        Feeder feeder(stream, CacheLimitsFor(stream), target);
        feeder.FeedTo(random, rows, real.len);
        CHECK(SameBits(feeder.outputs().output, whole.output));
        CHECK(RelativeError(ByRow(KeysOf(&feeder), 4, real.len), k) <= kBound);
        Feeder query_feeder(queries, CacheLimitsFor(queries), target);
        query_feeder.FeedTo(random, rows, real.len);
        CHECK(RelativeError(ByRow(KeysOf(&query_feeder), 8, real.len), q) <= kBound);
      }
    });
  }
}

TEST_CASE("stories260K with the int8 core streams the bits of the whole") {
  if (!HasLayers()) return;
  for (size_t index = 0; index < kModel.num_layers; ++index) {
    RealLayer real = LoadRealLayer(kModel, index);
    real.layer.config.core = CoreType::kInt8;
    real.layer.config.weights = WeightType::kInt8;
    const Stream stream = StreamOf(real);
    ForEachTarget([&](const char* target) {
      Random random(index);
      Feeder feeder(stream, CacheLimitsFor(stream), target);
      feeder.FeedTo(random, 5, real.len);
      CHECK(SameBits(feeder.outputs().output, RunLayer(real.layer, real.args(), target).output));
    });
  }
}

}  // namespace
}  // namespace heed::test
