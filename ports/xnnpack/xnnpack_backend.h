// xnnpack/xnnpack_backend.h: the projections of a layer on XNNPACK 20241108, for applications that
// already ship it. What it costs is written in ports/xnnpack/README.md.
//
//   heed::XnnpackUseBlock(xnnpack_block);                // before any other use in the process
//   heed::XnnpackProjections projections;
//   projections.Create(weights, scratch);                // XNNPACK packs the weights a second time
//   const heed::ProjectionBackend backend = projections.backend();
//   heed::CreateOptions options;                         options.projection_backend = &backend;
//   heed::Attention::Create(limits, weights, block, &layer, options);
#ifndef HEED_PORTS_XNNPACK_XNNPACK_BACKEND_H_
#define HEED_PORTS_XNNPACK_XNNPACK_BACKEND_H_

#include <cstddef>

#include <heed/projection_backend.h>

struct pthreadpool;
struct xnn_operator;

namespace heed {

// Directs what XNNPACK allocates into `block`, by xnn_initialize. XNNPACK keeps one allocator for
// the whole process, the first that it is given: everything that the application does with XNNPACK
// then allocates from this block too. The block must outlive all of it.
//   kUnsupported    the application or another library initialized XNNPACK before, with another
//                   allocator, or this CPU cannot run XNNPACK. Where the former is intended, leave
//                   this call out: XnnpackProjections works on the application's allocator as well.
//   kBlockTooSmall  not even a 1 x 1 operator fits.
//   kBadValue       operators made in an earlier block are still alive; without any, a second call
//                   replaces the block.
Status XnnpackUseBlock(MutableBytes block);

// The memory that XNNPACK takes of the block. Sizes are rounded up to 64, with a header of 64 for
// each allocation.
struct XnnpackMemory {
  size_t block_bytes = 0;
  size_t bytes = 0;       // in use now
  size_t peak_bytes = 0;  // the most since XnnpackUseBlock
  size_t allocations = 0;
};
XnnpackMemory XnnpackMemoryInUse();

// Enough of the block for one layer's XnnpackProjections on any x86 or ARM CPU, whose tiles are at
// most 32 columns wide (here 64 is assumed): how much is used differs from CPU to CPU. 0 for a
// config that CheckConfig refuses for its shape.
constexpr size_t XnnpackBlockBytes(const AttentionConfig& config) {
  if (!sizes::ShapeOk(Resolved(config))) return 0;
  size_t bytes = 2 * sizes::kAlignment;
  for (uint32_t kind = 0; kind < kNumProjections; ++kind) {
    const ProjectionShape shape = ProjectionShapeOf(config, static_cast<ProjectionKind>(kind));
    const size_t depth = sizes::RoundUp(shape.depth, 8) + 1;  // + 1: the bias
    bytes = sizes::Add(bytes, sizes::FloatBytes(
                                  sizes::Mul(sizes::RoundUp(shape.columns, 64), depth)));
    bytes = sizes::Add(bytes, 4096);  // the operator itself
  }
  return bytes == SIZE_MAX ? 0 : bytes;
}

// Bytes of `scratch` for XnnpackProjections: the largest unpacked projection, and what XNNPACK
// reads after an input. 0 as above.
constexpr size_t XnnpackScratchBytes(const AttentionConfig& config) {
  size_t bytes = 0;
  for (uint32_t kind = 0; kind < kNumProjections; ++kind) {
    const size_t unpacked = UnpackedProjectionBytes(config, static_cast<ProjectionKind>(kind));
    if (unpacked == 0) return 0;
    bytes = unpacked > bytes ? unpacked : bytes;
  }
  return bytes + 4 * sizes::kAlignment;
}

struct XnnpackOptions {
  // XNNPACK runs its products on it; null: on the thread of Forward. The executor that Forward is
  // given serves attention only, and may be the same pool (ports/threads).
  pthreadpool* threadpool = nullptr;
  // The application promises that XNN_EXTRA_BYTES (16) may be read after the last row of every
  // query, key and value of a call. Without this promise their rows are copied to scratch first.
  bool inputs_are_padded = false;
};

// Four fully-connected operators. Serves one Forward at a time; must outlive the layer, at a fixed
// address.
class XnnpackProjections {
 public:
  XnnpackProjections() = default;
  ~XnnpackProjections() { Delete(); }
  XnnpackProjections(const XnnpackProjections&) = delete;
  XnnpackProjections& operator=(const XnnpackProjections&) = delete;

  // Makes the operators; `scratch` (aligned to 64, at least XnnpackScratchBytes) is kept, and may
  // serve several layers that do not run at the same time. kBlockTooSmall where XNNPACK's block is
  // full, kBackendFailed (with the xnn_status) where XNNPACK gives up, as it does before any
  // xnn_initialize. After a failure there are no operators.
  Status Create(const Weights& weights, MutableBytes scratch, const XnnpackOptions& options = {});

  // Valid as long as *this. A layer made of other weights than Create's gets kBadShape from
  // Forward, or wrong results where the shapes agree.
  ProjectionBackend backend();

 private:
  void Delete();
  Status Project(const ProjectionCall& call);
  Status Run(ProjectionKind kind, size_t rows, const float* input, float* output);

  xnn_operator* operators_[kNumProjections] = {};
  ProjectionShape shapes_[kNumProjections];
  MutableBytes scratch_;
  XnnpackOptions options_;
};

}  // namespace heed

#endif  // HEED_PORTS_XNNPACK_XNNPACK_BACKEND_H_
