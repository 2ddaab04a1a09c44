// bench/heed_on_xnnpack.cc: heed with its projections on XNNPACK (ports/xnnpack).
#include <xnnpack.h>

#include "bench/fail.h"
#include "bench/peers/peers.h"
#include "xnnpack/xnnpack_backend.h"

namespace heed::bench {
namespace {

MutableBytes View(Buffer& buffer) { return MutableBytes(buffer.data(), buffer.size()); }

void RequireHere(const Status& status) { Require(status, "heed on XNNPACK: "); }

class LayerOnXnnpack : public Contestant {
 public:
  explicit LayerOnXnnpack(const Problem& problem) : problem_(problem) {
    const AttentionConfig config = problem.config(Types());
    Limits limits;
    limits.max_batch = problem.shape().batch;
    limits.max_query_len = problem.shape().query_len;
    file_.resize(PackedWeightsBytes(config));
    scratch_.resize(XnnpackScratchBytes(config));
    block_.resize(BackendWorkspaceBytes(config, limits));
    RequireHere(PackWeights(config, problem.tensors(), View(file_)));
    Weights weights;
    RequireHere(Weights::Open(View(file_), &weights));
    XnnpackOptions xnnpack_options;
    xnnpack_options.inputs_are_padded = true;
    RequireHere(projections_.Create(weights, View(scratch_), xnnpack_options));
    backend_ = projections_.backend();
    CreateOptions options;
    options.projection_backend = &backend_;
    RequireHere(Attention::Create(limits, weights, View(block_), &layer_, options));
  }
  void Run(const float* x, float* y) override { RequireHere(layer_.Forward(problem_.Args(x, y))); }
  size_t Bytes() const override {
    return 2 * file_.size() + scratch_.size() + block_.size() +
           2 * problem_.x().size() * sizeof(float);
  }

 private:
  const Problem& problem_;
  Buffer file_, scratch_, block_;
  XnnpackProjections projections_;
  ProjectionBackend backend_;
  Attention layer_;
};

}  // namespace

std::unique_ptr<Contestant> MakeHeedOnXnnpack(const Problem& problem, size_t threads) {
  if (threads > 1) return nullptr;
  if (xnn_initialize(nullptr) != xnn_status_success) return nullptr;
  return std::make_unique<LayerOnXnnpack>(problem);
}

}  // namespace heed::bench
