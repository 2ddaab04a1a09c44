// bench/contestant.h: what runs a layer, heed or a peer, and whoever is measured beside them.
#ifndef HEED_BENCH_CONTESTANT_H_
#define HEED_BENCH_CONTESTANT_H_

#include <cstddef>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "bench/problem.h"
#include "heed/executor.h"

namespace heed::bench {

class Contestant {
 public:
  virtual ~Contestant() = default;
  // y [batch][query_len][embed_dim] = the layer of x.
  virtual void Run(const float* x, float* y) = 0;
  // Weights, buffers, input and output; of peers without what their library allocates itself.
  virtual size_t Bytes() const = 0;
};

enum class Role {
  kHeed,
  kPeer,   // runs with subnormals flushed to zero
  kStage,  // a part of heed's call; computes no layer
  kRead,   // reads the weights of a cold row and does nothing else
};

struct Entrant {
  std::string name;
  Role role = Role::kHeed;
  std::unique_ptr<Contestant> contestant;
};

struct Setting {
  std::vector<std::string> targets;  // heed's
  size_t threads = 1;
  Executor executor;
  bool avx2 = false;  // peers that cannot be held to AVX2 are left out
};

// Stages of heed's first target: a call without keys, which is the projections of q and of the
// output, and attention alone.
inline constexpr const char* kWithoutKeys = "without keys";
inline constexpr const char* kAttention = "attention";

// heed on each target ("heed-AVX2"); for the first of them also its stages.
std::vector<Entrant> MakeHeed(const Problem& problem, const Setting& setting);
// The peers built in whose name matches and that can run the shape.
std::vector<Entrant> MakePeers(const Problem& problem, const Setting& setting,
                               const std::regex& wanted);
std::vector<std::string> PeerNames(const Setting& setting);
// "oneDNN 2.6.3, OpenBLAS 0.3.21 (SkylakeX)": for the report.
std::string PeerVersions();
// Reads as many bytes as the packed weights have.
Entrant MakeRead(const Problem& problem, const Setting& setting);

inline constexpr const char* kYardstick = "oneDNN";

// Takes its parts in turn, so that each finds its memory cold.
class Rotation : public Contestant {
 public:
  // As many of make() as hold more than the last-level cache keeps, each with `bytes` of weights.
  template <typename Make>
  static std::unique_ptr<Contestant> Of(size_t bytes, const Make& make) {
    auto rotation = std::make_unique<Rotation>();
    for (size_t i = 0; i < Copies(bytes); ++i) {
      rotation->parts_.push_back(make());
      if (rotation->parts_.back() == nullptr) return nullptr;
    }
    return rotation;
  }
  void Run(const float* x, float* y) override { parts_[next_++ % parts_.size()]->Run(x, y); }
  size_t Bytes() const override { return parts_[0]->Bytes(); }

 private:
  static size_t Copies(size_t bytes);
  std::vector<std::unique_ptr<Contestant>> parts_;
  size_t next_ = 0;
};

// make(), or for a cold shape a rotation of several.
template <typename Make>
std::unique_ptr<Contestant> MakeForShape(const Problem& problem, const Make& make) {
  if (!problem.shape().is_cold()) return make();
  return Rotation::Of(PackedWeightsBytes(problem.config()), make);
}

}  // namespace heed::bench

#endif  // HEED_BENCH_CONTESTANT_H_
